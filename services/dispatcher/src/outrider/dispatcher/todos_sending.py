"""What the sender's and the mailboxes' reports make of the to-dos."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from outrider.dispatcher.holds import replace_credentials
from outrider.dispatcher.todos_caused import caused
from outrider.events import todo
from outrider.events.claims import NOT_DONE
from outrider.events.credential import CredentialRefused
from outrider.events.database import Db
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryEvent,
    DeliveryFailed,
    DeliveryResolved,
    DeliveryStarted,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
)
from outrider.events.inbound import (
    AutoReplyReceived,
    BounceReceived,
    ComplaintReceived,
    InboundReclassified,
    OptOutReceived,
    ReplyReceived,
)
from outrider.events.message import Recorded
from outrider.events.projector import Projection
from outrider.events.todo import Todo

NAME = "dispatcher.todos.v1"
LATE: Final = timedelta(seconds=60)
"""Business time after which a late step moves those behind it."""
sending = Projection(NAME)
DEFER = f"""
update todos t set due_at = n.due_at, claimed = false, not_before = null, leased_by = null,
    data = t.data || jsonb_build_object('attempt', n.attempt + 1, 'first_attempt_at', n.first_attempt_at)
from unnest($1::text[], $2::timestamptz[], $3::int[], $4::text[]) as n (key, due_at, attempt, first_attempt_at)
where t.kind = 'send_step' and t.key = any($1) and t.key = n.key and {NOT_DONE}
"""  # noqa: S608  # constants
FINISH = """
insert into todos (kind, key, account_id, owner, scope, due_at)
select distinct on (n.owner) 'finish_enrollment', n.owner || ':' || n.position, n.account_id, n.owner, n.scope, n.at
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::bigint[])
    as n (owner, account_id, scope, at, position)
