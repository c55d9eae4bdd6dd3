"""Facts about enrollments and their steps, from the log."""

from collections.abc import Sequence

from outrider.dispatcher.projections_people import NAME
from outrider.events.campaign import StepsRetimed
from outrider.events.database import Db
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentCorrected,
    EnrollmentCreated,
    EnrollmentFinished,
    EnrollmentReplied,
    EnrollmentSkipped,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    StepReopened,
    StepsScheduled,
)
from outrider.events.message import Recorded
from outrider.events.projector import Projection

enrollments = Projection(NAME)
END = """
update enrollments e set status = 'ended', version = greatest(e.version, n.version)
from unnest($1::uuid[], $2::int[]) as n (enrollment_id, version)
where e.enrollment_id = n.enrollment_id
"""
PLAN = """
with planned as (
    select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[])
        as n (enrollment_id, credential_id, dispatch_id, version)
)
update enrollments e set status = 'scheduled', credential_id = p.credential_id, dispatch_id = p.dispatch_id,
    version = p.version
from planned p
where e.enrollment_id = p.enrollment_id
"""
PLAN_STEPS = """
insert into steps (enrollment_id, position, campaign_id, credential_id, due_at)
select * from unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::timestamptz[])
"""
HAND_OVER = """
with run as (
    select * from unnest($1::uuid[], $2::int[], $3::uuid[]) as n (enrollment_id, position, credential_id)
),
moved as (
    update steps s set credential_id = r.credential_id from run r
    where s.enrollment_id = r.enrollment_id and s.position = r.position and s.state = 'open'
)
update enrollments e set credential_id = r.credential_id from run r where e.enrollment_id = r.enrollment_id
"""
RETIME = """
update steps s set due_at = n.due_at
from unnest($1::uuid[], $2::int[], $3::timestamptz[]) as n (enrollment_id, position, due_at)
where s.enrollment_id = n.enrollment_id and s.position = n.position and s.state = 'open'
"""


@enrollments.on(EnrollmentCreated)
async def enrollment_created(db: Db, events: Sequence[Recorded[EnrollmentCreated]]) -> None:
    """It is pending in its batch."""
    await db.execute(
        "insert into enrollments (enrollment_id, campaign_id, account_id, contact_id, batch_number, priority, ordinal, "
        "created, version, outreach_id) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::boolean[], "
        "$7::int[], $8::bigint[], $9::int[], $10::uuid[])",
        [item.event.enrollment_id for item in events],
        [item.event.campaign_id for item in events],
        [item.account_id for item in events],
        [item.event.contact_id for item in events],
        [item.event.batch_number for item in events],
        [item.event.priority for item in events],
        [item.event.ordinal for item in events],
        [item.position for item in events],
        [item.version for item in events],
        [item.event.outreach_id for item in events],
    )


@enrollments.on(StepsScheduled)
async def steps_scheduled(db: Db, events: Sequence[Recorded[StepsScheduled]]) -> None:
    """Its steps are open."""
    await db.execute(
        PLAN,
        [item.event.enrollment_id for item in events],
        [item.event.credential_id for item in events],
        [item.event.dispatch_id for item in events],
        [item.version for item in events],
    )
    steps = [(item.event, step) for item in events for step in item.event.steps]
    await db.execute(
        PLAN_STEPS,
        [event.enrollment_id for event, _ in steps],
        [step.position for _, step in steps],
        [event.campaign_id for event, _ in steps],
        [event.credential_id for event, _ in steps],
        [step.at for _, step in steps],
    )


@enrollments.on(StepReopened)
async def step_reopened(db: Db, events: Sequence[Recorded[StepReopened]]) -> None:
    """It is open again, and so is its enrollment."""
    await db.execute(
        "update enrollments e set status = 'scheduled', version = greatest(e.version, n.version) "
        "from unnest($1::uuid[], $2::int[]) as n (enrollment_id, version) where e.enrollment_id = n.enrollment_id",
        [item.event.enrollment_id for item in events],
        [item.version for item in events],
    )
    last = {(item.event.enrollment_id, item.event.position): item.event.at for item in events}
    await db.execute(
        "update steps s set state = 'open', due_at = n.due_at, settled_at = null "
        "from unnest($1::uuid[], $2::int[], $3::timestamptz[]) as n (enrollment_id, position, due_at) "
        "where s.enrollment_id = n.enrollment_id and s.position = n.position",
        [enrollment for enrollment, _ in last],
        [position for _, position in last],
        list(last.values()),
    )


@enrollments.on(StepsRetimed)
async def steps_retimed(db: Db, events: Sequence[Recorded[StepsRetimed]]) -> None:
    """What is still open is due then: the last time of the run."""
    last = {(step.enrollment_id, step.position): step for item in events for step in item.event.steps}
    await db.execute(
        RETIME,
        [enrollment for enrollment, _ in last],
        [position for _, position in last],
        [step.at for step in last.values()],
    )
    if moved := {
        (step.enrollment_id, step.position): item.event.credentials[step.enrollment_id]
        for item in events
        for step in item.event.steps
        if step.enrollment_id in item.event.credentials
    }:
        await db.execute(
            HAND_OVER,
            [enrollment for enrollment, _ in moved],
            [position for _, position in moved],
            list(moved.values()),
        )


@enrollments.on(EnrollmentReplied, EnrollmentBounced, EnrollmentUnsubscribed, EnrollmentStopped, EnrollmentFinished)
async def enrollment_ended(
    db: Db,
    events: Sequence[
        Recorded[
            EnrollmentReplied | EnrollmentBounced | EnrollmentUnsubscribed | EnrollmentStopped | EnrollmentFinished
        ]
    ],
) -> None:
    """Nothing of it is sent any more; it may have ended in several ways within one run."""
    last = {item.event.enrollment_id: item.version for item in events}
    await db.execute(END, list(last), list(last.values()))
    await db.execute(
        "update steps set state = 'cancelled' where enrollment_id = any($1) and state = 'open'", list(last)
    )


@enrollments.on(EnrollmentCorrected)
async def enrollment_corrected(db: Db, events: Sequence[Recorded[EnrollmentCorrected]]) -> None:
    """One that goes on has not ended."""
    last = {item.event.enrollment_id: item.version for item in events}
    await db.execute(
        "update enrollments e set version = greatest(e.version, n.version), "
        "status = case when n.enrollment_id = any($3) then 'scheduled' else e.status end "
        "from unnest($1::uuid[], $2::int[]) as n (enrollment_id, version) where e.enrollment_id = n.enrollment_id",
        list(last),
        list(last.values()),
        [item.event.enrollment_id for item in events if item.event.goes_on],
    )


@enrollments.on(EnrollmentSkipped)
async def enrollment_skipped(db: Db, events: Sequence[Recorded[EnrollmentSkipped]]) -> None:
    """One that was skipped at the dispatch has ended; a domain that takes no mail marks the contact."""
    ended = [item for item in events if item.event.at_dispatch]
    await db.execute(END, [item.event.enrollment_id for item in ended], [item.version for item in ended])
    await db.execute(
        "update enrollments e set version = greatest(e.version, n.version) "
        "from unnest($1::uuid[], $2::int[]) as n (enrollment_id, version) where e.enrollment_id = n.enrollment_id",
        [item.event.enrollment_id for item in events],
        [item.version for item in events],
    )
    await db.execute(
        "update contacts set bounced = true where contact_id = any($1)",
        [item.event.contact_id for item in events if item.event.kind == "mx_invalid"],
    )
