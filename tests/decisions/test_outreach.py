"""Decisions about outreaches, and about whose a contact is within one."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from hypothesis import given as examples
from hypothesis import strategies as st

from outrider.dispatcher.outreach import (
    Outreach,
    Reservation,
    change,
    create,
    delete,
    join,
    leave,
    outreach,
    release,
    reservation,
    reserve,
)
from outrider.events.aggregate import Aggregate
from outrider.events.errors import Refused
from outrider.events.message import Event
from outrider.events.outreach import (
    ChangeOutreach,
    CreateOutreach,
    DeleteOutreach,
    OutreachChanged,
    OutreachContactReleased,
    OutreachContactReserved,
    OutreachCreated,
    OutreachDeleted,
    OutreachJoined,
    OutreachLeft,
    OutreachNotEmpty,
    OutreachNotFound,
)
from outrider.events.testing import given

A, C, R, M, P, E, F = (UUID(int=n) for n in range(1, 8))
CREATED = OutreachCreated(outreach_id=R, unique_contacts=True)
CHANGED = OutreachChanged(outreach_id=R, unique_contacts=False)
DELETED = OutreachDeleted(outreach_id=R)
JOINED, LEFT = OutreachJoined(outreach_id=R, campaign_id=M), OutreachLeft(outreach_id=R, campaign_id=M)
RESERVED = OutreachContactReserved(outreach_id=R, contact_id=P, enrollment_id=E)
RELEASED = OutreachContactReleased(outreach_id=R, contact_id=P, enrollment_id=E)
CREATE = partial(create, CreateOutreach(command_id=C, account_id=A, outreach_id=R, unique_contacts=True))
CHANGE = partial(change, ChangeOutreach(command_id=C, account_id=A, outreach_id=R, unique_contacts=False))
DELETE = partial(delete, DeleteOutreach(command_id=C, account_id=A, outreach_id=R))
JOIN, LEAVE = partial(join, R, M), partial(leave, R, M)
RESERVE, RELEASE = partial(reserve, R, P, E), partial(release, R, P, E)


def test_an_outreach_is_created_once() -> None:
    given(outreach).when(CREATE).then(CREATED).when(CREATE).then()


def test_what_it_asks_of_its_campaigns_is_changed_once() -> None:
    given(outreach, CREATED).when(CHANGE).then(CHANGED).when(CHANGE).then()


def test_one_that_is_not_there_is_unknown_to_everybody() -> None:
    for history in ((), (CREATED, DELETED)):
        for decide in (CHANGE, DELETE, JOIN):
            given(outreach, *history).when(decide).refused(OutreachNotFound)


def test_one_that_a_campaign_refers_to_is_not_deleted() -> None:
    given(outreach, CREATED, JOINED).when(DELETE).refused(OutreachNotEmpty)
    given(outreach, CREATED, JOINED, LEFT).when(DELETE).then(DELETED)


def test_a_campaign_joins_and_leaves_once() -> None:
    given(outreach, CREATED).when(JOIN).then(JOINED).when(JOIN).then().when(LEAVE).then(LEFT).when(LEAVE).then()


def test_a_contact_is_one_enrollments() -> None:
    given(reservation).when(RESERVE).then(RESERVED).when(RESERVE).then()
    given(reservation, RESERVED).when(partial(reserve, R, P, F)).then()


def test_a_contact_is_released_by_its_own_enrollment_alone() -> None:
    given(reservation, RESERVED).when(partial(release, R, P, F)).then()
    given(reservation, RESERVED).when(RELEASE).then(RELEASED).when(RELEASE).then()
    given(reservation, RESERVED, RELEASED).when(RESERVE).then(RESERVED)


CASES: list[tuple[Aggregate[Any], list[Event], list[Callable[[Any], Sequence[Event]]]]] = [
    (outreach, [CREATED, CHANGED, DELETED, JOINED, LEFT], [CREATE, CHANGE, DELETE, JOIN, LEAVE]),
    (reservation, [RESERVED, RELEASED], [RESERVE, RELEASE]),
]


@examples(st.data())
def test_the_same_command_twice_adds_nothing(data: st.DataObject) -> None:
    aggregate, events, decisions = data.draw(st.sampled_from(CASES))
    state: Outreach | Reservation = aggregate.fold(data.draw(st.lists(st.sampled_from(events), max_size=6)))
    decide = data.draw(st.sampled_from(decisions))
    try:
        state = aggregate.fold(decide(state), state)
        assert list(decide(state)) == []
    except Refused:
        pass
