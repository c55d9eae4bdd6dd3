"""The checker itself: each kind of breach is seen, and a clean story is clean."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4, uuid5

from outrider.events.campaign import CampaignPaused, CampaignResumed
from outrider.events.credential import CredentialAdded, QuotaClaimed, QuotaReleased
from outrider.events.delivery import DeliveryDeferred, DeliveryEvent, DeliveryStarted, DeliveryUnknown, EmailSent
from outrider.events.enrollment import EnrollmentReplied, PlannedStep, StepsScheduled
from outrider.events.ids import delivery_id
from outrider.events.message import Event, Recorded
from tests.kill_loop import checks
from tests.kill_loop.fleet import Struck
from tests.kill_loop.record import Letter, Sink
from tests.kill_loop.script import Blow

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
CAMPAIGN, CREDENTIAL, CONTACT, ENROLLMENT = (uuid5(UUID(int=0), name) for name in "abcd")
FIRST, SECOND = (delivery_id(ENROLLMENT, position) for position in (1, 2))
CLEAN = Sink((), (), (), {"reply": frozenset(), "bounce": frozenset()})


def log(*events: Event) -> list[Recorded[Event]]:
    """Answer them as recorded, a second apart."""
    return [
        Recorded(n, UUID(int=1), "s-1", n, uuid4(), 0, START, START + timedelta(seconds=n), event)
        for n, event in enumerate(events, 1)
    ]


def about(position: int = 1, attempt: int = 1) -> DeliveryEvent:
    return DeliveryEvent(
        delivery_id=delivery_id(ENROLLMENT, position),
        enrollment_id=ENROLLMENT,
        campaign_id=CAMPAIGN,
        contact_id=CONTACT,
        credential_id=CREDENTIAL,
        position=position,
        attempt=attempt,
    )


def planned(*positions: int) -> StepsScheduled:
    return StepsScheduled(
        enrollment_id=ENROLLMENT,
        campaign_id=CAMPAIGN,
        contact_id=CONTACT,
        credential_id=CREDENTIAL,
        batch_number=1,
        dispatch_id=uuid4(),
        steps=tuple(PlannedStep(position=position, at=START) for position in positions),
        reason="a test",
    )


def started(position: int = 1, attempt: int = 1) -> DeliveryStarted:
    said = about(position, attempt).model_dump()
    return DeliveryStarted(**said, claim=uuid4(), day=START.date(), counted=True, template_version=1, planned_at=START)


def sent(position: int = 1) -> EmailSent:
    return EmailSent(**about(position).model_dump(), planned_at=START, sent_at=START, status_code="250")


def given_up() -> DeliveryUnknown:
    return DeliveryUnknown(**about().model_dump(), reason="no_outcome", at=START)


def deferred() -> DeliveryDeferred:
    said = about().model_dump()
    return DeliveryDeferred(**said, by="host", status_code="", not_before=START, first_attempt_at=START)


def taken(*deliveries: UUID) -> Sink:
    return replace(CLEAN, letters=[Letter(delivery, START, "p@example.com") for delivery in deliveries])


def broken(events: Sequence[Recorded[Event]], sink: Sink) -> set[str]:
    """Answer which promises were broken."""
    found = {
        "doubled": checks.doubled(events, sink),
        "lost": checks.lost(events, sink),
        "over_limit": checks.over_limit(events, sink),
        "after_pause": checks.after_pause(events),
    }
    return {name for name, problems in found.items() if list(problems)}


ADDED = CredentialAdded(credential_id=CREDENTIAL, campaign_id=CAMPAIGN, daily_limit=1)
QUOTA = {"credential_id": CREDENTIAL, "day": START.date(), "deliveries": (FIRST,), "counted": 1}
CLAIMED, RELEASED = QuotaClaimed.model_validate(QUOTA), QuotaReleased.model_validate(QUOTA)
PAUSED, RESUMED = CampaignPaused(campaign_id=CAMPAIGN), CampaignResumed(campaign_id=CAMPAIGN)
REPLIED = EnrollmentReplied(
    enrollment_id=ENROLLMENT,
    campaign_id=CAMPAIGN,
    contact_id=CONTACT,
    credential_id=CREDENTIAL,
    delivery_id=FIRST,
    step_position=1,
    replied_at=START,
    inbound=uuid4(),
)


def test_a_clean_story_is_clean() -> None:
    events = log(ADDED, planned(1, 2), PAUSED, RESUMED, started(), CLAIMED, sent(), REPLIED)
    assert broken(events, taken(FIRST)) == set()


def test_a_step_that_was_taken_twice_is_seen() -> None:
    events = log(ADDED, planned(1), started(), CLAIMED, sent())
    assert "doubled" in broken(events, taken(FIRST, FIRST))


def test_a_second_claim_is_seen_unless_the_first_was_put_off() -> None:
    again = log(ADDED, planned(1), started(), CLAIMED, started(attempt=2), sent())
    assert broken(again, taken(FIRST)) == {"doubled"}
    unknown = log(ADDED, planned(1), started(), CLAIMED, given_up(), started(attempt=2), sent())
    assert "doubled" in broken(unknown, taken(FIRST))
    put_off = log(ADDED, planned(1), started(), CLAIMED, deferred(), RELEASED, started(attempt=2), CLAIMED, sent())
    assert broken(put_off, taken(FIRST)) == set()


def test_what_came_to_nothing_is_seen() -> None:
    assert broken(log(ADDED, planned(1)), CLEAN) == {"lost"}
    assert broken(log(ADDED, planned(1), started(), CLAIMED), CLEAN) == {"lost"}
    assert broken(log(ADDED, planned(1), started(), CLAIMED, REPLIED), CLEAN) == {"lost"}
    assert broken(log(ADDED, planned(1), REPLIED), CLEAN) == set()


def test_two_records_that_differ_are_seen() -> None:
    assert broken(log(ADDED, planned(1), started(), CLAIMED, sent()), CLEAN) == {"lost"}
    assert "lost" in broken(log(ADDED, planned(1), started(), CLAIMED, deferred(), RELEASED), taken(FIRST))
    assert "lost" in broken(log(ADDED), taken(FIRST))
    assert broken(log(ADDED), replace(CLEAN, foreign=["<x@y>"])) == {"lost"}
    assert broken(log(ADDED), replace(CLEAN, refusals=["p@example.com"])) == {"lost"}
    reply = {"reply": frozenset({FIRST}), "bounce": frozenset[UUID]()}
    assert broken(log(ADDED), replace(CLEAN, came_back=reply)) == {"lost"}


def test_a_limit_that_was_passed_is_seen_in_either_record() -> None:
    both = log(ADDED, planned(1, 2), started(), CLAIMED, sent(), started(2), CLAIMED, sent(2))
    assert broken(both, taken(FIRST, SECOND)) == {"over_limit"}
    unclaimed = log(ADDED, planned(1, 2), started(), CLAIMED, sent(), started(2), sent(2))
    assert broken(unclaimed, taken(FIRST, SECOND)) == {"over_limit"}
    assert broken(log(ADDED, RELEASED), CLEAN) == {"over_limit"}


def test_a_claim_after_a_pause_or_a_stop_is_seen() -> None:
    assert broken(log(ADDED, planned(1), PAUSED, started(), CLAIMED, sent()), taken(FIRST)) == {"after_pause"}
    assert broken(log(ADDED, planned(1), REPLIED, started(), CLAIMED, sent()), taken(FIRST)) == {"after_pause"}
    early = log(ADDED, planned(1, 2), started(2), CLAIMED, sent(2), REPLIED)
    assert broken(early, taken(SECOND)) == {"after_pause"}


def test_an_unknown_one_wants_a_blow_while_it_was_under_way() -> None:
    events = log(ADDED, planned(1), started(), CLAIMED, given_up())  # under way from second 3 to 5
    before, during = (
        Struck(Blow(0, "kill", "sender", 0.5), START + timedelta(seconds=at), START + timedelta(seconds=at + 0.5))
        for at in (1, 4)
    )
    elsewhere = replace(during, blow=Blow(0, "kill", "api", 0.5))
    assert list(checks.unexplained(events, [during])) == []
    assert len(list(checks.unexplained(events, [before, elsewhere]))) == 1
    assert broken(events, CLEAN) == set()
