"""What this service's own decisions make of the to-dos: sends to tell, hold, move and cancel."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from outrider.dispatcher.holds import hold, hold_for_retiming, refresh, release, replace_credentials
from outrider.dispatcher.todos_sending import NAME
from outrider.events import todo
from outrider.events.campaign import (
    BatchDispatched,
    BatchPlanned,
    CampaignChanged,
    CampaignDeleted,
    CampaignPaused,
    CampaignResumed,
    ImportEnrolled,
    StepsChanged,
    StepsRetimed,
)
from outrider.events.claims import NOT_DONE
from outrider.events.credential import (
    CredentialAdded,
    CredentialDisabled,
    CredentialReenabled,
    CredentialRemoved,
    CredentialReplaced,
)
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

commanded = Projection(NAME)
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


@commanded.on(ImportEnrolled)
async def import_enrolled(db: Db, events: Sequence[Recorded[ImportEnrolled]]) -> None:
    """Its first chunk is to be enrolled; each chunk leads to the next."""
    await todo.add(
        db,
        [
            Todo(
                "enroll_chunk",
                f"{item.cause}:0",
                item.account_id,
                item.business_at,
                owner=item.cause,
                scope=item.event.campaign_id,
                data={
                    "event": item.event.as_json(),
                    "cause": str(item.cause),
                    "position": item.position,
                    "chunk": 0,
                    "after": 0,
                    "place": 0,
                },
                trace=item.trace,
            )
            for item in events
        ],
    )


@commanded.on(BatchDispatched)
async def batch_dispatched(db: Db, events: Sequence[Recorded[BatchDispatched]]) -> None:
    """It is to be planned."""
    await todo.add(
        db,
        [
            Todo(
                "plan_batch",
                f"{item.event.campaign_id}:{item.cause}",
                item.account_id,
                item.business_at,
                owner=item.event.campaign_id,
                scope=item.event.campaign_id,
                data={"event": item.event.as_json(), "dispatch_id": str(item.cause), "position": item.position},
                trace=item.trace,
            )
            for item in events
        ],
    )


@commanded.on(BatchPlanned)
async def batch_planned(db: Db, events: Sequence[Recorded[BatchPlanned]]) -> None:
    """It is planned; one in which everybody was skipped may have completed the campaign."""
    await todo.close(db, "plan_batch", [f"{item.event.campaign_id}:{item.event.dispatch_id}" for item in events])
    await _complete(db, {item.event.campaign_id: item for item in events})


@commanded.on(StepsScheduled)
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


@commanded.on(StepReopened)
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


@commanded.on(StepsRetimed)
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


@commanded.on(CampaignPaused)
async def campaign_paused(db: Db, events: Sequence[Recorded[CampaignPaused]]) -> None:
    """Nothing of it is told."""
    await hold(db, {item.event.campaign_id: "paused" for item in events})


@commanded.on(CampaignResumed)
async def campaign_resumed(db: Db, events: Sequence[Recorded[CampaignResumed]]) -> None:
    """It is told again once what became overdue is spaced anew."""
    for item in events:
        await _retime(db, item, item.event.campaign_id, item.event.campaign_id, "resumed")
    await release(db, "paused", [item.event.campaign_id for item in events])
    await replace_credentials(db, events)


@commanded.on(CampaignChanged)
async def campaign_changed(db: Db, events: Sequence[Recorded[CampaignChanged]]) -> None:
    """What is not due yet follows the new window."""
    for item in events:
        await _retime(db, item, item.event.campaign_id, None, "settings_changed")


@commanded.on(StepsChanged)
async def steps_changed(db: Db, events: Sequence[Recorded[StepsChanged]]) -> None:
    """Follow-ups behind a step whose delay is another one move with it."""
    for item in events:
        if item.event.delay_of is not None:
            await _retime(db, item, item.event.campaign_id, None, "settings_changed", item.event.delay_of)


@commanded.on(CampaignDeleted)
async def campaign_deleted(db: Db, events: Sequence[Recorded[CampaignDeleted]]) -> None:
    """Nothing of it fires; its enrollments end, its credentials go."""
    gone = [item.event.campaign_id for item in events]
    await hold(db, dict.fromkeys(gone, "deleted"))
    await db.execute(
        "update todos set done_at = clock_timestamp(), error = 'cancelled' where scope = any($1) and done_at is null",
        gone,
    )
    await todo.add(
        db,
        [
            Todo(
                "delete_campaign",
                str(item.event.campaign_id),
                item.account_id,
                item.business_at,
                owner=item.event.campaign_id,
                data={"event": item.event.as_json(), "cause": str(item.cause)},
                trace=item.trace,
            )
            for item in events
        ],
    )


@commanded.on(CredentialDisabled)
async def credential_disabled(db: Db, events: Sequence[Recorded[CredentialDisabled]]) -> None:
    """Nothing is told through it; its campaign may have none left."""
    await hold(db, {item.event.credential_id: "disabled" for item in events})
    await todo.add(db, [_pause(item) for item in events])
    await replace_credentials(db, events)


@commanded.on(CredentialRemoved)
async def credential_removed(db: Db, events: Sequence[Recorded[CredentialRemoved]]) -> None:
    """Nothing is told through it; its campaign may have none left."""
    await hold(db, {item.event.credential_id: "removed" for item in events})
    await todo.add(db, [_pause(item) for item in events])
    await replace_credentials(db, events)


@commanded.on(CredentialAdded)
async def credential_added(db: Db, events: Sequence[Recorded[CredentialAdded]]) -> None:
    """Others may be waiting for one that takes over."""
    await replace_credentials(db, events)


@commanded.on(CredentialReplaced)
async def credential_replaced(db: Db, events: Sequence[Recorded[CredentialReplaced]]) -> None:
    """Its open steps are to get another credential, and times that fit it."""
    for item in events:
        await _retime(db, item, item.event.campaign_id, None, "hand_over", of=item.event.credential_id)


def _pause(item: Recorded[CredentialDisabled] | Recorded[CredentialRemoved]) -> Todo:
    campaign_id, key = item.event.campaign_id, f"{item.event.campaign_id}:{item.position}"
    data = {"credential_id": str(item.event.credential_id)}
    return Todo(
        "pause_campaign",
        key,
        item.account_id,
        item.business_at,
        owner=campaign_id,
        scope=campaign_id,
        data=data,
        trace=item.trace,
    )


@commanded.on(CredentialReenabled)
async def credential_reenabled(db: Db, events: Sequence[Recorded[CredentialReenabled]]) -> None:
    """It is used again once what became overdue is spaced anew."""
    for item in events:
        await _retime(db, item, item.event.campaign_id, item.event.credential_id, "resumed")
    await release(db, "disabled", [item.event.credential_id for item in events])
    await replace_credentials(db, events)


async def _retime(  # noqa: PLR0913, PLR0917  # what moves, and why
    db: Db,
    item: Recorded[CampaignResumed]
    | Recorded[CampaignChanged]
    | Recorded[StepsChanged]
    | Recorded[CredentialReenabled]
    | Recorded[CredentialReplaced],
    campaign_id: UUID,
    held: UUID | None,
    reason: str,
    delay_of: int | None = None,
    of: UUID | None = None,
) -> None:
    """The campaign's open steps are to be timed anew, or those `of` a credential; `held` waits for it."""
    key = f"{campaign_id}:{item.position}"
    data = {"reason": reason, "delay_of": delay_of, "of": None if of is None else str(of)}
    found = Todo(
        "retime",
        key,
        item.account_id,
        item.business_at,
        owner=campaign_id,
        scope=campaign_id,
        data=data,
        trace=item.trace,
    )
    if held is None:
        await todo.add(db, [found])
    else:
        await hold_for_retiming(db, found, held)


