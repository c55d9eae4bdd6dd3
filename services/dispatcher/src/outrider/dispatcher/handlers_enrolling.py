"""Commands that enroll contacts, and the one that dispatches them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal
from uuid import UUID

from outrider.dispatcher import facts
from outrider.dispatcher.campaign import DispatchFacts, EnrollFacts, campaign, dispatch, enroll_import
from outrider.dispatcher.contact import contact
from outrider.dispatcher.desk import Desk, chunks, done_inline
from outrider.dispatcher.dispatching import campaign_state, people_of, plan_for, plan_key, zones
from outrider.dispatcher.enrolling import Sharing, enroll_as_it_stands, sharing
from outrider.dispatcher.enrollment import Enrollment, Place, Who, delete, enroll, enrollment
from outrider.dispatcher.facts import CredentialUse, ToEnroll
from outrider.dispatcher.planning import PlanTooLong
from outrider.events.campaign import (
    BatchDispatched,
    BatchPlanned,
    CampaignNotFound,
    DeleteEnrollment,
    DispatchBatch,
    EnrollContact,
    EnrollImport,
    ImportEnrolled,
)
from outrider.events.commands import Answer
from outrider.events.contact import ContactNotFound
from outrider.events.enrollment import ContactAlreadyEnrolled, ContactSkipped, SkipKind
from outrider.events.errors import Conflict, NotYet
from outrider.events.ids import enrollment_id, shard
from outrider.events.log import Expect, Write
from outrider.events.message import Json
from outrider.events.todo import Drain

INLINE_ENROLLMENTS: Final = 5000
"""A larger dispatch is answered before it is planned."""
SHOWN: Final = 1000
REASONS: Final[dict[str, str]] = {
    "unsubscribed": "the contact has unsubscribed",
    "bounced": "a message to the contact bounced for good",
    "suppressed": "the address is on the do-not-contact list",
    "already_enrolled": "the contact is enrolled in this campaign already",
    "cross_campaign_duplicate": "the contact is enrolled in another campaign of this outreach",
    "mx_invalid": "the domain takes no mail",
}
OUTCOME = """
select type, data ->> 'contact_id' as contact_id, data ->> 'kind' as kind, position
from log.events
where shard = $1 and cause = $2 and type in ('EnrollmentCreated', 'EnrollmentSkipped')
order by position
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What this command has recorded so far."""

    created: frozenset[UUID]
    skipped: Sequence[tuple[UUID, str]]
    """(contact, kind)."""
    position: int


async def on_enroll_import(desk: Desk, command: EnrollImport) -> Answer:
    """200 with the figures and whom it skipped; the batch numbers are given first, then each contact its place."""
    await desk.fresh()
    before = await _outcome(desk, command)
    shared = await sharing(desk, command.account_id, command.campaign_id)
    people = await facts.to_enroll(
        desk.tables, command.account_id, command.import_id, command.campaign_id, shared.outreach_id
    )
    chosen = [who for who in people if who.contact_id in before.created or not _refused(who, shared)]
    known = EnrollFacts(
        await facts.import_exists(desk.tables, command.account_id, command.import_id),
        len(chosen),
        await facts.highest_batch(desk.tables, command.campaign_id),
    )
    done = await desk.log.transact(
        command.account_id,
        campaign,
        command.campaign_id,
        partial(enroll_import, command, known),
        cause=command.command_id,
    )
    given = next((event for event in done.events if isinstance(event, ImportEnrolled)), None)
    if given is not None and given.first_batch_number is not None:
        todo = [(place, who) for place, who in enumerate(chosen) if who.contact_id not in before.created]
        for part in chunks(todo):
            await asyncio.gather(*(_enroll(desk, command, shared, given, place, who) for place, who in part))
    refused: list[tuple[ToEnroll, SkipKind]] = [
        (who, kind) for who in people if who.contact_id not in before.created and (kind := _refused(who, shared))
    ]
    for some in chunks(refused):
        await asyncio.gather(*(_skip(desk, command, who.contact_id, kind) for who, kind in some))
    return _enrolled(command, given, await _outcome(desk, command), done.position)


def _refused(who: ToEnroll, shared: Sharing) -> SkipKind | None:
    if who.is_enrolled:
        return "already_enrolled"
    return who.skip or ("cross_campaign_duplicate" if who.is_taken and shared.unique else None)


async def _outcome(desk: Desk, command: EnrollImport) -> Outcome:
    rows = await desk.log_pool.fetch(OUTCOME, shard(command.account_id), command.command_id)
    return Outcome(
        frozenset(UUID(row["contact_id"]) for row in rows if row["type"] == "EnrollmentCreated"),
        [(UUID(row["contact_id"]), row["kind"]) for row in rows if row["type"] == "EnrollmentSkipped"],
        max((row["position"] for row in rows), default=0),
    )


async def _enroll(  # noqa: PLR0913, PLR0917  # a row of the query and its place
    desk: Desk, command: EnrollImport, shared: Sharing, given: ImportEnrolled, place: int, who: ToEnroll
) -> None:
    """As the facts have it: nobody enrolled, and the contact where they saw it. Otherwise as the streams stand."""
    found = Who(enrollment_id(command.campaign_id, who.contact_id), command.campaign_id, who.contact_id)
    at = Place((given.first_batch_number or 1) + place // given.batch_size, ordinal=place)
    claim = [] if who.is_taken else shared.writes(found, 0, command.command_id)
    kept = replace(at, outreach_id=shared.outreach_id) if claim else at
    events = enroll(found, kept, None, Enrollment())
    try:
        await desk.log.append(
            command.account_id,
            Write(enrollment.stream(found.enrollment_id), 0, events, command.command_id),
            Expect(contact.stream(who.contact_id), who.version),
            *claim,
        )
    except Conflict:
        with suppress(ContactNotFound):  # deleted while we were at it
            await enroll_as_it_stands(desk, command, shared, found, at)


async def _skip(desk: Desk, command: EnrollImport, contact_id: UUID, kind: SkipKind) -> None:
    who = Who(enrollment_id(command.campaign_id, contact_id), command.campaign_id, contact_id)
    state = Enrollment("pending") if kind == "already_enrolled" else Enrollment()
    events = enroll(who, Place(0), kind, state)
    await desk.log.append(
        command.account_id, Write(enrollment.stream(who.enrollment_id), None, events, command.command_id)
    )


def _enrolled(command: EnrollImport, given: ImportEnrolled | None, outcome: Outcome, position: int) -> Answer:
    skipped: list[Json] = [
        {"contact_id": str(contact_id), "kind": kind, "reason": REASONS[kind]}
        for contact_id, kind in outcome.skipped[:SHOWN]
    ]
    body: Json = {
        "enrolled": len(outcome.created),
        "batches": given.batches if given is not None else 0,
        "batch_size": given.batch_size if given is not None else command.batch_size or 0,
        "first_batch_number": given.first_batch_number if given is not None else None,
        "skipped": skipped,
        "skipped_count": len(outcome.skipped),
    }
    return Answer(body, 200, max(position, outcome.position))


async def on_enroll_contact(desk: Desk, command: EnrollContact) -> Answer:
    """201; who must be skipped leaves a row among the skips, and the command is refused."""
    await desk.fresh()
    if not (await campaign_state(desk, command.account_id, command.campaign_id)).exists:
        raise CampaignNotFound
    who = Who(enrollment_id(command.campaign_id, command.contact_id), command.campaign_id, command.contact_id)
    place = Place(command.batch_number, command.priority)
    shared = await sharing(desk, command.account_id, command.campaign_id)
    for skipped in await enroll_as_it_stands(desk, command, shared, who, place):
        if skipped.kind == "already_enrolled":
            raise ContactAlreadyEnrolled
        raise ContactSkipped(kind=skipped.kind)
    body = {
        "id": str(who.enrollment_id),
        "contact_id": str(who.contact_id),
        "batch_number": place.batch_number,
        "status": "pending",
    }
    return Answer(body, 201, await desk.log.last_position())


async def on_dispatch(desk: Desk, drain: Drain, command: DispatchBatch) -> Answer:
    """200 with the figures of the plan; 202 for a large batch, which is planned by and by."""
    await desk.fresh()
    known = await _dispatch_facts(desk, command)
    done = await desk.log.transact(
        command.account_id, campaign, command.campaign_id, partial(dispatch, command, known), cause=command.command_id
    )
    found = next(event for event in done.events if isinstance(event, BatchDispatched))
    if found.pending > INLINE_ENROLLMENTS:
        return Answer({"batch_number": found.batch_number, "accepted": found.pending}, 202, done.position)

    async def is_over() -> bool:
        return await _planned(desk, command) is not None

    await done_inline(desk, drain, [plan_key(command.campaign_id, command.command_id)], done.position, is_over)
    answer = await _planned(desk, command)
    if answer is None or isinstance(answer, str):
        raise CampaignNotFound
    return answer


async def _planned(desk: Desk, command: DispatchBatch) -> Answer | Literal["deleted"] | None:
    """The answer, once the plan is written; "deleted" when the campaign went first."""
    history = await desk.log.read_stream(command.account_id, campaign.stream(command.campaign_id))
    for item in history:
        if isinstance(item.event, BatchPlanned) and item.event.dispatch_id == command.command_id:
            shown = item.event.as_json()
            fields = ("batch_number", "scheduled", "skipped", "first_send_at", "last_send_at")
            return Answer({name: shown[name] for name in fields}, 200, item.position)
    return None if campaign.fold(item.event for item in history).exists else "deleted"


async def on_delete_enrollment(desk: Desk, command: DeleteEnrollment) -> Answer:
    """204: nothing more of it is claimed."""
    who = Who(command.enrollment_id, command.campaign_id, command.contact_id)
    done = await desk.log.transact(
        command.account_id, enrollment, who.enrollment_id, partial(delete, who), cause=command.command_id
    )
    return Answer({"id": str(command.enrollment_id)}, 204, done.position)


async def _dispatch_facts(desk: Desk, command: DispatchBatch) -> DispatchFacts:
    now = desk.clock.now()
    uses = await facts.credentials_in_use(desk.tables, command.campaign_id, now)
    limit, sends = await facts.plan_use(desk.tables, command.account_id, now)
    pending = await facts.pending_by_batch(desk.tables, command.campaign_id)
    known = DispatchFacts(
        usable_credentials=len(uses),
        monthly_limit=limit,
        period_sends=sends,
        pending=pending,
        left_today=sum(use.left(now.date()) for use in uses),
        too_long=False,
        seed=command.command_id.int & 0x7FFFFFFF,
        at=now,
    )
    batch = command.batch_number if command.batch_number is not None else min(pending, default=0)
    if uses and pending.get(batch):
        return replace(known, too_long=await _is_too_long(desk, command, batch, uses, known))
    return known


async def _is_too_long(
    desk: Desk, command: DispatchBatch, batch: int, uses: Sequence[CredentialUse], known: DispatchFacts
) -> bool:
    """Whether the plan, made on trial before anything is recorded, would last over a year."""
    state = await campaign_state(desk, command.account_id, command.campaign_id)
    if state.planning and batch not in state.planning:
        raise NotYet(1)  # another batch is being planned, and fills the same days
    if not state.exists or not state.steps:
        return False
    waiting = await facts.pending_in(desk.tables, command.campaign_id, batch, desk.facts.position + 1)
    people = await people_of(desk, command.account_id, state, waiting)
    event = BatchDispatched(
        campaign_id=command.campaign_id, batch_number=batch, seed=known.seed, at=known.at, pending=len(waiting)
    )
    try:
        await asyncio.to_thread(plan_for, state, waiting, zones(people), uses, event, {})
    except PlanTooLong:
        return True
    return False
