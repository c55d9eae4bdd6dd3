"""What people and servers did with a message: opens, replies, bounces. Each counts once per enrollment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outrider.api.projection import first_of, tables
from outrider.api.projections_enrollments import close_steps, mark_bounced
from outrider.api.projections_sends import close_step, settle
from outrider.events.database import Db
from outrider.events.delivery import EmailBounced
from outrider.events.engagement import EmailOpened, LinkClicked
from outrider.events.enrollment import EnrollmentBounced, EnrollmentReplied
from outrider.events.inbound import BounceReceived, ReplyReceived
from outrider.events.message import Recorded

REPLY = """
insert into replies
    (enrollment_id, campaign_id, contact_id, position, inbound, delivery_id, step_position, replied_at, suspected)
select * from unnest
    ($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[], $6::uuid[], $7::int[], $8::timestamptz[],
    $9::boolean[])
on conflict (enrollment_id) do update
set position = excluded.position, inbound = excluded.inbound, delivery_id = excluded.delivery_id,
    step_position = excluded.step_position, replied_at = excluded.replied_at, suspected = false
where replies.suspected and not excluded.suspected
"""
REPLIED = """
update enrollments e
set replied_at = coalesce(e.replied_at, r.at), sent_at = coalesce(e.sent_at, r.at),
    ended_at = coalesce(e.ended_at, r.at), suspected = r.suspected and (e.suspected or e.replied_at is null)
from unnest($1::uuid[], $2::timestamptz[], $3::boolean[]) as r (enrollment_id, at, suspected)
where e.enrollment_id = r.enrollment_id
"""
BOUNCED = """
update enrollments e
set bounced_at = b.at, bounce_kind = b.kind, bounce_code = b.code, bounce_reason = b.reason,
    credential_id = coalesce(b.credential_id, e.credential_id), sent_at = coalesce(e.sent_at, b.at),
    ended_at = coalesce(e.ended_at, b.at)
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    as b (enrollment_id, credential_id, kind, code, reason, at)
where e.enrollment_id = b.enrollment_id and e.bounced_at is null
"""


@tables.on(EmailOpened)
async def email_opened(db: Db, events: Sequence[Recorded[EmailOpened]]) -> None:
    """The first open that counts is shown; the others are in the log."""
    opened = first_of([item for item in events if item.event.counts], lambda event: event.enrollment_id)
    await db.execute(
        "update enrollments e set opened_at = o.at from unnest($1::uuid[], $2::timestamptz[]) "
        "as o (enrollment_id, at) where e.enrollment_id = o.enrollment_id and e.opened_at is null",
        [item.event.enrollment_id for item in opened],
        [item.event.opened_at for item in opened],
    )


@tables.on(LinkClicked)
async def link_clicked(db: Db, events: Sequence[Recorded[LinkClicked]]) -> None:
    """The first click that counts is shown; the others are in the log."""
    clicked = first_of([item for item in events if item.event.counts], lambda event: event.enrollment_id)
    await db.execute(
        "update enrollments e set clicked_at = c.at from unnest($1::uuid[], $2::timestamptz[]) "
        "as c (enrollment_id, at) where e.enrollment_id = c.enrollment_id and e.clicked_at is null",
        [item.event.enrollment_id for item in clicked],
        [item.event.clicked_at for item in clicked],
    )


@dataclass(frozen=True, slots=True)
class _Reply:
    position: int
    event: ReplyReceived | EnrollmentReplied
    inbound: UUID
    step_position: int | None
    at: datetime


@tables.on(ReplyReceived)
async def reply_received(db: Db, events: Sequence[Recorded[ReplyReceived]]) -> None:
    """The enrollments were answered; what is only suspected is shown, and ends nothing before it is decided."""
    await _replied(
        db,
        [_Reply(item.position, item.event, item.cause, item.event.position, item.event.received_at) for item in events],
    )


@tables.on(EnrollmentReplied)
async def enrollment_replied(db: Db, events: Sequence[Recorded[EnrollmentReplied]]) -> None:
    """The enrollments were answered, and ended with it."""
    await _replied(
        db,
        [
            _Reply(item.position, item.event, item.event.inbound, item.event.step_position, item.event.replied_at)
            for item in events
        ],
    )


async def _replied(db: Db, replies: Sequence[_Reply]) -> None:
    """Each enrollment with its first reply, or rather the first that is sure."""
    order = sorted(replies, key=lambda reply: reply.event.suspected)
    first = list({reply.event.enrollment_id: reply for reply in reversed(order)}.values())
    await db.execute(
        REPLY,
        [reply.event.enrollment_id for reply in first],
        [reply.event.campaign_id for reply in first],
        [reply.event.contact_id for reply in first],
        [reply.position for reply in first],
        [reply.inbound for reply in first],
        [reply.event.delivery_id for reply in first],
        [reply.step_position for reply in first],
        [reply.at for reply in first],
        [reply.event.suspected for reply in first],
    )
    ended = [reply for reply in first if isinstance(reply.event, EnrollmentReplied) or not reply.event.suspected]
    enrollments = [reply.event.enrollment_id for reply in ended]
    await db.execute(REPLIED, enrollments, [reply.at for reply in ended], [reply.event.suspected for reply in ended])
    await close_steps(db, enrollments)


@tables.on(EmailBounced)
async def email_bounced(db: Db, events: Sequence[Recorded[EmailBounced]]) -> None:
    """The messages were refused for good: each is a send, and its enrollment bounced."""
    codes = [item.event.status_code for item in events]
    await settle(db, "bounced", events, [item.event.bounced_at for item in events], codes)
    await close_step(db, events)
    await _bounced(db, events, [item.event.bounced_at for item in events])


@tables.on(BounceReceived)
async def bounce_received(db: Db, events: Sequence[Recorded[BounceReceived]]) -> None:
    """The enrollments whose message came back bounced; the message itself stays an accepted one."""
    await _bounced(db, events, [item.event.received_at for item in events])


@tables.on(EnrollmentBounced)
async def enrollment_bounced(db: Db, events: Sequence[Recorded[EnrollmentBounced]]) -> None:
    """The enrollments ended with a bounce, which is known already unless its own event was never recorded."""
    await _bounced(db, events, [item.event.bounced_at for item in events])


async def _bounced(
    db: Db,
    events: Sequence[Recorded[EmailBounced] | Recorded[BounceReceived] | Recorded[EnrollmentBounced]],
    times: Sequence[datetime],
) -> None:
    """Each enrollment bounced once, with its first reason; a hard one marks the contact."""
    first = {item.event.enrollment_id: (item.event, at) for item, at in reversed(list(zip(events, times, strict=True)))}
    bounces = list(first.values())
    await db.execute(
        BOUNCED,
        [event.enrollment_id for event, _ in bounces],
        [event.credential_id for event, _ in bounces],
        [event.kind for event, _ in bounces],
        [event.status_code for event, _ in bounces],
        [event.reason for event, _ in bounces],
        [at for _, at in bounces],
    )
    hard = {event.contact_id: (event.reason, at) for event, at in reversed(bounces) if event.kind == "hard"}
    await mark_bounced(
        db,
        list(hard),
        [reason for reason, _ in hard.values()],
        [at for _, at in hard.values()],
    )
    await close_steps(db, list(first))
