"""Messages: what became of each, and what that means for its enrollment. The counters follow (schema/005)."""

from collections.abc import Sequence
from datetime import datetime

from outrider.api.projection import last_of, tables
from outrider.events.database import Db
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryEvent,
    DeliveryFailed,
    DeliveryResolved,
    DeliveryStarted,
    DeliveryUnknown,
    EmailSent,
)
from outrider.events.message import Recorded

START = """
insert into sends
    (delivery_id, account_id, enrollment_id, campaign_id, contact_id, credential_id, step_position, position, attempt,
    state, day, at)
select d, a, e, c, p, k, s, n, t, 'started', u, w from unnest
    ($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::int[], $8::bigint[], $9::int[],
    $10::date[], $11::timestamptz[]) as f (d, a, e, c, p, k, s, n, t, u, w)
on conflict (delivery_id) do update
set state = 'started', attempt = excluded.attempt, day = excluded.day, at = excluded.at, status_code = null,
    credential_id = excluded.credential_id
"""
SETTLE = """
update sends s set state = $2, at = coalesce(o.at, s.at), status_code = coalesce(o.status_code, s.status_code)
from unnest($1::uuid[], $3::timestamptz[], $4::text[]) as o (delivery_id, at, status_code)
where s.delivery_id = o.delivery_id
"""
ADVANCE = """
update enrollments e
set steps_sent = greatest(e.steps_sent, s.step_position), sent_at = coalesce(e.sent_at, s.at)
from (
    select enrollment_id, max(step_position) as step_position, min(at) as at
    from unnest($1::uuid[], $2::int[], $3::timestamptz[]) as u (enrollment_id, step_position, at)
    group by enrollment_id
) as s
where e.enrollment_id = s.enrollment_id
"""
TAKE_BACK = """
update enrollments e
set steps_sent = least(e.steps_sent, b.step_position - 1), sent_at = case when b.step_position > 1 then e.sent_at end
from (
    select s.enrollment_id, min(s.step_position) as step_position
    from sends s
    where s.delivery_id = any($1)
    group by s.enrollment_id
) as b
where e.enrollment_id = b.enrollment_id
"""


@tables.on(DeliveryStarted)
async def delivery_started(db: Db, events: Sequence[Recorded[DeliveryStarted]]) -> None:
    """The messages are on their way, in their last attempt."""
    begun = last_of(events, lambda event: event.delivery_id)
    await db.execute(
        START,
        [item.event.delivery_id for item in begun],
        [item.account_id for item in begun],
        [item.event.enrollment_id for item in begun],
        [item.event.campaign_id for item in begun],
        [item.event.contact_id for item in begun],
        [item.event.credential_id for item in begun],
        [item.event.position for item in begun],
        [item.position for item in begun],
        [item.event.attempt for item in begun],
        [item.event.day for item in begun],
        [item.business_at for item in begun],
    )


@tables.on(EmailSent)
async def email_sent(db: Db, events: Sequence[Recorded[EmailSent]]) -> None:
    """The messages were accepted, and their enrollments are one step further."""
    codes = [item.event.status_code for item in events]
    await settle(db, "sent", events, [item.event.sent_at for item in events], codes)
    await advance(db, events, [item.event.sent_at for item in events])


@tables.on(DeliveryUnknown)
async def delivery_unknown(db: Db, events: Sequence[Recorded[DeliveryUnknown]]) -> None:
    """Nobody knows whether the messages were accepted: they count as sent."""
    await settle(db, "unknown", events, [item.event.at for item in events])
    await advance(db, events, [item.event.at for item in events])


@tables.on(DeliveryDeferred)
async def delivery_deferred(db: Db, events: Sequence[Recorded[DeliveryDeferred]]) -> None:
    """The messages are tried again, at the times that their steps now show."""
    codes = [item.event.status_code for item in events]
    await settle(db, "deferred", events, [item.business_at for item in events], codes)
    again = last_of(events, lambda event: event.delivery_id)
    await db.execute(
        "update planned_steps p set at = d.at from unnest($1::uuid[], $2::int[], $3::timestamptz[]) "
        "as d (enrollment_id, step_position, at) "
        "where p.enrollment_id = d.enrollment_id and p.step_position = d.step_position and p.open",
        [item.event.enrollment_id for item in again],
        [item.event.position for item in again],
        [item.event.not_before for item in again],
    )


@tables.on(DeliveryFailed)
async def delivery_failed(db: Db, events: Sequence[Recorded[DeliveryFailed]]) -> None:
    """The messages are given up."""
    codes = [item.event.status_code for item in events]
    await settle(db, "failed", events, [item.business_at for item in events], codes)
    await close_step(db, events)


@tables.on(DeliveryResolved)
async def delivery_resolved(db: Db, events: Sequence[Recorded[DeliveryResolved]]) -> None:
    """Somebody settled what was unknown: what was not sent counts no more, what was sent went out when it was tried."""
    sent = [item for item in events if item.event.outcome == "sent"]
    await settle(db, "sent", sent, [None] * len(sent))
    not_sent = [item for item in events if item.event.outcome == "not_sent"]
    await settle(db, "deferred", not_sent, [item.event.at for item in not_sent])
    await db.execute(TAKE_BACK, [item.event.delivery_id for item in not_sent])


async def settle(
    db: Db,
    state: str,
    events: Sequence[Recorded[DeliveryEvent]],
    times: Sequence[datetime | None],
    codes: Sequence[str] | None = None,
) -> None:
    """The messages stand in this state since then (None: since they were tried); the server's code is kept."""
    deliveries = [item.event.delivery_id for item in events]
    await db.execute(SETTLE, deliveries, state, times, codes or [None] * len(events))


async def advance(db: Db, events: Sequence[Recorded[DeliveryEvent]], times: Sequence[datetime]) -> None:
    """Their enrollments have sent that many steps, and nothing more is planned for these."""
    await db.execute(
        ADVANCE,
        [item.event.enrollment_id for item in events],
        [item.event.position for item in events],
        times,
    )
    await close_step(db, events)


async def close_step(db: Db, events: Sequence[Recorded[DeliveryEvent]]) -> None:
    """These steps are not planned any more."""
    await db.execute(
        "update planned_steps p set open = false "
        "from unnest($1::uuid[], $2::int[]) as d (enrollment_id, step_position) "
        "where p.enrollment_id = d.enrollment_id and p.step_position = d.step_position and p.open",
        [item.event.enrollment_id for item in events],
        [item.event.position for item in events],
    )
