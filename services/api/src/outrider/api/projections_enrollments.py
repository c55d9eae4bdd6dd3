"""Enrollments: who is where on the way through a campaign, and what is planned next."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from outrider.api.projection import first_of, last_of, tables
from outrider.events.campaign import StepsRetimed
from outrider.events.database import Db
from outrider.events.enrollment import (
    EnrollmentCreated,
    EnrollmentFinished,
    EnrollmentSkipped,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    StepReopened,
    StepsScheduled,
)
from outrider.events.inbound import OptOutReceived
from outrider.events.message import Recorded

CREATE = """
insert into enrollments
    (enrollment_id, account_id, campaign_id, contact_id, batch_number, position, created_at)
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::timestamptz[])
on conflict do nothing
"""
PLAN = """
insert into planned_steps (enrollment_id, step_position, campaign_id, credential_id, at)
select * from unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::timestamptz[])
on conflict (enrollment_id, step_position)
do update set credential_id = excluded.credential_id, at = excluded.at, open = true
"""
SKIP = """
update enrollments e
set skip_kind = coalesce(e.skip_kind, s.kind), ended_at = coalesce(e.ended_at, s.at)
from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as s (enrollment_id, kind, at)
where e.enrollment_id = s.enrollment_id
"""
HAND_OVER = """
with run as (
    select * from unnest($1::uuid[], $2::uuid[]) as n (enrollment_id, credential_id)
),
moved as (
    update planned_steps p set credential_id = r.credential_id from run r
    where p.enrollment_id = r.enrollment_id and p.open
)
update enrollments e set credential_id = r.credential_id from run r
where e.enrollment_id = r.enrollment_id and e.ended_at is null
"""


@tables.on(EnrollmentCreated)
async def enrollment_created(db: Db, events: Sequence[Recorded[EnrollmentCreated]]) -> None:
    """The enrollments stand, pending in their batches."""
    await db.execute(
        CREATE,
        [item.event.enrollment_id for item in events],
        [item.account_id for item in events],
        [item.event.campaign_id for item in events],
        [item.event.contact_id for item in events],
        [item.event.batch_number for item in events],
        [item.position for item in events],
        [item.business_at for item in events],
    )


@tables.on(EnrollmentSkipped)
async def enrollment_skipped(db: Db, events: Sequence[Recorded[EnrollmentSkipped]]) -> None:
    """Every skip leaves a row; one at the dispatch ends the enrollment, and an unmailable domain marks the contact."""
    await db.execute(
        "insert into skips (position, campaign_id, enrollment_id, contact_id, kind, created_at) "
        "select * from unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[]) "
        "on conflict do nothing",
        [item.position for item in events],
        [item.event.campaign_id for item in events],
        [item.event.enrollment_id for item in events],
        [item.event.contact_id for item in events],
        [item.event.kind for item in events],
        [item.business_at for item in events],
    )
    counted = Counter((item.event.campaign_id, item.event.kind) for item in events)
    await db.execute(
        "insert into skip_counts as c (campaign_id, kind, skips) "
        "select * from unnest($1::uuid[], $2::text[], $3::int[]) "
        "on conflict (campaign_id, kind) do update set skips = c.skips + excluded.skips",
        [campaign for campaign, _ in counted],
        [kind for _, kind in counted],
        list(counted.values()),
    )
    ended = first_of([item for item in events if item.event.at_dispatch], lambda event: event.enrollment_id)
    ids, times = [item.event.enrollment_id for item in ended], [item.business_at for item in ended]
    await db.execute(SKIP, ids, [item.event.kind for item in ended], times)
    unmailable = [item for item in ended if item.event.kind == "mx_invalid"]
    await mark_bounced(
        db,
        [item.event.contact_id for item in unmailable],
        ["mx_invalid"] * len(unmailable),
        [item.business_at for item in unmailable],
    )


async def mark_bounced(db: Db, contacts: Sequence[UUID], reasons: Sequence[str], times: Sequence[datetime]) -> None:
    """The contacts show when and why nothing can reach them; the first reason stays."""
    await db.execute(
        "update contacts c set bounced_at = b.at, bounce_reason = b.reason "
        "from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as b (contact_id, reason, at) "
        "where c.contact_id = b.contact_id and c.bounced_at is null",
        contacts,
        reasons,
        times,
    )


@tables.on(StepsScheduled)
async def steps_scheduled(db: Db, events: Sequence[Recorded[StepsScheduled]]) -> None:
    """The enrollments are scheduled through their credential, and every step has its time."""
    planned = last_of(events, lambda event: event.enrollment_id)
    await db.execute(
        "update enrollments e set scheduled_at = s.at, credential_id = s.credential_id "
        "from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as s (enrollment_id, credential_id, at) "
        "where e.enrollment_id = s.enrollment_id",
        [item.event.enrollment_id for item in planned],
        [item.event.credential_id for item in planned],
        [item.business_at for item in planned],
    )
    steps = [(item.event, step) for item in planned for step in item.event.steps]
    await db.execute(
        PLAN,
        [event.enrollment_id for event, _ in steps],
        [step.position for _, step in steps],
        [event.campaign_id for event, _ in steps],
        [event.credential_id for event, _ in steps],
        [step.at for _, step in steps],
    )


@tables.on(StepsRetimed)
async def steps_retimed(db: Db, events: Sequence[Recorded[StepsRetimed]]) -> None:
    """Open steps have their last times; whose they are is remembered for their history."""
    moves = sorted({(step.enrollment_id, item.position) for item in events for step in item.event.steps})
    await db.execute(
        "insert into retimings (enrollment_id, position) select * from unnest($1::uuid[], $2::bigint[]) "
        "on conflict do nothing",
        [enrollment for enrollment, _ in moves],
        [position for _, position in moves],
    )
    times = {(step.enrollment_id, step.position): step.at for item in events for step in item.event.steps}
    await db.execute(
        "update planned_steps p set at = r.at from unnest($1::uuid[], $2::int[], $3::timestamptz[]) "
        "as r (enrollment_id, step_position, at) "
        "where p.enrollment_id = r.enrollment_id and p.step_position = r.step_position and p.open",
        [enrollment for enrollment, _ in times],
        [position for _, position in times],
        list(times.values()),
    )
    if moved := {enrollment: to for item in events for enrollment, to in item.event.credentials.items()}:
        await db.execute(HAND_OVER, list(moved), list(moved.values()))


@tables.on(StepReopened)
async def step_reopened(db: Db, events: Sequence[Recorded[StepReopened]]) -> None:
    """The step is planned again, and its enrollment has not finished."""
    await db.execute(
        "update enrollments set completed_at = null, ended_at = null where enrollment_id = any($1)",
        [item.event.enrollment_id for item in events],
    )
    last = {(item.event.enrollment_id, item.event.position): item.event.at for item in events}
    await db.execute(
        "update planned_steps p set open = true, at = r.at from unnest($1::uuid[], $2::int[], $3::timestamptz[]) "
        "as r (enrollment_id, step_position, at) "
        "where p.enrollment_id = r.enrollment_id and p.step_position = r.step_position",
        [enrollment for enrollment, _ in last],
        [position for _, position in last],
        list(last.values()),
    )


@tables.on(EnrollmentUnsubscribed)
async def enrollment_unsubscribed(db: Db, events: Sequence[Recorded[EnrollmentUnsubscribed]]) -> None:
    """The enrollments ended with it."""
    ended = first_of(events, lambda event: event.enrollment_id)
    await _unsubscribe(db, [item.event.enrollment_id for item in ended], [item.business_at for item in ended])


@tables.on(OptOutReceived)
async def opt_out_received(db: Db, events: Sequence[Recorded[OptOutReceived]]) -> None:
    """The enrollments whose message was answered so ended with it."""
    ended = first_of(events, lambda event: event.enrollment_id)
    await _unsubscribe(db, [item.event.enrollment_id for item in ended], [item.event.received_at for item in ended])


async def _unsubscribe(db: Db, enrollments: Sequence[UUID], times: Sequence[datetime]) -> None:
    await db.execute(
        "update enrollments e set unsubscribed_at = coalesce(e.unsubscribed_at, u.at), "
        "ended_at = coalesce(e.ended_at, u.at) from unnest($1::uuid[], $2::timestamptz[]) as u (enrollment_id, at) "
        "where e.enrollment_id = u.enrollment_id",
        enrollments,
        times,
    )
    await close_steps(db, enrollments)


@tables.on(EnrollmentStopped)
async def enrollment_stopped(db: Db, events: Sequence[Recorded[EnrollmentStopped]]) -> None:
    """The enrollments ended for this reason."""
    ended = first_of(events, lambda event: event.enrollment_id)
    ids = [item.event.enrollment_id for item in ended]
    await db.execute(
        "update enrollments e set stop_reason = coalesce(e.stop_reason, s.reason), "
        "ended_at = coalesce(e.ended_at, s.at) "
        "from unnest($1::uuid[], $2::text[], $3::timestamptz[]) as s (enrollment_id, reason, at) "
        "where e.enrollment_id = s.enrollment_id",
        ids,
        [item.event.reason for item in ended],
        [item.business_at for item in ended],
    )
    await close_steps(db, ids)


@tables.on(EnrollmentFinished)
async def enrollment_finished(db: Db, events: Sequence[Recorded[EnrollmentFinished]]) -> None:
    """The enrollments went the whole way."""
    ended = first_of(events, lambda event: event.enrollment_id)
    ids = [item.event.enrollment_id for item in ended]
    await db.execute(
        "update enrollments e set completed_at = coalesce(e.completed_at, f.at), ended_at = coalesce(e.ended_at, f.at) "
        "from unnest($1::uuid[], $2::timestamptz[]) as f (enrollment_id, at) where e.enrollment_id = f.enrollment_id",
        ids,
        [item.business_at for item in ended],
    )
    await close_steps(db, ids)


async def close_steps(db: Db, enrollments: Sequence[UUID]) -> None:
    """Nothing is planned for these enrollments any more."""
    await db.execute("update planned_steps set open = false where enrollment_id = any($1) and open", enrollments)
