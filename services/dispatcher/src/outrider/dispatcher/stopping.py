"""To-dos that end things: enrollments, credentials, campaigns."""

import asyncio
from collections.abc import Sequence
from functools import partial
from uuid import UUID, uuid5

from outrider.dispatcher import facts
from outrider.dispatcher.campaign import campaign, complete, pause_without_credential
from outrider.dispatcher.campaign import reopen as reopen_campaign
from outrider.dispatcher.contact import contact, unsubscribe
from outrider.dispatcher.credential import credential, disable, judge, remove
from outrider.dispatcher.desk import Desk, chunks
from outrider.dispatcher.enrolling import free_contacts
from outrider.dispatcher.enrollment import Enrollment, Who, enrollment, finish, reopen, stop
from outrider.dispatcher.enrollment import unsubscribe as unsubscribe_enrollment
from outrider.dispatcher.plans import open_plan
from outrider.events import vault
from outrider.events.campaign import CampaignDeleted
from outrider.events.contact import ContactNotFound, ContactUnsubscribed, UnsubscribeContact
from outrider.events.delivery import DeliveryEvent, DeliveryResolved
from outrider.events.errors import Conflict, NotYet
from outrider.events.ids import enrollment_id, new_id
from outrider.events.inbound import (
    ComplaintReceived,
    InboundEvent,
    InboundReclassified,
    OptOutReceived,
    ReplyReceived,
)
from outrider.events.log import Expect, Write
from outrider.events.message import Event
from outrider.events.todo import Todo


def cause_of(item: Todo) -> UUID:
    """What this to-do records is recorded once."""
    return uuid5(item.account_id, f"{item.kind}:{item.key}")


def trigger_of(item: Todo) -> Event:
    """The event that led to it."""
    return Event.load(item.data["type"], item.data["version"], item.data["event"])


async def stop_enrollment(desk: Desk, item: Todo) -> None:
    """The answer, bounce or failure stands in the enrollment; who opted out or complained is written to no more."""
    trigger, cause = trigger_of(item), UUID(item.data["cause"])
    if not isinstance(trigger, InboundEvent | DeliveryEvent):
        return
    if isinstance(trigger, ReplyReceived) and not trigger.stops:
        return
    expect = await _unless_withdrawn(desk, item, trigger, cause)
    if expect is None:
        return
    who = Who(trigger.enrollment_id, trigger.campaign_id, trigger.contact_id)
    try:
        await desk.log.transact(
            item.account_id,
            enrollment,
            who.enrollment_id,
            partial(stop, who, trigger, cause),
            cause=cause_of(item),
            expect=expect,
        )
        if isinstance(trigger, OptOutReceived | ComplaintReceived):
            await _unsubscribe(desk, item, trigger, expect)
    except Conflict:
        raise NotYet(0.2) from None  # another message came in


async def _unless_withdrawn(
    desk: Desk, item: Todo, trigger: InboundEvent | DeliveryEvent, cause: UUID
) -> Sequence[Expect] | None:
    """What must still hold when it is recorded; None where somebody has said that the message was something else."""
    if not isinstance(trigger, InboundEvent):
        return []
    stream = f"inbound-{trigger.enrollment_id}"
    history = await desk.log.read_stream(item.account_id, stream)
    if any(isinstance(found.event, InboundReclassified) and found.event.inbound == cause for found in history):
        return None
    return [Expect(stream, len(history))]


async def _unsubscribe(
    desk: Desk, item: Todo, trigger: OptOutReceived | ComplaintReceived, expect: Sequence[Expect]
) -> None:
    command = UnsubscribeContact(
        command_id=cause_of(item),
        account_id=item.account_id,
        contact_id=trigger.contact_id,
        delivery_id=trigger.delivery_id,
        inbound=UUID(item.data["cause"]),
    )
    try:
        await desk.log.transact(
            item.account_id,
            contact,
            trigger.contact_id,
            partial(unsubscribe, command),
            cause=command.command_id,
            expect=expect,
        )
    except ContactNotFound:
        return  # deleted since


async def stop_contact(desk: Desk, item: Todo) -> None:
    """No enrollment of the contact goes on; the one whose message it came from says so even after its last step."""
    await desk.fresh()
    trigger, cause, contact_id = trigger_of(item), UUID(item.data["cause"]), UUID(item.key.partition(":")[0])
    for enrolled, campaign_id in await facts.running_of_contact(desk.tables, contact_id):
        who = Who(enrolled, campaign_id, contact_id)
        await desk.log.transact(
            item.account_id, enrollment, enrolled, partial(stop, who, trigger, cause), cause=cause_of(item)
        )
    if isinstance(trigger, ContactUnsubscribed) and trigger.delivery_id is not None:
        for found in (await desk.log.read_stream(item.account_id, f"delivery-{trigger.delivery_id}"))[:1]:
            if isinstance(found.event, DeliveryEvent) and found.event.contact_id == contact_id:
                who = Who(found.event.enrollment_id, found.event.campaign_id, contact_id)
                await desk.log.transact(
                    item.account_id,
                    enrollment,
                    who.enrollment_id,
                    partial(unsubscribe_enrollment, who),
                    cause=cause_of(item),
                )


