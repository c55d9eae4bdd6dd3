"""Decisions about enrollments."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from outrider.dispatcher.enrollment import (
    Enrollment,
    Place,
    Schedule,
    Who,
    delete,
    enroll,
    enrollment,
    finish,
    reopen,
    schedule,
    skip_at_dispatch,
    stop,
    stop_suppressed,
    unsubscribe,
)
from outrider.events.campaign import CampaignDeleted
from outrider.events.contact import ContactAdded, ContactDeleted, ContactUnsubscribed
from outrider.events.delivery import DeliveryFailed, DeliveryResolved, EmailBounced
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentCreated,
    EnrollmentFinished,
    EnrollmentNotFound,
    EnrollmentReplied,
    EnrollmentSkipped,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    PlannedStep,
    StepReopened,
    StepsScheduled,
)
from outrider.events.inbound import BounceReceived, ComplaintReceived, OptOutReceived, ReplyReceived
from outrider.events.message import Event
from outrider.events.testing import given

E, M, P, K, D, X = (UUID(int=n) for n in range(1, 7))
T = datetime(2026, 11, 23, 9, tzinfo=UTC)
WHO = Who(E, M, P)
ID: dict[str, Any] = {"enrollment_id": E, "campaign_id": M, "contact_id": P}
BACK: dict[str, Any] = {**ID, "credential_id": K, "delivery_id": D, "position": 1}
CREATED = EnrollmentCreated(**ID, batch_number=1, ordinal=3)
SCHEDULED = StepsScheduled(
    **ID,
    credential_id=K,
    batch_number=1,
    dispatch_id=X,
    steps=(PlannedStep(position=1, at=T), PlannedStep(position=2, at=T)),
    reason="first to start",
)
FINISHED = EnrollmentFinished(**ID)
REPLY = ReplyReceived(**BACK, received_at=T)
REPLIED = EnrollmentReplied(**ID, credential_id=K, delivery_id=D, step_position=1, replied_at=T, inbound=X)
REFUSED = EmailBounced(**BACK, attempt=1, kind="hard", status_code="550", reason="user_unknown", bounced_at=T)
RETURNED = BounceReceived(**BACK, received_at=T, kind="hard", status_code="550", reason="user_unknown")
BOUNCED = EnrollmentBounced(
    **ID,
    credential_id=K,
    delivery_id=D,
    step_position=1,
    kind="hard",
    status_code="550",
    reason="user_unknown",
    bounced_at=T,
)
OUT = EnrollmentUnsubscribed(**ID)
OPTED_OUT = OptOutReceived(**BACK, received_at=T)
UNSUBSCRIBED = ContactUnsubscribed(contact_id=P)
COMPLAINT = ComplaintReceived(**BACK, received_at=T)
FAILED = DeliveryFailed(**BACK, attempt=9, status_code="451")
DELETED = ContactDeleted(contact_id=P, address_key="k")
CAMPAIGN_DELETED = CampaignDeleted(campaign_id=M)
ENROLL = partial(enroll, WHO, Place(1, ordinal=3), None)
SCHEDULE = partial(schedule, WHO, Schedule(X, 1, K, (T, T), "first to start"))


def skipped(kind: str, *, at_dispatch: bool) -> EnrollmentSkipped:
    return EnrollmentSkipped.model_validate({**ID, "kind": kind, "at_dispatch": at_dispatch, "batch_number": 1})


def stopping(trigger: Event) -> Callable[[Enrollment], Sequence[Event]]:
    return partial(stop, WHO, trigger, X)


def test_a_contact_is_enrolled() -> None:
    given(enrollment).when(ENROLL).then(CREATED)


def test_a_contact_that_must_be_skipped_is_not_enrolled_but_may_be_later() -> None:
    decide = partial(enroll, WHO, Place(1, ordinal=3), "suppressed")
    given(enrollment).when(decide).then(skipped("suppressed", at_dispatch=False)).when(ENROLL).then(CREATED)


@pytest.mark.parametrize(
    "history", [(CREATED,), (CREATED, SCHEDULED), (CREATED, EnrollmentStopped(**ID, reason="deleted"))]
)
def test_one_that_stands_or_stood_is_enrolled_already(history: Sequence[Event]) -> None:
    given(enrollment, *history).when(ENROLL).then(skipped("already_enrolled", at_dispatch=False))


@pytest.mark.parametrize("history", [(CREATED,), (CREATED, SCHEDULED)])
def test_one_that_is_deleted_has_ended(history: Sequence[Event]) -> None:
    gone = EnrollmentStopped(**ID, reason="deleted")
    decide = partial(delete, WHO)
    given(enrollment, *history).when(decide).then(gone).when(decide).then().when(SCHEDULE).then()


def test_deleting_what_has_ended_changes_nothing_and_what_never_was_is_unknown() -> None:
    given(enrollment, CREATED, SCHEDULED, REPLIED).when(partial(delete, WHO)).then()
    given(enrollment).when(partial(delete, WHO)).refused(EnrollmentNotFound)


def test_a_pending_one_is_scheduled_once() -> None:
    given(enrollment, CREATED).when(SCHEDULE).then(SCHEDULED).when(SCHEDULE).then()


def test_what_was_skipped_at_the_dispatch_has_ended() -> None:
    decide = partial(skip_at_dispatch, WHO, 1, "mx_invalid")
    skip = skipped("mx_invalid", at_dispatch=True)
    given(enrollment, CREATED).when(decide).then(skip).when(decide).then().when(SCHEDULE).then()


def test_a_refusal_for_an_enrolled_contact_does_not_end_the_enrollment() -> None:
    history = (CREATED, skipped("already_enrolled", at_dispatch=False))
    given(enrollment, *history).when(SCHEDULE).then(SCHEDULED)


def test_one_that_nothing_stopped_finishes() -> None:
    given(enrollment, CREATED, SCHEDULED).when(partial(finish, WHO)).then(FINISHED).when(partial(finish, WHO)).then()
    given(enrollment, CREATED, SCHEDULED, REPLIED).when(partial(finish, WHO)).then()


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (REPLY, REPLIED),
        (REFUSED, BOUNCED),
        (RETURNED, BOUNCED),
        (OPTED_OUT, OUT),
        (UNSUBSCRIBED, OUT),
        (COMPLAINT, EnrollmentStopped(**ID, reason="complaint")),
        (FAILED, EnrollmentStopped(**ID, reason="failed")),
        (DELETED, EnrollmentStopped(**ID, reason="contact_deleted")),
        (CAMPAIGN_DELETED, EnrollmentStopped(**ID, reason="campaign_deleted")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_stops_an_enrollment(trigger: Event, expected: Event) -> None:
    decide = stopping(trigger)
    given(enrollment, CREATED, SCHEDULED).when(decide).then(expected).when(decide).then()
    given(enrollment).when(decide).then()


@pytest.mark.parametrize(("trigger", "expected"), [(REPLY, REPLIED), (RETURNED, BOUNCED), (OPTED_OUT, OUT)])
def test_what_comes_after_the_last_step_is_recorded_all_the_same(trigger: Event, expected: Event) -> None:
    given(enrollment, CREATED, SCHEDULED, FINISHED).when(stopping(trigger)).then(expected)


@pytest.mark.parametrize("trigger", [UNSUBSCRIBED, COMPLAINT, FAILED, DELETED, CAMPAIGN_DELETED])
def test_what_only_ends_leaves_alone_what_has_ended(trigger: Event) -> None:
    given(enrollment, CREATED, SCHEDULED, FINISHED).when(stopping(trigger)).then()


def test_other_events_stop_nothing() -> None:
    other = ContactAdded(contact_id=P, import_id=None, address_key="k")
    given(enrollment, CREATED).when(stopping(other)).then()


def test_a_link_in_its_own_message_unsubscribes_it_even_when_it_has_finished() -> None:
    decide = partial(unsubscribe, WHO)
    given(enrollment, CREATED, SCHEDULED, FINISHED).when(decide).then(OUT).when(decide).then()


@examples(
    st.lists(st.sampled_from([CREATED, SCHEDULED, FINISHED, REPLIED, BOUNCED, OUT]), max_size=6),
    st.sampled_from(
        [
            SCHEDULE,
            partial(finish, WHO),
            partial(unsubscribe, WHO),
            partial(skip_at_dispatch, WHO, 1, "mx_invalid"),
            partial(stop_suppressed, WHO),
        ]
    )
    | st.sampled_from([REPLY, REFUSED, RETURNED, OPTED_OUT, UNSUBSCRIBED, COMPLAINT, FAILED, DELETED]).map(stopping),
)
def test_the_same_decision_twice_adds_nothing(
    history: Sequence[Event], decide: Callable[[Enrollment], Sequence[Event]]
) -> None:
    state = enrollment.fold(history)
    state = enrollment.fold(decide(state), state)
    assert list(decide(state)) == []


@examples(st.lists(st.sampled_from([CREATED, SCHEDULED, FINISHED, REPLIED, BOUNCED, OUT]), max_size=6))
def test_enrolling_twice_never_creates_twice(history: Sequence[Event]) -> None:
    state = enrollment.fold(history)
    state = enrollment.fold(ENROLL(state), state)
    assert not any(isinstance(event, EnrollmentCreated) for event in ENROLL(state))


def test_one_that_is_suppressed_when_a_step_is_due_ends() -> None:
    stopped = EnrollmentStopped(**ID, reason="suppressed")
    given(enrollment, CREATED, SCHEDULED).when(partial(stop_suppressed, WHO)).then(stopped)
    given(enrollment, CREATED, SCHEDULED, FINISHED).when(partial(stop_suppressed, WHO)).then()


def test_a_step_that_was_not_sent_goes_on_unless_something_ended_its_enrollment() -> None:
    resolved = DeliveryResolved(**BACK, attempt=2, outcome="not_sent", at=T)
    reopened = StepReopened(**ID, credential_id=K, position=1, attempt=3, at=T)
    decide = partial(reopen, resolved, T)
    given(enrollment, CREATED, SCHEDULED).when(decide).then(reopened)
    given(enrollment, CREATED, SCHEDULED, FINISHED).when(decide).then(reopened)
    for end in (REPLIED, BOUNCED, OUT, EnrollmentStopped(**ID, reason="deleted")):
        given(enrollment, CREATED, SCHEDULED, FINISHED, end).when(decide).then()
    given(enrollment, CREATED, SCHEDULED, FINISHED, reopened).when(partial(finish, WHO)).then(FINISHED)
