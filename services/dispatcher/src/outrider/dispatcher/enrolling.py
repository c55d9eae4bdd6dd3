"""One contact into one campaign, as the streams stand; and its way out of the outreach again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from uuid import UUID

from outrider.dispatcher import facts
from outrider.dispatcher.contact import contact
from outrider.dispatcher.desk import Desk, chunks
from outrider.dispatcher.dispatching import campaign_state
from outrider.dispatcher.enrollment import Place, Who, enroll, enrollment
from outrider.dispatcher.facts_enrolling import is_siblings
from outrider.dispatcher.outreach import outreach, release, reservation, reservation_id, reserve
from outrider.events.campaign import EnrollContact, EnrollImport
from outrider.events.contact import ContactNotFound
from outrider.events.enrollment import EnrollmentSkipped, SkipKind
from outrider.events.errors import Conflict, NotYet
from outrider.events.ids import enrollment_id
from outrider.events.log import Expect, Write
from outrider.events.todo import Todo

TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class Sharing:
    """With whom a campaign shares its contacts."""

    outreach_id: UUID | None = None
    unique: bool = False
    """Whether a contact that is a sibling's must be skipped."""

    def writes(self, who: Who, version: int, cause: UUID) -> list[Write]:
        """The contact is this campaign's within the outreach, whose reservation is free and stands at `version`."""
        if self.outreach_id is None:
            return []
        events = reserve(self.outreach_id, who.contact_id, who.enrollment_id, reservation.initial)
        return [Write(_stream(self.outreach_id, who.contact_id), version, events, cause)]


def _stream(outreach_id: UUID, contact_id: UUID) -> str:
    return reservation.stream(reservation_id(outreach_id, contact_id))


async def sharing(desk: Desk, account: UUID, campaign_id: UUID) -> Sharing:
    """What the campaign's outreach asks of it."""
    outreach_id = (await campaign_state(desk, account, campaign_id)).settings.outreach_id
    if outreach_id is None:
        return Sharing()
    history = await desk.log.read_stream(account, outreach.stream(outreach_id))
    return Sharing(outreach_id, outreach.fold(item.event for item in history).unique_contacts)


async def enroll_as_it_stands(
    desk: Desk, command: EnrollImport | EnrollContact, shared: Sharing, who: Who, place: Place
) -> Sequence[EnrollmentSkipped]:
    """Enrolled or skipped by what the streams say now; the skips. Raises ContactNotFound, NotYet."""
    account, cause = command.account_id, command.command_id
    for _ in range(TRIES):
        person = await desk.log.read_stream(account, contact.stream(who.contact_id))
        state = contact.fold(item.event for item in person)
        if state.status != "present":
            raise ContactNotFound
        history = await desk.log.read_stream(account, enrollment.stream(who.enrollment_id))
        if done := [item.event for item in history if item.cause == cause]:
            return [event for event in done if isinstance(event, EnrollmentSkipped)]
        skip = "unsubscribed" if state.unsubscribed else await facts.skip_kind(desk.tables, who.contact_id)
        taken, claim = await _reservation(desk, account, shared, who, cause)
        if taken and shared.unique:
            skip = skip or "cross_campaign_duplicate"
        events = enroll(who, _kept(place, shared, claim, skip), skip, enrollment.fold(item.event for item in history))
        skips = [event for event in events if isinstance(event, EnrollmentSkipped)]
        try:
            await desk.log.append(
                account,
                Write(enrollment.stream(who.enrollment_id), len(history), events, cause),
                Expect(contact.stream(who.contact_id), len(person)),
                *([] if skips else claim),
            )
        except Conflict:
            continue
        return skips
    raise NotYet(0.1)


def _kept(place: Place, shared: Sharing, claim: Sequence[Write], skip: SkipKind | None) -> Place:
    return replace(place, outreach_id=shared.outreach_id) if claim and skip is None else place


async def _reservation(desk: Desk, account: UUID, shared: Sharing, who: Who, cause: UUID) -> tuple[bool, list[Write]]:
    """Whether the contact is another campaign's, and what makes it this one's."""
    if shared.outreach_id is None:
        return False, []
    history = await desk.log.read_stream(account, _stream(shared.outreach_id, who.contact_id))
    holder = reservation.fold(item.event for item in history).enrollment_id
    if holder is not None:
        return holder != who.enrollment_id, []
    if await is_siblings(desk.tables, account, who.campaign_id, shared.outreach_id, who.contact_id):
        return True, []
    return False, shared.writes(who, len(history), cause)


async def free_contact(desk: Desk, item: Todo) -> None:
    """The contact of a deleted enrollment is free for the outreach's other campaigns, unless a mail went out."""
    await desk.fresh()
    for row in await facts.unmailed_of(desk.tables, enrollment=UUID(item.key)):
        await _free(desk, item.account_id, UUID(item.data["cause"]), *row)


async def free_contacts(desk: Desk, account: UUID, campaign_id: UUID, cause: UUID) -> None:
    """The same for every enrollment of a campaign; its facts must hold what was recorded before it was deleted."""
    for part in chunks(await facts.unmailed_of(desk.tables, campaign=campaign_id)):
        await asyncio.gather(*(_free(desk, account, cause, *row) for row in part))


async def _free(desk: Desk, account: UUID, cause: UUID, outreach_id: UUID, campaign_id: UUID, contact_id: UUID) -> None:  # noqa: PLR0913, PLR0917  # a row of the query
    decide = partial(release, outreach_id, contact_id, enrollment_id(campaign_id, contact_id))
    await desk.log.transact(account, reservation, reservation_id(outreach_id, contact_id), decide, cause=cause)
