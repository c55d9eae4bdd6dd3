"""Outreach: which campaigns share their contacts, and whose a contact is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from outrider.events.aggregate import Aggregate
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


@dataclass(frozen=True, slots=True)
class Outreach:
    """What is remembered of an outreach."""

    status: Literal["absent", "present", "deleted"] = "absent"
    unique_contacts: bool = False
    campaigns: frozenset[UUID] = frozenset()
    """Those that refer to it."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Whose a contact is within an outreach."""

    enrollment_id: UUID | None = None


def evolve_outreach(state: Outreach, event: Event) -> Outreach:
    """The state after the event."""
    match event:
        case OutreachCreated(unique_contacts=unique):
            return replace(state, status="present", unique_contacts=unique)
        case OutreachChanged(unique_contacts=unique):
            return replace(state, unique_contacts=unique)
        case OutreachDeleted():
            return replace(state, status="deleted")
        case OutreachJoined(campaign_id=campaign):
            return replace(state, campaigns=state.campaigns | {campaign})
        case OutreachLeft(campaign_id=campaign):
            return replace(state, campaigns=state.campaigns - {campaign})
        case _:
            return state


def evolve_reservation(state: Reservation, event: Event) -> Reservation:
    """The state after the event."""
    match event:
        case OutreachContactReserved(enrollment_id=enrollment):
            return Reservation(enrollment)
        case OutreachContactReleased():
            return Reservation()
        case _:
            return state


outreach = Aggregate("outreach", Outreach(), evolve_outreach)
reservation = Aggregate("outreachContact", Reservation(), evolve_reservation)


def reservation_id(outreach_id: UUID, contact_id: UUID) -> str:
    """The id within the category."""
    return f"{outreach_id}+{contact_id}"


def create(command: CreateOutreach, state: Outreach) -> Sequence[Event]:
    """Campaigns may refer to it."""
    if state.status != "absent":
        return []
    return [OutreachCreated(outreach_id=command.outreach_id, unique_contacts=command.unique_contacts)]


def change(command: ChangeOutreach, state: Outreach) -> Sequence[Event]:
    """It asks this of its campaigns."""
    if state.status != "present":
        raise OutreachNotFound
    if command.unique_contacts == state.unique_contacts:
        return []
    return [OutreachChanged(outreach_id=command.outreach_id, unique_contacts=command.unique_contacts)]


def delete(command: DeleteOutreach, state: Outreach) -> Sequence[Event]:
    """It is gone; nothing refers to it."""
    if state.status != "present":
        raise OutreachNotFound
    if state.campaigns:
        raise OutreachNotEmpty
    return [OutreachDeleted(outreach_id=command.outreach_id)]


def join(outreach_id: UUID, campaign_id: UUID, state: Outreach) -> Sequence[Event]:
    """The campaign refers to it."""
    if state.status != "present":
        raise OutreachNotFound
    if campaign_id in state.campaigns:
        return []
    return [OutreachJoined(outreach_id=outreach_id, campaign_id=campaign_id)]


def leave(outreach_id: UUID, campaign_id: UUID, state: Outreach) -> Sequence[Event]:
    """The campaign refers to it no more."""
    if campaign_id not in state.campaigns:
        return []
    return [OutreachLeft(outreach_id=outreach_id, campaign_id=campaign_id)]


def reserve(outreach_id: UUID, contact_id: UUID, enrollment_id: UUID, state: Reservation) -> Sequence[Event]:
    """The contact is this enrollment's; nothing where it has an enrollment already."""
    if state.enrollment_id is not None:
        return []
    return [OutreachContactReserved(outreach_id=outreach_id, contact_id=contact_id, enrollment_id=enrollment_id)]


def release(outreach_id: UUID, contact_id: UUID, enrollment_id: UUID, state: Reservation) -> Sequence[Event]:
    """The contact is no longer this enrollment's."""
    if state.enrollment_id != enrollment_id:
        return []
    return [OutreachContactReleased(outreach_id=outreach_id, contact_id=contact_id, enrollment_id=enrollment_id)]