@commanded.on(EnrollmentReplied, EnrollmentBounced, EnrollmentUnsubscribed, EnrollmentStopped, EnrollmentFinished)
async def enrollment_ended(
    db: Db,
    events: Sequence[
        Recorded[
            EnrollmentReplied | EnrollmentBounced | EnrollmentUnsubscribed | EnrollmentStopped | EnrollmentFinished
        ]
    ],
) -> None:
    """Nothing of it is told any more; it may have been the campaign's last. One that was deleted frees its contact."""
    await todo.cancel(db, "send_step", [item.event.enrollment_id for item in events])
    await todo.add(db, [_free(item) for item in events if getattr(item.event, "reason", None) == "deleted"])
    await _complete(db, {item.event.campaign_id: item for item in events})


def _free(
    item: Recorded[
        EnrollmentReplied | EnrollmentBounced | EnrollmentUnsubscribed | EnrollmentStopped | EnrollmentFinished
    ],
) -> Todo:
    enrolled = item.event.enrollment_id
    data = {"cause": str(item.cause)}
    return Todo(
        "free_contact", str(enrolled), item.account_id, item.business_at, owner=enrolled, data=data, trace=item.trace
    )


@commanded.on(EnrollmentSkipped)
async def enrollment_skipped(db: Db, events: Sequence[Recorded[EnrollmentSkipped]]) -> None:
    """One that ended at the dispatch may have been the campaign's last."""
    await _complete(db, {item.event.campaign_id: item for item in events if item.event.at_dispatch})


async def _complete(
    db: Db,
    last: Mapping[UUID, Recorded[BatchPlanned]]
    | Mapping[UUID, Recorded[EnrollmentSkipped]]
    | Mapping[
        UUID,
        Recorded[
            EnrollmentReplied | EnrollmentBounced | EnrollmentUnsubscribed | EnrollmentStopped | EnrollmentFinished
        ],
    ],
) -> None:
    await db.execute(
        COMPLETE,
        list(last),
        [item.account_id for item in last.values()],
        [item.business_at for item in last.values()],
    )
