"""Commands that enroll contacts, and the one that dispatches them."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final, Literal, cast

from outrider.dispatcher import facts
from outrider.dispatcher.campaign import (
    Campaign,
    DispatchFacts,
    EnrollFacts,
    batch_of,
    campaign,
    dispatch,
    enroll_import,
)
from outrider.dispatcher.desk import CHUNK, INLINE, Desk, done_inline
from outrider.dispatcher.dispatching import campaign_state, people_of, plan_for, plan_key
from outrider.dispatcher.enrolling import enroll_as_it_stands, sharing
from outrider.dispatcher.enrolling_imports import enroll_key, is_enrolled
from outrider.dispatcher.enrollment import Place, Who, delete, enrollment
from outrider.dispatcher.facts import CredentialUse
from outrider.dispatcher.facts_enrolling import Group, count_to_enroll, highest_batch
from outrider.dispatcher.importing import import_state
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
from outrider.events.drain import Drain
from outrider.events.enrollment import ContactAlreadyEnrolled, ContactSkipped
from outrider.events.errors import NotYet
from outrider.events.ids import enrollment_id, shard
from outrider.events.message import Json, Recorded

SHOWN: Final = 1000
REASONS: Final[dict[str, str]] = {
    "unsubscribed": "the contact has unsubscribed",
    "bounced": "a message to the contact bounced for good",
    "suppressed": "the address is on the do-not-contact list",
    "already_enrolled": "the contact is enrolled in this campaign already",
    "cross_campaign_duplicate": "the contact is enrolled in another campaign of this outreach",
    "mx_invalid": "the domain takes no mail",
}
SKIPPED = """
select data ->> 'contact_id' as contact_id, data ->> 'kind' as kind
from log.events
where shard = $1 and cause = $2 and type = 'EnrollmentSkipped'
order by position
limit $3
"""


async def on_enroll_import(desk: Desk, drain: Drain, command: EnrollImport) -> Answer:
    """200 with the figures and whom it skipped, once the to-do that this leads to is done.

    A large one leaves the handler free meanwhile: the verdict comes when it is told again.
    """
    given = await _batches(desk, command)
    if given is None:
        nobody = ImportEnrolled(
            campaign_id=command.campaign_id,
            import_id=command.import_id,
            contacts=0,
            first_batch_number=None,
            batches=0,
            batch_size=command.batch_size or 0,
        )
        return await _enrolled(desk, command, nobody)

    async def is_over() -> bool:
        return await is_enrolled(desk, command.command_id)

    if given.event.people > INLINE:
        if not await is_over():
            raise NotYet(1)
    else:
        keys = [enroll_key(command.command_id, chunk) for chunk in range(-(-given.event.people // CHUNK) + 1)]
        await done_inline(desk, drain, keys, given.position, is_over)
    return await _enrolled(desk, command, given.event)


async def _batches(desk: Desk, command: EnrollImport) -> Recorded[ImportEnrolled] | None:
    """The batch numbers are given first, then each contact its place. Nothing where nobody is in the import.

    Raises NotYet while people are still added to the import: who came too late would be left out.
    """
    history = await desk.log.read_stream(command.account_id, campaign.stream(command.campaign_id))
    for found in history:
        if found.cause == command.command_id and isinstance(found.event, ImportEnrolled):
            return cast("Recorded[ImportEnrolled]", found)
    imported = await import_state(desk, command.account_id, command.import_id)
    if imported.status == "processing" and campaign.fold(item.event for item in history).exists:
        raise NotYet(1, for_long=True)
    await desk.fresh()
    shared = await sharing(desk, command.account_id, command.campaign_id)
    group = Group(command.account_id, command.import_id, command.campaign_id, shared.outreach_id)
    known = EnrollFacts(
        imported.status,
        *await count_to_enroll(desk.tables, group, unique=shared.unique),
        await highest_batch(desk.tables, command.campaign_id),
    )
    done = await desk.log.transact(
        command.account_id,
        campaign,
        command.campaign_id,
        partial(enroll_import, command, known),
        cause=command.command_id,
    )
    return await _batches(desk, command) if done.events else None


async def _enrolled(desk: Desk, command: EnrollImport, given: ImportEnrolled) -> Answer:
    outcome = await desk.recorded_by(command.account_id, command.command_id)
    rows = await desk.log_pool.fetch(SKIPPED, shard(command.account_id), command.command_id, SHOWN)
    skipped: list[Json] = [
        {"contact_id": row["contact_id"], "kind": row["kind"], "reason": REASONS[row["kind"]]} for row in rows
    ]
    body: Json = {
        "enrolled": outcome.of.get("EnrollmentCreated", 0),
        "batches": given.batches,
        "batch_size": given.batch_size,
        "first_batch_number": given.first_batch_number,
        "skipped": skipped,
        "skipped_count": outcome.of.get("EnrollmentSkipped", 0),
    }
    return Answer(body, 200, outcome.position)


async def on_enroll_contact(desk: Desk, command: EnrollContact) -> Answer:
    """201; who must be skipped leaves a row among the skips, and the command is refused."""
    await desk.fresh()
    if not (await campaign_state(desk, command.account_id, command.campaign_id)).exists:
        raise CampaignNotFound
    who = Who(enrollment_id(command.campaign_id, command.contact_id), command.campaign_id, command.contact_id)
    place = Place(command.batch_number, command.priority)
    shared = await sharing(desk, command.account_id, command.campaign_id)
    for skipped in await enroll_as_it_stands(desk, command, shared, who, place):
        refusal = ContactAlreadyEnrolled() if skipped.kind == "already_enrolled" else ContactSkipped(kind=skipped.kind)
        refusal.position = await desk.log.last_position()
        raise refusal
    body = {
        "id": str(who.enrollment_id),
        "contact_id": str(who.contact_id),
        "batch_number": place.batch_number,
        "status": "pending",
    }
    return Answer(body, 201, await desk.log.last_position())


async def on_dispatch(desk: Desk, drain: Drain, command: DispatchBatch) -> Answer:
    """200 with the figures of the plan; 202 for a large batch, which is planned by and by."""
    found = await _dispatched(desk, command)
    if found.event.pending > INLINE:
        return Answer({"batch_number": found.event.batch_number, "accepted": found.event.pending}, 202, found.position)

    async def is_over() -> bool:
        return await _planned(desk, command) is not None

    await done_inline(desk, drain, [plan_key(command.campaign_id, command.command_id)], found.position, is_over)
    answer = await _planned(desk, command)
    if answer is None or isinstance(answer, str):
        raise CampaignNotFound
    return answer


async def _dispatched(desk: Desk, command: DispatchBatch) -> Recorded[BatchDispatched]:
    """The dispatch is recorded, by this attempt or one before it."""
    history = await desk.log.read_stream(command.account_id, campaign.stream(command.campaign_id))
    for found in history:
        if found.cause == command.command_id and isinstance(found.event, BatchDispatched):
            return cast("Recorded[BatchDispatched]", found)
    await desk.fresh()
    known = await _dispatch_facts(desk, command, campaign.fold(item.event for item in history))
    await desk.log.transact(
        command.account_id, campaign, command.campaign_id, partial(dispatch, command, known), cause=command.command_id
    )
    return await _dispatched(desk, command)


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


async def _dispatch_facts(desk: Desk, command: DispatchBatch, state: Campaign) -> DispatchFacts:
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
    batch = batch_of(command, pending, state)
    if batch is None or not uses or not state.steps or state.status not in {"pending", "active"}:
        return known
    if state.planning:
        raise NotYet(1)  # another batch is being planned, and fills the same days
    event = BatchDispatched(
        campaign_id=command.campaign_id, batch_number=batch, seed=known.seed, at=known.at, pending=pending[batch]
    )
    return replace(known, too_long=await _is_too_long(desk, command, state, uses, event))


async def _is_too_long(
    desk: Desk, command: DispatchBatch, state: Campaign, uses: Sequence[CredentialUse], event: BatchDispatched
) -> bool:
    """Whether the plan, made on trial before anything is recorded, would last over a year."""
    waiting = await facts.pending_in(desk.tables, command.campaign_id, event.batch_number, desk.facts.position + 1)
    people = await people_of(desk, command.account_id, state, waiting)

    def tried() -> None:
        deque(plan_for(state, waiting, people, uses, event, {}), maxlen=0)

    try:
        await asyncio.to_thread(tried)
    except PlanTooLong:
        return True
    return False
