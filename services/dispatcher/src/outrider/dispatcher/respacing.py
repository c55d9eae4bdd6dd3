"""To-dos `retime` and `retime_late`: open steps get new times after a resume, a change, or a step that left late."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Literal
from uuid import UUID

from outrider.dispatcher import facts
from outrider.dispatcher.campaign import Campaign, campaign
from outrider.dispatcher.desk import Desk, chunks
from outrider.dispatcher.dispatching import campaign_state
from outrider.dispatcher.holds import release
from outrider.dispatcher.planning import (
    OpenEnrollment,
    OpenStep,
    Retimed,
    differing,
    follow_on,
    hand_over,
    retime,
    timed,
)
from outrider.dispatcher.returning import after_return
from outrider.events import vault
from outrider.events.campaign import CampaignSettings, RetimedStep, StepsRetimed
from outrider.events.database import Row
from outrider.events.errors import NotYet
from outrider.events.ids import new_id
from outrider.events.inbound import AutoReplyReceived
from outrider.events.log import Write
from outrider.events.todo import Todo
from outrider.events.windows import CONTACT, window_of

Reason = Literal["resumed", "sent_late", "settings_changed", "hand_over", "plan_opened", "window_missed", "away"]
OPEN = """
select s.enrollment_id, s.credential_id, s.position, s.due_at, e.contact_id, e.dispatch_id, p.settled_at as previous
from steps s
join enrollments e on e.enrollment_id = s.enrollment_id and e.status = 'scheduled'
left join steps p on p.enrollment_id = s.enrollment_id and p.position = s.position - 1
    and p.state in ('sent', 'unknown')