where not exists (
    select from todos o where o.owner = n.owner and o.kind = 'send_step' and o.done_at is null
)
on conflict (kind, key) do nothing
"""


def key_of(event: DeliveryEvent) -> str:
    """The send_step row of this delivery."""
    return f"{event.enrollment_id}:{event.position}"


@sending.on(DeliveryStarted)
async def delivery_started(db: Db, events: Sequence[Recorded[DeliveryStarted]]) -> None:
    """The sender has the claim: the row no longer waits to be claimed."""
    await db.execute(
        f"update todos set claimed = true where kind = 'send_step' and key = any($1) and {NOT_DONE}",  # noqa: S608  # constants
        [key_of(item.event) for item in events],
    )


@sending.on(DeliveryDeferred)
async def delivery_deferred(db: Db, events: Sequence[Recorded[DeliveryDeferred]]) -> None:
    """The next attempt is due then: the last one of the run counts."""
    last = {key_of(item.event): item.event for item in events}
    await db.execute(
        DEFER,
        list(last),
        [event.not_before for event in last.values()],
        [event.attempt for event in last.values()],
        [event.first_attempt_at.isoformat() for event in last.values()],
    )
    await replace_credentials(db, [item for item in events if item.event is last[key_of(item.event)]])


@sending.on(EmailSent)
async def email_sent(db: Db, events: Sequence[Recorded[EmailSent]]) -> None:
    """Its row is closed; one that went out late moves those behind it, the last one finishes the enrollment."""
    await _settled(db, events, [item.event.sent_at for item in events])


@sending.on(DeliveryUnknown)
async def delivery_unknown(db: Db, events: Sequence[Recorded[DeliveryUnknown]]) -> None:
    """As if it was sent."""
    await _settled(db, events, [item.event.at for item in events])


async def _settled(
    db: Db, events: Sequence[Recorded[EmailSent]] | Sequence[Recorded[DeliveryUnknown]], at: Sequence[datetime]
) -> None:
    found: list[tuple[Recorded[EmailSent] | Recorded[DeliveryUnknown], datetime]] = list(zip(events, at, strict=True))
    keys = [key_of(item.event) for item, _ in found]
    await db.execute(
        "insert into todos (kind, key, account_id, owner, scope, due_at) "
        "select 'retime_late', t.key, t.account_id, t.owner, t.scope, t.due_at "
        "from unnest($1::text[], $2::timestamptz[]) as n (key, at) join todos t on t.kind = 'send_step' "
        "and t.key = any($1) and t.key = n.key and n.at > (t.data ->> 'planned_at')::timestamptz + $3::interval "
        "where exists (select from todos o where o.owner = t.owner and o.kind = 'send_step' and o.done_at is null "
        "and o.ordinal > t.ordinal) on conflict (kind, key) do nothing",
        keys,
        [moment for _, moment in found],
        LATE,
    )
    await todo.close(db, "send_step", keys)
    await db.execute(
        FINISH,
        [item.event.enrollment_id for item, _ in found],
        [item.account_id for item, _ in found],
        [item.event.campaign_id for item, _ in found],
        [item.business_at for item, _ in found],
        [item.position for item, _ in found],
    )


@sending.on(DeliveryResolved)
async def delivery_resolved(db: Db, events: Sequence[Recorded[DeliveryResolved]]) -> None:
    """What was not sent is to be sent again."""
    await todo.add(
        db,
        [
            caused(
                item,
                "reopen_step",
                f"{key_of(item.event)}:{item.position}",
                owner=item.event.enrollment_id,
                scope=item.event.campaign_id,
                data={"event": item.event.as_json()},
            )
            for item in events
            if item.event.outcome == "not_sent"
        ],
    )


@sending.on(EmailBounced)
async def email_bounced(db: Db, events: Sequence[Recorded[EmailBounced]]) -> None:
    """Its row is closed, the enrollment ends, the credential is judged."""
    await todo.close(db, "send_step", [key_of(item.event) for item in events])
    await todo.add(db, [_stop(item) for item in events])
    await todo.add(db, [_judge(item) for item in events])


@sending.on(DeliveryFailed)
async def delivery_failed(db: Db, events: Sequence[Recorded[DeliveryFailed]]) -> None:
    """Its row is closed, the enrollment ends."""
    await todo.close(db, "send_step", [key_of(item.event) for item in events])
    await todo.add(db, [_stop(item) for item in events])


@sending.on(BounceReceived)
async def bounce_received(db: Db, events: Sequence[Recorded[BounceReceived]]) -> None:
    """The enrollment ends, the credential is judged."""
    await todo.add(db, [_stop(item) for item in events])
    await todo.add(db, [_judge(item) for item in events])


@sending.on(ReplyReceived, OptOutReceived, ComplaintReceived)
async def answered(db: Db, events: Sequence[Recorded[ReplyReceived | OptOutReceived | ComplaintReceived]]) -> None:
    """The enrollment ends."""
    await todo.add(db, [_stop(item) for item in events])


@sending.on(AutoReplyReceived)
async def away(db: Db, events: Sequence[Recorded[AutoReplyReceived]]) -> None:
    """What is left may wait until the person is back."""
    await todo.add(db, [_about(item, "await_return") for item in events if item.event.returns_on is not None])


@sending.on(InboundReclassified)
async def reclassified(db: Db, events: Sequence[Recorded[InboundReclassified]]) -> None:
    """What followed from the wrong verdict is to be undone; what bounced after all counts for the credential."""
    await todo.add(db, [_about(item, "correct_enrollment") for item in events])
    await todo.add(db, [_judge(item) for item in events if item.event.verdict == "bounce"])


def _about(item: Recorded[AutoReplyReceived] | Recorded[InboundReclassified], kind: str) -> Todo:
    return caused(
        item,
        kind,
        f"{item.event.enrollment_id}:{item.position}",
        owner=item.event.enrollment_id,
        scope=item.event.campaign_id,
        data={"event": item.event.as_json()},
    )


@sending.on(CredentialRefused)
async def credential_refused(db: Db, events: Sequence[Recorded[CredentialRefused]]) -> None:
    """One whose log-in or whose use was refused is disabled; one that has had its share rests today."""
    await todo.add(
        db,
        [
            caused(
                item,
                "judge_credential",
                f"{item.event.credential_id}:{item.position}",
                owner=item.event.credential_id,
                scope=item.event.campaign_id,
                data={"refused": item.event.kind},
            )
            for item in events
            if item.event.kind != "held_today"
        ],
    )


Stopping = EmailBounced | DeliveryFailed | BounceReceived | ReplyReceived | OptOutReceived | ComplaintReceived


def _stop(item: Recorded[Stopping]) -> Todo:
    return caused(
        item,
        "stop_enrollment",
        f"{item.event.enrollment_id}:{item.position}",
        owner=item.event.enrollment_id,
        scope=item.event.campaign_id,
        data={
            "type": item.event.name,
            "version": item.event.version,
            "event": item.event.as_json(),
            "cause": str(item.cause),
        },
    )


def _judge(item: Recorded[EmailBounced] | Recorded[BounceReceived] | Recorded[InboundReclassified]) -> Todo:
    return caused(
        item,
        "judge_credential",
        f"{item.event.credential_id}:{item.position}",
        owner=item.event.credential_id,
        scope=item.event.campaign_id,
    )
