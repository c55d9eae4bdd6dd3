"""What plans and ends of enrollments make of the to-dos: sends to tell, move and cancel."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from outrider.dispatcher.holds import refresh
from outrider.dispatcher.todos_caused import caused
from outrider.dispatcher.todos_sending import NAME
from outrider.events import todo
from outrider.events.campaign import BatchPlanned, StepsRetimed
from outrider.events.claims import NOT_DONE
from outrider.events.database import Db
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentFinished,
    EnrollmentReplied,
    EnrollmentSkipped,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    StepReopened,
    StepsScheduled,
)
from outrider.events.ids import delivery_id
from outrider.events.message import Recorded
from outrider.events.projector import Projection
from outrider.events.todo import Todo

Ended = EnrollmentReplied | EnrollmentBounced | EnrollmentUnsubscribed | EnrollmentStopped | EnrollmentFinished
enrollments = Projection(NAME)
MOVE = f"""
update todos t set due_at = n.due_at, data = t.data || jsonb_build_object('planned_at', n.planned_at),
    not_before = case when t.claimed then t.not_before end
from unnest($1::text[], $2::timestamptz[], $3::text[]) as n (key, due_at, planned_at)
where t.kind = 'send_step' and t.key = any($1) and t.key = n.key and {NOT_DONE}
"""  # noqa: S608  # constants
HAND_OVER = f"""
update todos t set lane = n.lane, data = t.data || case
    when t.ordinal > 1 and not t.data ? 'first_credential_id' and not exists (
        select from todos o where o.owner = t.owner and o.kind = 'send_step' and o.ordinal = 1 and o.done_at is null
    )
    then jsonb_build_object('first_credential_id', t.lane)
    else '{{}}' end
from unnest($1::text[], $2::uuid[]) as n (key, lane)
where t.kind = 'send_step' and t.key = any($1) and t.key = n.key and {NOT_DONE} and not t.claimed and t.lane <> n.lane
"""  # noqa: S608  # constants
REOPEN = """
update todos t set done_at = null, error = null, due_at = n.due_at, claimed = false, not_before = null,
    leased_by = null, attempts = 0, dead_at = null,
    data = t.data - 'first_attempt_at' || jsonb_build_object('attempt', n.attempt, 'planned_at', n.planned_at)
from unnest($1::text[], $2::timestamptz[], $3::int[], $4::text[]) as n (key, due_at, attempt, planned_at)
where t.kind = 'send_step' and t.key = any($1) and t.key = n.key
"""
COMPLETE = """
insert into todos (kind, key, account_id, scope, due_at)
select distinct on (n.scope) 'complete_campaign', n.scope::text, n.account_id, n.scope, n.at
from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as n (scope, account_id, at)
where not exists (
    select from todos o where o.scope = n.scope and o.kind = 'send_step' and o.done_at is null
)
on conflict (kind, key) do update set done_at = null, leased_by = null, not_before = null, attempts = 0, dead_at = null
"""  # one row a campaign, opened again: whoever is at it loses its lease, so that nothing is closed unseen


@enrollments.on(BatchPlanned)
async def batch_planned(db: Db, events: Sequence[Recorded[BatchPlanned]]) -> None:
    """It is planned; one in which everybody was skipped may have completed the campaign."""
    await todo.close(db, "plan_batch", [f"{item.event.campaign_id}:{item.event.dispatch_id}" for item in events])
    await _complete(db, {item.event.campaign_id: item for item in events})


@enrollments.on(StepsScheduled)
async def steps_scheduled(db: Db, events: Sequence[Recorded[StepsScheduled]]) -> None:
    """Every step is to be sent at its time."""
    todos = [
        Todo(
            "send_step",
            f"{item.event.enrollment_id}:{step.position}",
            item.account_id,
            step.at,
            owner=item.event.enrollment_id,
            scope=item.event.campaign_id,
            lane=item.event.credential_id,
            ordinal=step.position,
            data={
                "delivery_id": str(delivery_id(item.event.enrollment_id, step.position)),
                "contact_id": str(item.event.contact_id),
                "attempt": 1,
                "planned_at": step.at.isoformat(),
            },
            trace=item.trace,
        )
        for item in events
        for step in item.event.steps
    ]
    await todo.add(db, todos)
    await refresh(db, await _on_hold(db, todos))


async def _on_hold(db: Db, todos: Sequence[Todo]) -> list[UUID]:
    """The campaigns and credentials of these that something holds."""
    ids = {found for item in todos for found in (item.scope, item.lane) if found is not None}
    return [row["id"] for row in await db.fetch("select distinct id from holds where id = any($1)", list(ids))]


@enrollments.on(StepReopened)
async def step_reopened(db: Db, events: Sequence[Recorded[StepReopened]]) -> None:
    """It is to be sent again: its next attempt."""
    last = {f"{item.event.enrollment_id}:{item.event.position}": item.event for item in events}
    await db.execute(
        REOPEN,
        list(last),
        [event.at for event in last.values()],
        [event.attempt for event in last.values()],
        [event.at.isoformat() for event in last.values()],
    )
    await refresh(db, list({event.campaign_id for event in last.values()}))


@enrollments.on(StepsRetimed)
async def steps_retimed(db: Db, events: Sequence[Recorded[StepsRetimed]]) -> None:
    """What is still open is due then: the last time of the run."""
    last = {f"{step.enrollment_id}:{step.position}": step for item in events for step in item.event.steps}
    times = [step.at for step in last.values()]
    await db.execute(MOVE, list(last), times, [at.isoformat() for at in times])
    if moved := {
        f"{step.enrollment_id}:{step.position}": item.event.credentials[step.enrollment_id]
        for item in events
        for step in item.event.steps
        if step.enrollment_id in item.event.credentials
    }:
        await db.execute(HAND_OVER, list(moved), list(moved.values()))
        await refresh(db, set(moved.values()))


@enrollments.on(EnrollmentReplied, EnrollmentBounced, EnrollmentUnsubscribed, EnrollmentStopped, EnrollmentFinished)
async def enrollment_ended(db: Db, events: Sequence[Recorded[Ended]]) -> None:
    """Nothing of it is told any more; it may have been the campaign's last. One that was deleted frees its contact."""
    await todo.cancel(db, "send_step", [item.event.enrollment_id for item in events])
    await todo.add(db, [_free(item) for item in events if getattr(item.event, "reason", None) == "deleted"])
    await _complete(db, {item.event.campaign_id: item for item in events})


def _free(item: Recorded[Ended]) -> Todo:
    enrolled = item.event.enrollment_id
    data = {"cause": str(item.cause)}
    return caused(item, "free_contact", str(enrolled), owner=enrolled, data=data)


@enrollments.on(EnrollmentSkipped)
async def enrollment_skipped(db: Db, events: Sequence[Recorded[EnrollmentSkipped]]) -> None:
    """One that ended at the dispatch may have been the campaign's last."""
    await _complete(db, {item.event.campaign_id: item for item in events if item.event.at_dispatch})


async def _complete(db: Db, last: Mapping[UUID, Recorded[BatchPlanned | EnrollmentSkipped | Ended]]) -> None:
    await db.execute(
        COMPLETE,
        list(last),
        [item.account_id for item in last.values()],
        [item.business_at for item in last.values()],
    )