async def reopen_step(desk: Desk, item: Todo) -> None:
    """A step that was resolved as not sent is open again, if its enrollment may go on, and its campaign with it."""
    resolved = DeliveryResolved.model_validate(item.data["event"])
    done = await desk.log.transact(
        item.account_id,
        enrollment,
        resolved.enrollment_id,
        partial(reopen, resolved, desk.clock.now()),
        cause=cause_of(item),
    )
    if done.events:
        decide = partial(reopen_campaign, resolved.campaign_id)
        await desk.log.transact(item.account_id, campaign, resolved.campaign_id, decide, cause=cause_of(item))
    await open_plan(desk, item)  # it counts no more


async def finish_enrollment(desk: Desk, item: Todo) -> None:
    """An enrollment that nothing stopped has finished."""
    if item.owner is None or item.scope is None:
        return
    history = await desk.log.read_stream(item.account_id, enrollment.stream(item.owner))
    contact_id = next((getattr(found.event, "contact_id", None) for found in history), None)
    if isinstance(contact_id, UUID):
        who = Who(item.owner, item.scope, contact_id)
        await desk.log.transact(item.account_id, enrollment, item.owner, partial(finish, who), cause=cause_of(item))


async def complete_campaign(desk: Desk, item: Todo) -> None:
    """A campaign in which nobody waits or goes on is complete; the row comes again with the next dispatch."""
    await desk.fresh()
    campaign_id = UUID(item.key)
    running = await facts.running(desk.tables, campaign_id)
    await desk.log.transact(
        item.account_id, campaign, campaign_id, partial(complete, campaign_id, running), cause=new_id()
    )


async def judge_credential(desk: Desk, item: Todo) -> None:
    """A credential that was refused, or whose messages bounce too often, is disabled."""
    await desk.fresh()
    credential_id = UUID(item.key.partition(":")[0])
    match item.data.get("refused"):
        case None:
            found = await facts.bounce_facts(desk.tables, credential_id)
            decide = partial(judge, credential_id, found) if found is not None else None
        case "auth_failed":
            decide = partial(disable, credential_id, "auth_failed")
        case _:
            decide = partial(disable, credential_id, "policy")
    if decide is not None:
        await desk.log.transact(item.account_id, credential, credential_id, decide, cause=cause_of(item))


async def pause_campaign(desk: Desk, item: Todo) -> None:
    """An active campaign without a usable credential is paused, unless the one that went is back at that moment."""
    await desk.fresh()
    campaign_id, gone = UUID(item.key.partition(":")[0]), UUID(item.data["credential_id"])
    stream = credential.stream(gone)
    history = await desk.log.read_stream(item.account_id, stream)
    if credential.fold(found.event for found in history).status == "enabled":
        return
    usable = await facts.usable_credentials(desk.tables, campaign_id)
    decide = partial(pause_without_credential, campaign_id, usable)
    as_it_is = Expect(stream, len(history))
    try:
        await desk.log.transact(item.account_id, campaign, campaign_id, decide, cause=cause_of(item), expect=[as_it_is])
    except Conflict:
        raise NotYet(1) from None


async def delete_campaign(desk: Desk, item: Todo) -> None:
    """Its credentials are removed, its enrollments stopped; its texts, hosts and secrets are kept no more."""
    await desk.fresh()
    campaign_id, cause = UUID(item.key), UUID(item.data["cause"])
    trigger = CampaignDeleted(campaign_id=campaign_id)
    rows = await desk.tables.fetch("select credential_id from credentials where campaign_id = $1", campaign_id)
    credentials: list[UUID] = [row["credential_id"] for row in rows]
    for found in credentials:
        await desk.log.transact(item.account_id, credential, found, partial(remove, found), cause=cause)
    await vault.forget(desk.log_pool, [campaign_id, *credentials])
    rows = await desk.tables.fetch(
        "select contact_id, version from enrollments where campaign_id = $1 and status <> 'ended'", campaign_id
    )
    for part in chunks(rows):
        await asyncio.gather(*(_stop(desk, item, trigger, cause, row["contact_id"], row["version"]) for row in part))
    await free_contacts(desk, item.account_id, campaign_id, cause)


async def _stop(  # noqa: PLR0913, PLR0917  # a row of the query
    desk: Desk, item: Todo, trigger: CampaignDeleted, cause: UUID, contact_id: UUID, version: int
) -> None:
    """As the facts have it: running, at that version. Where the stream has moved on, as it stands."""
    who = Who(enrollment_id(trigger.campaign_id, contact_id), trigger.campaign_id, contact_id)
    events = stop(who, trigger, cause, Enrollment("scheduled"))
    try:
        await desk.log.append(item.account_id, Write(enrollment.stream(who.enrollment_id), version, events, cause))
    except Conflict:
        await desk.log.transact(
            item.account_id, enrollment, who.enrollment_id, partial(stop, who, trigger, cause), cause=cause
        )
