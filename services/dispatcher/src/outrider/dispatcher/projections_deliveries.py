"""Facts about what the senders and the mailboxes reported, from the log."""

from collections.abc import Sequence
from datetime import UTC, datetime

from outrider.dispatcher.projections_people import NAME
from outrider.events.credential import CredentialRefused, QuotaClaimed, QuotaReleased
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
from outrider.events.inbound import BounceReceived, InboundReclassified
from outrider.events.message import Recorded
from outrider.events.projector import Projection

deliveries = Projection(NAME)
COUNT_CLAIMS = """
insert into credential_days (credential_id, day, counted)
select credential_id, day, sum(counted)
from unnest($1::uuid[], $2::date[], $3::int[]) as n (credential_id, day, counted)
group by credential_id, day
on conflict (credential_id, day) do update set counted = credential_days.counted + excluded.counted
"""
SETTLE = """
with run as (
    select * from unnest($1::uuid[], $2::int[], $3::timestamptz[]) as n (enrollment_id, position, at)
),
fresh as (  -- as they stood before: an attempt that had been given up was counted then
    select r.*, s.credential_id, coalesce(s.day, (r.at at time zone 'UTC')::date) as day
    from run r
    join steps s on s.enrollment_id = r.enrollment_id and s.position = r.position
    where s.state <> 'unknown'
),
counted as (
    update credentials c set sends = c.sends + n.sends
    from (
        select f.credential_id, count(*) as sends from fresh f
        join credentials x on x.credential_id = f.credential_id and x.enabled_at <= f.at
        group by 1
    ) n
    where c.credential_id = n.credential_id
),
accepted as (
    insert into account_months (account_id, month, sends)
    select x.account_id, date_trunc('month', f.day::timestamp)::date, count(*)
    from fresh f
    join credentials x on x.credential_id = f.credential_id
    where $4::text <> 'bounced'
    group by 1, 2
    on conflict (account_id, month) do update set sends = account_months.sends + excluded.sends
)
update steps s set state = $4, settled_at = r.at
from run r
where s.enrollment_id = r.enrollment_id and s.position = r.position
"""
UNSETTLE = """
with back as (
    update steps s set state = 'cancelled', settled_at = null
    from unnest($1::uuid[], $2::int[]) as n (enrollment_id, position),
        (select enrollment_id, position, settled_at from steps) o
    where s.enrollment_id = n.enrollment_id and s.position = n.position and s.state = 'unknown'
        and o.enrollment_id = s.enrollment_id and o.position = s.position
    returning s.credential_id, o.settled_at, coalesce(s.day, (o.settled_at at time zone 'UTC')::date) as day
),
uncounted as (
    update credentials c set sends = c.sends - n.sends
    from (
        select b.credential_id, count(*) as sends from back b
        join credentials x on x.credential_id = b.credential_id and x.enabled_at <= b.settled_at
        group by 1
    ) n
    where c.credential_id = n.credential_id
)
update account_months m set sends = m.sends - n.sends
from (
    select x.account_id, date_trunc('month', b.day::timestamp)::date as month, count(*) as sends
    from back b
    join credentials x on x.credential_id = b.credential_id
    group by 1, 2
) n
where m.account_id = n.account_id and m.month = n.month
"""
BOUNCE = """
with run as (
    select distinct on (enrollment_id, position) *
    from unnest($1::uuid[], $2::int[]) as n (enrollment_id, position)
),
fresh as (
    update steps s set bounced = true
    from run r
    where s.enrollment_id = r.enrollment_id and s.position = r.position and not s.bounced
    returning s.credential_id, s.settled_at
)
update credentials c set bounces = c.bounces + n.bounces
from (
    select f.credential_id, count(*) as bounces from fresh f
    join credentials x on x.credential_id = f.credential_id and f.settled_at >= x.enabled_at
    group by 1
) n
where c.credential_id = n.credential_id
"""

UNBOUNCE = """
with fresh as (
    update steps s set bounced = false
    from unnest($1::uuid[], $2::int[]) as n (enrollment_id, position)
    where s.enrollment_id = n.enrollment_id and s.position = n.position and s.bounced and s.state <> 'bounced'
    returning s.credential_id, s.settled_at
)
update credentials c set bounces = c.bounces - n.bounces
from (
    select f.credential_id, count(*) as bounces from fresh f
    join credentials x on x.credential_id = f.credential_id and f.settled_at >= x.enabled_at
    group by 1
) n
where c.credential_id = n.credential_id
"""


@deliveries.on(CredentialRefused, apart="credential_days")
async def credential_refused(db: Db, events: Sequence[Recorded[CredentialRefused]]) -> None:
    """One whose server takes no more today rests until the day is over."""
    held = {(item.event.credential_id, item.event.day) for item in events if item.event.kind == "held_today"}
    await db.execute(
        "insert into credential_days (credential_id, day, held) "
        "select credential_id, day, true from unnest($1::uuid[], $2::date[]) as n (credential_id, day) "
        "on conflict (credential_id, day) do update set held = true",
        [credential for credential, _ in held],
        [day for _, day in held],
    )


@deliveries.on(QuotaClaimed, apart="credential_days")
async def quota_claimed(db: Db, events: Sequence[Recorded[QuotaClaimed]]) -> None:
    """So much of the day is used."""
    await db.execute(
        COUNT_CLAIMS,
        [item.event.credential_id for item in events],
        [item.event.day for item in events],
        [item.event.counted for item in events],
    )


