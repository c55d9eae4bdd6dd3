"""A verdict that was wrong is withdrawn: what the message was, what followed from it, and what goes on."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from outrider.dispatcher.contact import contact, set_right, unsubscribe
from outrider.dispatcher.correcting import Left, Unsent, correct
from outrider.dispatcher.enrollment import Who, enrollment
from outrider.dispatcher.retiming import OpenEnrollment, OpenStep
from outrider.dispatcher.returning import after_return, working_day_after
from outrider.events.contact import ContactAdded, ContactCorrected, ContactUnsubscribed, UnsubscribeContact
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentCorrected,
    EnrollmentCreated,
    EnrollmentFinished,
    EnrollmentReplied,
    EnrollmentUnsubscribed,
    PlannedStep,
    StepReopened,
    StepsScheduled,
)
from outrider.events.gates import closed_by
from outrider.events.inbound import (
    AutoReplyReceived,
    BounceReceived,
    InboundEventNotFound,
    InboundReclassified,
    InboundVerdict,
    OptOutReceived,
    ReclassifyInbound,
    ReplyReceived,
)
from outrider.events.message import Event, Recorded
from outrider.events.testing import given
from outrider.reply_watcher.reclassifying import heard, led_to, reclassify

E, M, P, K, D, X, ONE, TWO = (UUID(int=n) for n in range(1, 9))
T = datetime(2026, 11, 23, 9, tzinfo=UTC)  # a Monday
WHO = Who(E, M, P)
ID: dict[str, Any] = {"enrollment_id": E, "campaign_id": M, "contact_id": P}
BACK: dict[str, Any] = {**ID, "credential_id": K, "delivery_id": D, "position": 1, "received_at": T}
REPLY, AWAY = ReplyReceived(**BACK), AutoReplyReceived(**BACK)
HARD = BounceReceived(**BACK, kind="hard", status_code="5.1.1", reason="user_unknown")
OPTED_OUT = OptOutReceived(**BACK)
CREATED = EnrollmentCreated(**ID, batch_number=1)
SCHEDULED = StepsScheduled(
    **ID, credential_id=K, batch_number=1, dispatch_id=X, reason="x", steps=(PlannedStep(position=1, at=T),)
)
REPLIED = EnrollmentReplied(
    **ID, credential_id=K, delivery_id=D, step_position=1, replied_at=T, inbound=ONE, suspected=False
)
LEFT = Left(refused=False, person="present", is_running=True, steps=[Unsent(2, 1, K, T)])
REOPENED = StepReopened(**ID, credential_id=K, position=2, attempt=1, at=T)


def history(*events: Event) -> Sequence[Recorded[Event]]:
    return [
        Recorded(
            position=10 + number,
            account_id=X,
            stream=f"inbound-{E}",
            version=number,
            event=event,
            cause=ONE if number == 1 else TWO,
            ordinal=0,
            business_at=T,
            recorded_at=T,
            meta={},
        )
        for number, event in enumerate(events, 1)
    ]


def said(verdict: InboundVerdict, *events: Event, position: int = 11) -> InboundReclassified:
    command = ReclassifyInbound.model_validate(
        {"command_id": X, "account_id": X, "enrollment_id": E, "event": position, "verdict": verdict}
    )
    (found,) = reclassify(command, position, T, heard(history(*events)))
    return found


@pytest.mark.parametrize(
    ("events", "verdict", "closed"),
    [
        ((REPLY,), "ignore", ""),
        ((REPLY,), "bounce", "bounced"),
        ((HARD,), "auto_reply", ""),
        ((HARD,), "reply", "replied"),
        ((OPTED_OUT,), "reply", "replied"),
        ((AWAY,), "reply", "replied"),
        ((REPLY, HARD), "ignore", "bounced"),
        ((HARD, REPLY), "ignore", "replied"),
        ((REPLY, OPTED_OUT), "ignore", "unsubscribed"),
        ((REPLY, REPLY), "ignore", "replied"),
    ],
)
def test_the_gate_stands_as_what_is_left_wants_it(
    events: Sequence[Event], verdict: InboundVerdict, closed: str
) -> None:
    assert closed_by([*events, said(verdict, *events)]) == closed


def test_what_it_is_called_already_changes_nothing_and_what_is_no_message_is_refused() -> None:
    command = ReclassifyInbound(command_id=X, account_id=X, enrollment_id=E, event=11, verdict="reply")
    assert reclassify(command, 11, T, heard(history(REPLY))) == []
    with pytest.raises(InboundEventNotFound):
        reclassify(command, 12, T, heard(history(REPLY)))


def test_a_suspicion_that_is_confirmed_is_none_any_more() -> None:
    suspected = ReplyReceived(**BACK, suspected=True, stops=False)
    found = said("reply", suspected)
    assert found.reply is not None
    assert (found.reply.suspected, found.reply.stops, found.closes) == (False, True, "replied")


def test_a_withdrawn_verdict_can_be_restored_with_all_that_the_server_said() -> None:
    first = said("ignore", HARD)
    assert first.bounce is None
    assert first.was_hard
    command = ReclassifyInbound(command_id=X, account_id=X, enrollment_id=E, event=11, verdict="bounce")
    events = [history(HARD)[0], *history(HARD, first)[1:]]
    (again,) = reclassify(command, 11, T, heard(events))
    assert again.bounce is not None
    assert (again.was, again.bounce.status_code, again.bounce.reason) == ("ignore", "5.1.1", "user_unknown")


def test_the_event_that_ended_the_enrollment_names_the_message_too() -> None:
    [ended] = history(REPLIED)
    assert led_to(ended, heard(history(REPLY))) == 11
    [finished] = history(EnrollmentFinished(**ID))
    assert led_to(finished, heard(history(REPLY))) is None


def test_an_enrollment_that_a_wrong_reply_ended_goes_on() -> None:
    corrected = EnrollmentCorrected(**ID, inbound=ONE, withdrawn=("replied",), goes_on=True)
    found = given(enrollment, CREATED, SCHEDULED, REPLIED).when(partial(correct, WHO, said("ignore", REPLY), LEFT))
    found.then(corrected, REOPENED)
    assert found.state.status == "scheduled"
    assert closed_by([CREATED, SCHEDULED, REPLIED, corrected, REOPENED]) == ""


def test_one_with_no_step_left_has_finished() -> None:
    nothing = Left(refused=False, person="present", is_running=True, steps=[])
    given(enrollment, CREATED, SCHEDULED, REPLIED).when(partial(correct, WHO, said("ignore", REPLY), nothing)).then(
        EnrollmentCorrected(**ID, inbound=ONE, withdrawn=("replied",), goes_on=True), EnrollmentFinished(**ID)
    )


@pytest.mark.parametrize(
    "left",
    [
        Left(refused=False, person="unsubscribed", is_running=True, steps=LEFT.steps),
        Left(refused=False, person="gone", is_running=True, steps=LEFT.steps),
        Left(refused=False, person="present", is_running=False, steps=LEFT.steps),
    ],
)
def test_one_that_may_not_go_on_for_another_reason_stays_ended(left: Left) -> None:
    found = given(enrollment, CREATED, SCHEDULED, REPLIED).when(partial(correct, WHO, said("ignore", REPLY), left))
    found.then(EnrollmentCorrected(**ID, inbound=ONE, withdrawn=("replied",)))
    assert found.state.status == "ended"


def test_a_bounce_that_was_a_reply_ends_it_as_one() -> None:
    bounced = EnrollmentBounced(
        **ID,
        credential_id=K,
        delivery_id=D,
        step_position=1,
        kind="hard",
        status_code="5.1.1",
        reason="user_unknown",
        bounced_at=T,
    )
    given(enrollment, CREATED, SCHEDULED, bounced).when(partial(correct, WHO, said("reply", HARD), LEFT)).then(
        EnrollmentCorrected(**ID, inbound=ONE, withdrawn=("bounced",)), REPLIED
    )
    refused = Left(refused=True, person="present", is_running=True, steps=[])
    given(enrollment, CREATED, SCHEDULED, bounced).when(partial(correct, WHO, said("ignore", HARD), refused)).then(
        EnrollmentCorrected(**ID, inbound=ONE, withdrawn=())
    )


def test_an_automatic_reply_that_was_a_reply_ends_what_runs() -> None:
    given(enrollment, CREATED, SCHEDULED).when(partial(correct, WHO, said("reply", AWAY), LEFT)).then(
        EnrollmentCorrected(**ID, inbound=ONE, withdrawn=()), REPLIED
    )


def test_a_wish_that_was_only_misread_is_withdrawn_with_it_and_the_persons_own_is_not() -> None:
    added = ContactAdded(contact_id=P, import_id=None, address_key="x")
    read = UnsubscribeContact(command_id=X, account_id=X, contact_id=P, delivery_id=D, inbound=ONE)
    clicked = UnsubscribeContact(command_id=X, account_id=X, contact_id=P, delivery_id=D)
    wrong = partial(set_right, said("ignore", OPTED_OUT), bounced=False)
    found = given(contact, added).when(partial(unsubscribe, read)).when(wrong)
    found.then(ContactCorrected(contact_id=P, inbound=ONE, resubscribed=True, reachable=False))
    assert not found.state.unsubscribed
    both = given(contact, added).when(partial(unsubscribe, read)).when(partial(unsubscribe, clicked))
    both.then(ContactUnsubscribed(contact_id=P, delivery_id=D)).when(wrong)
    both.then(ContactCorrected(contact_id=P, inbound=ONE, resubscribed=False, reachable=False))
    assert both.state.unsubscribed
    asked = EnrollmentUnsubscribed(**ID)
    given(enrollment, CREATED, SCHEDULED, asked).when(partial(correct, WHO, said("ignore", OPTED_OUT), LEFT)).then(
        EnrollmentCorrected(**ID, inbound=ONE, withdrawn=("unsubscribed",), goes_on=True), REOPENED
    )


@pytest.mark.parametrize(("bounced", "reachable"), [(False, True), (True, False)])
def test_a_contact_is_reachable_again_unless_another_message_came_back(
    bounced: bool,  # noqa: FBT001  # a parameter of the test
    reachable: bool,  # noqa: FBT001  # the same
) -> None:
    added = ContactAdded(contact_id=P, import_id=None, address_key="x")
    expected = [ContactCorrected(contact_id=P, inbound=ONE, resubscribed=False, reachable=True)] if reachable else []
    given(contact, added).when(partial(set_right, said("ignore", HARD), bounced=bounced)).then(*expected)


@pytest.mark.parametrize(
    ("day", "after"),
    [((2026, 11, 23), (2026, 11, 24)), ((2026, 11, 27), (2026, 11, 30)), ((2026, 11, 28), (2026, 11, 30))],
)
def test_the_working_day_after_is_no_week_end(day: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    assert working_day_after(date(*day)) == date(*after)


def away(returns_on: date) -> Sequence[datetime]:
    """When the steps of somebody leave who is back on that day; planned for tomorrow and two days later."""
    steps = OpenStep(2, T + timedelta(days=1), 86400), OpenStep(3, T + timedelta(days=3), 2 * 86400)
    row = OpenEnrollment(E, K, None, steps, T)
    return [step.planned_at for step in after_return(row, returns_on, T).steps]


def test_the_next_step_waits_for_the_working_day_after_the_return_and_those_behind_it_keep_their_delay() -> None:
    assert away(date(2026, 12, 4)) == [datetime(2026, 12, 7, 9, tzinfo=UTC), datetime(2026, 12, 9, 9, tzinfo=UTC)]


def test_a_return_before_the_next_step_or_long_ago_or_in_years_moves_nothing() -> None:
    planned = [T + timedelta(days=1), T + timedelta(days=3)]
    assert away(date(2026, 11, 23)) == planned
    assert away(date(2026, 11, 1)) == planned
    assert away(date(2028, 1, 1)) == planned
