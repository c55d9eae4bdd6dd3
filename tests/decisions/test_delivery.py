"""A delivery is claimed once for each attempt, has one outcome for each claim, and no outcome is ever replaced."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given as example
from hypothesis import strategies as st

from outrider.events.delivery import (
    DeferredBy,
    DeliveryDeferred,
    DeliveryFailed,
    DeliveryResolved,
    DeliveryStarted,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
    SendAlreadyResolved,
    SendInFlight,
    SendNotFound,
    SendStep,
)
from outrider.events.message import Event
from outrider.events.testing import given
from outrider.sender import smtp
from outrider.sender.delivery import (
    Lost,
    Outcome,
    Postponed,
    Refused,
    Sent,
    Unrenderable,
    delay_seconds,
    delivery,
    frees_quota,
    give_up,
    resolve,
    restore,
    settle,
    start,
)
from outrider.sender.verdicts import outcome_of, reason_of, status_code

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
DAY = timedelta(hours=24)
ABOUT: dict[str, Any] = {
    "delivery_id": UUID(int=1),
    "enrollment_id": UUID(int=2),
    "campaign_id": UUID(int=3),
    "contact_id": UUID(int=4),
    "credential_id": UUID(int=5),
    "position": 1,
}
OUTCOMES: Sequence[Outcome] = (
    Sent("250"),
    Refused("hard", "5.1.1", "user_unknown"),
    Postponed("recipient_server", "4.7.1"),
    Postponed("host"),
    Postponed("credential", "5.7.8"),
    Postponed("not_begun"),
    Unrenderable(),
    Lost("lost_after_data"),
    Lost("no_outcome"),
)
FINAL = (EmailSent, EmailBounced, DeliveryFailed)


def job(attempt: int = 1) -> SendStep:
    return SendStep(account_id=UUID(int=9), **ABOUT, attempt=attempt, planned_at=NOW, previous_delivery_id=None)


def started(attempt: int = 1) -> DeliveryStarted:
    return DeliveryStarted(
        **ABOUT,
        attempt=attempt,
        claim=UUID(int=100 + attempt),
        day=NOW.date(),
        counted=True,
        template_version=2,
        planned_at=NOW,
    )


def deferred(
    attempt: int = 1, by: DeferredBy = "recipient_server", at: datetime = NOW, first: datetime | None = None
) -> DeliveryDeferred:
    return DeliveryDeferred(
        **ABOUT,
        attempt=attempt,
        by=by,
        status_code="4.7.1" if by == "recipient_server" else "",
        not_before=at + timedelta(seconds=delay_seconds(attempt, 0)),
        first_attempt_at=first or at,
    )


def unknown() -> DeliveryUnknown:
    return DeliveryUnknown(**ABOUT, attempt=1, reason="no_outcome", at=NOW)


def claim(attempt: int) -> "partial[Sequence[DeliveryStarted]]":
    return partial(start, job(attempt), UUID(int=100 + attempt), NOW, 2, counted=True)


def ends(outcome: Outcome, at: datetime = NOW) -> "partial[Sequence[Event]]":
    return partial(settle, outcome, at, 0)


def test_a_new_delivery_is_claimed_at_its_first_attempt_only() -> None:
    given(delivery).when(claim(1)).then(started())
    given(delivery).when(claim(2)).then()


@pytest.mark.parametrize(
    "history",
    [
        [started()],
        [started(), EmailSent(**ABOUT, attempt=1, planned_at=NOW, sent_at=NOW, status_code="250")],
        [started(), DeliveryFailed(**ABOUT, attempt=1, status_code="4.7.1")],
        [started(), unknown()],
        [started(), deferred()],
    ],
)
def test_an_attempt_is_claimed_once_whatever_became_of_it(history: list[Event]) -> None:
    given(delivery, *history).when(claim(1)).then()


def test_what_a_backup_has_lost_is_unknown_or_sent_and_an_outcome_stands() -> None:
    lost = DeliveryUnknown(**ABOUT, attempt=1, reason="restored", at=NOW)
    sent = DeliveryResolved(**ABOUT, attempt=1, outcome="sent", at=NOW)
    nobody_knows = partial(restore, started(), NOW, mailed=False)
    named = partial(restore, started(), NOW, mailed=True)
    given(delivery).when(nobody_knows).then(started(), lost).when(nobody_knows).then()
    given(delivery).when(named).then(started(), lost, sent).when(claim(2)).then()
    given(delivery, started()).when(named).then(lost, sent)
    again = DeliveryUnknown(**ABOUT, attempt=2, reason="restored", at=NOW)
    given(delivery, started(), deferred()).when(partial(restore, started(2), NOW, mailed=False)).then(started(2), again)
    for ended in (unknown(), DeliveryFailed(**ABOUT, attempt=1, status_code="4.7.1")):
        given(delivery, started(), ended).when(named).then()


def test_the_next_attempt_may_be_claimed_after_a_deferral_and_no_other() -> None:
    given(delivery, started(), deferred()).when(claim(2)).then(started(2))
    given(delivery, started(), deferred()).when(claim(3)).then()
    given(delivery, started(), unknown()).when(claim(2)).then()


def test_what_somebody_found_not_sent_may_be_claimed_again() -> None:
    resolved = DeliveryResolved(**ABOUT, attempt=1, outcome="not_sent", at=NOW)
    given(delivery, started(), unknown(), resolved).when(claim(2)).then(started(2))


@pytest.mark.parametrize("outcome", ["sent", "not_sent"])
def test_what_is_unknown_may_be_resolved_and_nothing_else(outcome: Literal["sent", "not_sent"]) -> None:
    resolved = DeliveryResolved(**ABOUT, attempt=1, outcome=outcome, at=NOW)
    decide = partial(resolve, outcome, NOW)
    given(delivery, started(), unknown()).when(decide).then(resolved)
    given(delivery).when(decide).refused(SendNotFound)
    given(delivery, started()).when(decide).refused(SendInFlight)
    for settled in (deferred(), resolved, DeliveryFailed(**ABOUT, attempt=1, status_code="4.7.1")):
        given(delivery, started(), unknown(), settled).when(decide).refused(SendAlreadyResolved)


def test_an_accepted_message_is_sent() -> None:
    sent = EmailSent(**ABOUT, attempt=1, planned_at=NOW, sent_at=NOW, status_code="250")
    given(delivery, started()).when(ends(Sent("250"))).then(sent)


def test_a_refused_one_has_bounced() -> None:
    bounced = EmailBounced(**ABOUT, attempt=1, kind="hard", status_code="5.1.1", reason="user_unknown", bounced_at=NOW)
    given(delivery, started()).when(ends(Refused("hard", "5.1.1", "user_unknown"))).then(bounced)


def test_one_that_cannot_be_rendered_has_failed() -> None:
    given(delivery, started()).when(ends(Unrenderable())).then(DeliveryFailed(**ABOUT, attempt=1, status_code="5.6.0"))


def test_the_recipients_server_may_put_it_off_for_a_day() -> None:
    once = deferred()
    given(delivery, started()).when(ends(Postponed("recipient_server", "4.7.1"))).then(once)
    late = NOW + DAY - timedelta(seconds=1)
    again = deferred(2, at=late, first=NOW)
    given(delivery, started(), once, started(2)).when(ends(Postponed("recipient_server", "4.7.1"), late)).then(again)
    failed = DeliveryFailed(**ABOUT, attempt=2, status_code="4.7.1")
    given(delivery, started(), once, started(2)).when(ends(Postponed("recipient_server", "4.7.1"), NOW + DAY)).then(
        failed
    )


@pytest.mark.parametrize("by", ["host", "credential", "not_begun"])
def test_the_day_begins_anew_after_what_the_recipients_server_cannot_help(by: DeferredBy) -> None:
    later = NOW + 2 * DAY
    history = [started(), deferred(), started(2)]
    given(delivery, *history).when(ends(Postponed(by), later)).then(deferred(2, by, later)).when(claim(3)).then(
        started(3)
    ).when(ends(Postponed("recipient_server", "4.7.1"), later + DAY / 2)).then(
        deferred(3, at=later + DAY / 2, first=later)
    )


def test_a_word_of_the_server_settles_what_was_given_up_as_unknown() -> None:
    sent = EmailSent(**ABOUT, attempt=1, planned_at=NOW, sent_at=NOW, status_code="250", late=True)
    given(delivery, started(), unknown()).when(ends(Sent("250"))).then(sent)
    given(delivery, started(), unknown()).when(ends(Postponed("host"))).then()
    given(delivery, started(), unknown()).when(ends(Lost("lost_after_data"))).then()


def test_a_claim_in_doubt_ends_its_attempt_only_where_it_was_not_recorded() -> None:
    doubt = partial(give_up, started(), NOW, 0)
    given(delivery).when(doubt).then(deferred(1, "not_begun"))
    given(delivery, started()).when(doubt).then()
    given(delivery, deferred(1, "not_begun")).when(doubt).then()


def test_after_it_the_attempt_is_never_claimed_and_the_next_one_is() -> None:
    given(delivery, deferred(1, "not_begun")).when(claim(1)).then().when(claim(2)).then(started(2))


def test_waits_double_from_half_a_minute_up_to_three_hours() -> None:
    assert [delay_seconds(attempt, 0) for attempt in (1, 2, 3, 9, 10, 11, 5000)] == [
        *(30, 60, 120, 7680),
        *(10800, 10800, 10800),
    ]
    assert (delay_seconds(1, -1), delay_seconds(1, 1)) == (24, 36)


events = st.one_of(
    st.integers(1, 3).map(started),
    st.integers(1, 3).map(deferred),
    st.just(unknown()),
    st.just(EmailSent(**ABOUT, attempt=1, planned_at=NOW, sent_at=NOW, status_code="250")),
    st.just(DeliveryFailed(**ABOUT, attempt=1, status_code="4.7.1")),
    st.just(DeliveryResolved(**ABOUT, attempt=1, outcome="sent", at=NOW)),
    st.just(DeliveryResolved(**ABOUT, attempt=1, outcome="not_sent", at=NOW)),
)
histories = st.lists(events, max_size=8)


@example(histories, st.integers(1, 4))
def test_whatever_happened_the_same_claim_twice_is_one(history: list[Event], attempt: int) -> None:
    state = delivery.fold(history)
    first = list(claim(attempt)(state))
    assert not claim(attempt)(delivery.fold(first, state)) or not first


@example(histories, st.sampled_from(OUTCOMES), st.sampled_from(OUTCOMES))
def test_whatever_happened_an_outcome_is_recorded_once_and_never_replaced(
    history: list[Event], first: Outcome, second: Outcome
) -> None:
    state = delivery.fold(history)
    recorded = settle(first, NOW, 0, state)
    after = delivery.fold(recorded, state)
    assert not settle(first, NOW, 0, after) or not recorded
    if any(isinstance(event, FINAL) for event in recorded):
        assert not settle(second, NOW, 0, after)


@example(histories)
def test_whatever_happened_at_most_one_message_is_taken(history: list[Event]) -> None:
    """A walk over decisions alone: each sent outcome needs a claim that nothing ended before."""
    state, taken = delivery.initial, 0
    for attempt, _ in enumerate(history, 1):
        state = delivery.fold(claim(attempt)(state), state)
        for outcome in (Lost("no_outcome"), Sent("250")) if attempt % 2 else (Postponed("host"), Sent("250")):
            new = settle(outcome, NOW, 0, state)
            taken += sum(isinstance(event, EmailSent) for event in new)
            state = delivery.fold(new, state)
    assert taken <= 1


def test_only_what_no_server_took_gives_its_place_back() -> None:
    state = delivery.fold([started()])
    freed = {type(outcome).__name__: frees_quota(settle(outcome, NOW, 0, state)[0]) for outcome in OUTCOMES}
    assert freed == {"Sent": False, "Refused": True, "Postponed": True, "Unrenderable": True, "Lost": False}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (smtp.Accepted("2.0.0 Ok: queued as 5.1.1"), Sent("2.0.0")),
        (smtp.Accepted("Ok"), Sent("250")),
        (smtp.Rejected("hard", 550, "5.1.1 No such user", "rcpt"), Refused("hard", "5.1.1", "user_unknown")),
        (smtp.Rejected("block", 554, "Spam from 5.1.2 software", "dot"), Refused("block", "554", "policy")),
        (smtp.Deferred(451, "4.7.1 Greylisted"), Postponed("recipient_server", "4.7.1")),
        (smtp.NotSent("The server shut the door."), Postponed("host")),
        (smtp.NotSent("stale claim"), Postponed("host")),
        (smtp.NotSent("shutdown"), Postponed("not_begun")),
        (smtp.CredentialFailed("auth_failed", 535, "5.7.8 No"), Postponed("credential", "5.7.8")),
        (smtp.Unknown("shutdown"), Lost("shutdown")),
        (smtp.Unknown("The server shut the connection."), Lost("lost_after_data")),
    ],
)
def test_what_the_server_answers_is_one_outcome(answer: smtp.Outcome, outcome: Outcome) -> None:
    assert outcome_of(answer) == outcome


def test_reasons_are_of_a_small_set() -> None:
    codes = ["5.1.1", "5.1.2", "5.2.2", "5.7.26", "5.9.9", "550"]
    assert [reason_of(code, "soft") for code in codes] == [
        *("user_unknown", "host_unknown", "mailbox_full", "policy", "other", "other"),
    ]
    assert (reason_of("550", "hard"), reason_of("554", "block")) == ("user_unknown", "policy")
    assert status_code(550, "#5.1.1 marked as qmail does") == "5.1.1"