@deliveries.on(QuotaReleased, apart="credential_days")
async def quota_released(db: Db, events: Sequence[Recorded[QuotaReleased]]) -> None:
    """So much of the day is free again."""
    await db.execute(
        COUNT_CLAIMS,
        [item.event.credential_id for item in events],
        [item.event.day for item in events],
        [-item.event.counted for item in events],
    )


@deliveries.on(DeliveryStarted)
async def delivery_started(db: Db, events: Sequence[Recorded[DeliveryStarted]]) -> None:
    """It is under way, and belongs to the day of its claim: the last one of the run."""
    last = {(item.event.enrollment_id, item.event.position): item.event.day for item in events}
    await db.execute(
        "update steps s set state = 'started', day = n.day "
        "from unnest($1::uuid[], $2::int[], $3::date[]) as n (enrollment_id, position, day) "
        "where s.enrollment_id = n.enrollment_id and s.position = n.position",
        [enrollment for enrollment, _ in last],
        [position for _, position in last],
        list(last.values()),
    )


@deliveries.on(EmailSent)
async def email_sent(db: Db, events: Sequence[Recorded[EmailSent]]) -> None:
    """A send of its credential, and of its account's month."""
    await _settle(db, "sent", events, [item.event.sent_at for item in events])


@deliveries.on(DeliveryUnknown)
async def delivery_unknown(db: Db, events: Sequence[Recorded[DeliveryUnknown]]) -> None:
    """It counts as sent."""
    await _settle(db, "unknown", events, [item.event.at for item in events])


@deliveries.on(EmailBounced)
async def email_bounced(db: Db, events: Sequence[Recorded[EmailBounced]]) -> None:
    """A send and a bounce of its credential; one for good marks the contact."""
    await _settle(db, "bounced", events, [item.event.bounced_at for item in events])
    await _bounce(db, events)


@deliveries.on(BounceReceived)
async def bounce_received(db: Db, events: Sequence[Recorded[BounceReceived]]) -> None:
    """A bounce of the credential, once for each message; one for good marks the contact."""
    await _bounce(db, events)


@deliveries.on(InboundReclassified)
async def reclassified(db: Db, events: Sequence[Recorded[InboundReclassified]]) -> None:
    """One by one: what was no bounce counts no more for its credential, what was one counts."""
    for event in (item.event for item in events):
        if event.was == "bounce":
            await db.execute(UNBOUNCE, [event.enrollment_id], [event.position])
        if event.bounce is not None:
            await db.execute(BOUNCE, [event.enrollment_id], [event.bounce.position])
            hard = [event.contact_id] if event.bounce.kind == "hard" else []
            await db.execute("update contacts set bounced = true where contact_id = any($1)", hard)


@deliveries.on(DeliveryDeferred)
async def delivery_deferred(db: Db, events: Sequence[Recorded[DeliveryDeferred]]) -> None:
    """It is open again, for later; one whose enrollment has ended stays as it is."""
    last = {(item.event.enrollment_id, item.event.position): item.event.not_before for item in events}
    await db.execute(
        "update steps s set state = case when e.status = 'ended' then 'cancelled' else 'open' end, due_at = n.due_at "
        "from unnest($1::uuid[], $2::int[], $3::timestamptz[]) as n (enrollment_id, position, due_at) "
        "join enrollments e on e.enrollment_id = n.enrollment_id "
        "where s.enrollment_id = n.enrollment_id and s.position = n.position",
        [enrollment for enrollment, _ in last],
        [position for _, position in last],
        list(last.values()),
    )


@deliveries.on(DeliveryFailed)
async def delivery_failed(db: Db, events: Sequence[Recorded[DeliveryFailed]]) -> None:
    """It is tried no more; it was never a send."""
    await db.execute(
        "update steps s set state = 'failed', settled_at = n.at "
        "from unnest($1::uuid[], $2::int[], $3::timestamptz[]) as n (enrollment_id, position, at) "
        "where s.enrollment_id = n.enrollment_id and s.position = n.position",
        [item.event.enrollment_id for item in events],
        [item.event.position for item in events],
        [item.business_at for item in events],
    )


@deliveries.on(DeliveryResolved)
async def delivery_resolved(db: Db, events: Sequence[Recorded[DeliveryResolved]]) -> None:
    """Somebody settled it: what was not sent is no send."""
    sent = [item for item in events if item.event.outcome == "sent"]
    await _settle(db, "sent", sent, [item.event.at for item in sent])
    not_sent = {(item.event.enrollment_id, item.event.position) for item in events if item.event.outcome == "not_sent"}
    await db.execute(UNSETTLE, [enrollment for enrollment, _ in not_sent], [position for _, position in not_sent])


async def _settle(
    db: Db,
    state: str,
    events: Sequence[Recorded[EmailSent]]
    | Sequence[Recorded[DeliveryUnknown]]
    | Sequence[Recorded[EmailBounced]]
    | Sequence[Recorded[DeliveryResolved]],
    at: Sequence[datetime],
) -> None:
    found: list[DeliveryEvent] = [item.event for item in events]
    await db.execute(
        SETTLE,
        [event.enrollment_id for event in found],
        [event.position for event in found],
        [moment.astimezone(UTC) for moment in at],
        state,
    )


async def _bounce(db: Db, events: Sequence[Recorded[EmailBounced]] | Sequence[Recorded[BounceReceived]]) -> None:
    found: list[EmailBounced | BounceReceived] = [item.event for item in events]
    await db.execute(
        BOUNCE,
        [event.enrollment_id for event in found],
        [event.position for event in found],
    )
    await db.execute(
        "update contacts set bounced = true where contact_id = any($1)",
        [event.contact_id for event in found if event.kind == "hard"],
    )