where s.campaign_id = $1 and s.state = 'open' and ($2::uuid[] is null or s.enrollment_id = any($2))
order by s.enrollment_id, s.position
"""
LAST_STARTS = """
select credential_id, max(settled_at) as at from steps
where campaign_id = $1 and state in ('sent', 'unknown') and settled_at > $2::timestamptz - interval '1 day'
group by 1
"""


async def respace(desk: Desk, item: Todo) -> None:
    """What became overdue, or has other waits now, is spaced anew; what the to-do held is told again."""
    await desk.fresh()
    campaign_id, reason = UUID(item.key.partition(":")[0]), item.data["reason"]
    state = await campaign_state(desk, item.account_id, campaign_id)
    delay_of = item.data.get("delay_of")
    before = await _before(desk, item, campaign_id) if reason == "settings_changed" else state.settings
    anew = _waits(before) != _waits(state.settings)
    if (
        reason == "settings_changed"
        and delay_of is None
        and not anew
        and before.send_window == state.settings.send_window
    ):
        return  # it was about something else
    held = UUID(item.data["held"]) if item.data.get("held") else None
    position = 0
    if state.exists:
        rows = await desk.tables.fetch(OPEN, campaign_id, None)
        one = UUID(item.data["of"]) if item.data.get("of") else held
        if one not in {None, campaign_id}:  # a credential: the others never stopped
            rows = [row for row in rows if row["credential_id"] == one]
        wanted = None if delay_of is None else partial(follow_on, position=delay_of)
        position = await _retime(desk, item.account_id, campaign_id, state, rows, reason, wanted, anew=anew)
    if held is not None:
        if not await desk.todos.reach(position):  # the rows must stand at their new times first
            raise NotYet(1)
        async with desk.work.acquire() as db, db.transaction():
            await release(db, f"retiming:{item.key}", [held])


async def _before(desk: Desk, item: Todo, campaign_id: UUID) -> CampaignSettings:
    """What held until the event that led to this."""
    history = await desk.log.read_stream(item.account_id, campaign.stream(campaign_id))
    position = int(item.key.partition(":")[2])
    return campaign.fold(found.event for found in history if found.position < position).settings


def _waits(settings: CampaignSettings) -> tuple[int, int, str]:
    return settings.min_wait_seconds, settings.max_wait_seconds, settings.spacing


async def respace_late(desk: Desk, todos: Sequence[Todo]) -> None:
    """Steps behind one that left late keep their delay from it."""
    await desk.fresh()
    late: dict[tuple[UUID, UUID], list[UUID]] = {}
    for item in todos:
        if item.scope is not None and item.owner is not None:
            late.setdefault((item.account_id, item.scope), []).append(item.owner)
    for (account_id, campaign_id), enrollments in late.items():
        state = await campaign_state(desk, account_id, campaign_id)
        if state.exists:
            rows = await desk.tables.fetch(OPEN, campaign_id, enrollments)
            await _retime(desk, account_id, campaign_id, state, rows, "sent_late")


async def await_return(desk: Desk, item: Todo) -> None:
    """Where the campaign wants it, the next step leaves on the working day after the person is back."""
    await desk.fresh()
    away = AutoReplyReceived.model_validate(item.data["event"])
    state = await campaign_state(desk, item.account_id, away.campaign_id)
    if away.returns_on is None or not state.exists or state.settings.on_auto_reply != "resume_on_return":
        return
    rows = await desk.tables.fetch(OPEN, away.campaign_id, [away.enrollment_id])
    wait = partial(after_return, returns_on=away.returns_on, now=desk.clock.now())
    await _retime(desk, item.account_id, away.campaign_id, state, rows, "away", wait)


async def _retime(  # noqa: PLR0913, PLR0917  # what is moved, for whom, and why
    desk: Desk,
    account_id: UUID,
    campaign_id: UUID,
    state: Campaign,
    rows: Sequence[Row],
    reason: Reason,
    wanted: Callable[[OpenEnrollment], OpenEnrollment] | None = None,
    *,
    anew: bool = False,
) -> int:
    """The position of the last StepsRetimed; 0 when nothing moves. `wanted` says where the open steps should stand."""
    now = desk.clock.now()
    before = _open(state, rows, await _zones(desk, account_id, state, rows))
    found = before if wanted is None else [wanted(item) for item in before]
    uses = await facts.credentials_in_use(desk.tables, campaign_id, now, [item.enrollment_id for item in found])
    capacities = [use.capacity(now.astimezone(UTC).date()) for use in uses]
    if reason == "hand_over":
        found = hand_over(found, capacities)
    last: Mapping[UUID, datetime] = {}
    if reason not in {"sent_late", "away"}:
        starts = await desk.tables.fetch(LAST_STARTS, campaign_id, now)
        last = {row["credential_id"]: row["at"] for row in starts}
    moved = await asyncio.to_thread(
        retime,
        found,
        capacities,
        min_wait=state.settings.min_wait_seconds,
        max_wait=state.settings.max_wait_seconds,
        spacing=state.settings.spacing,
        window=window_of(state.settings.send_window),
        seed=campaign_id.int & 0x7FFFFFFF,
        now=now,
        last_start=max(last.values(), default=None),
        last_start_of=last,
        anew=anew,
    )
    credentials = {item.enrollment_id: item.credential_id for item in found} if reason == "hand_over" else {}
    if reason == "hand_over":
        moved = timed(found, moved)
    position = 0
    for part in chunks(moved if wanted is None else differing(before, found, moved)):
        given = {item.enrollment_id: credentials[item.enrollment_id] for item in part} if credentials else {}
        event = StepsRetimed(campaign_id=campaign_id, reason=reason, steps=_steps(part), credentials=given)
        # Begun again, it finds these moved already: the cause need not say that it is the same.
        verdict = await desk.log.append(account_id, Write(f"plan-{campaign_id}", None, [event], new_id()))
        position = verdict.position
        await desk.kept_pace()
    return position


def _steps(moved: Sequence[Retimed]) -> tuple[RetimedStep, ...]:
    return tuple(
        RetimedStep(enrollment_id=item.enrollment_id, position=position, at=at)
        for item in moved
        for position, at in item.times
    )


def _open(state: Campaign, rows: Sequence[Row], zones: Mapping[UUID, str]) -> list[OpenEnrollment]:
    delays = {step.position: step.delay_minutes * 60 for step in state.steps}
    by_enrollment: dict[UUID, list[Row]] = {}
    begins: dict[UUID, datetime] = {}
    for row in rows:
        by_enrollment.setdefault(row["enrollment_id"], []).append(row)
        if row["position"] == 1:
            begins[row["dispatch_id"]] = min(row["due_at"], begins.get(row["dispatch_id"], row["due_at"]))
    return [
        OpenEnrollment(
            enrollment_id,
            mine[0]["credential_id"],
            zones.get(mine[0]["contact_id"]),
            tuple(OpenStep(row["position"], row["due_at"], delays.get(row["position"], 0)) for row in mine),
            mine[0]["previous"],
            begins[mine[0]["dispatch_id"]] if mine[0]["position"] == 1 else None,
        )
        for enrollment_id, mine in by_enrollment.items()
    ]


async def _zones(desk: Desk, account_id: UUID, state: Campaign, rows: Sequence[Row]) -> Mapping[UUID, str]:
    window = state.settings.send_window
    if window is None or window.timezone != CONTACT:
        return {}
    people = await vault.get_many(desk.log_pool, account_id, list({row["contact_id"] for row in rows}), "person")
    return {contact: zone for contact, person in people.items() if (zone := person.get("timezone"))}
