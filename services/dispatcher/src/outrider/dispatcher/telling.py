"""To-do `send_step`: what is due is told to the sender, no more at once than a credential can take."""

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from outrider.dispatcher import facts
from outrider.dispatcher.desk import Desk
from outrider.dispatcher.enrollment import Who, enrollment, stop_suppressed
from outrider.dispatcher.holds import retime_campaign
from outrider.dispatcher.plans import Limited, share_out, within_plans
from outrider.dispatcher.stopping import cause_of
from outrider.events import vault
from outrider.events.bus import Bus
from outrider.events.campaign import CampaignSettings
from outrider.events.claims import Places
from outrider.events.delivery import SendStep
from outrider.events.ids import delivery_id, partition
from outrider.events.todo import Todo, move
from outrider.events.tracing import SpanKind, follows
from outrider.events.windows import Window, next_close, next_open, window_of

OUTSTANDING: Final = 20
"""Told at once per credential and not settled."""
ROUND: Final = 500
"""Told in one go over all accounts: who has but one to tell waits for no more than these."""
AGAIN_SECONDS: Final = 600.0
"""Real seconds after which a told row without an outcome is told again."""
DUE_LANES = """
with recursive lanes as (  -- from one to the next by the index: each may have 100,000 rows
    (select lane from todos
        where kind = 'send_step' and lane is not null and done_at is null and dead_at is null and not held
        order by lane limit 1)
    union all
    select (select t.lane from todos t
        where t.lane > l.lane and t.kind = 'send_step' and t.done_at is null and t.dead_at is null and not t.held
        order by t.lane limit 1)
    from lanes l
    where l.lane is not null
)
select lane from lanes
where lane is not null and exists (
    select from todos t
    where t.lane = lanes.lane and t.kind = 'send_step' and t.done_at is null and t.dead_at is null and not t.held
        and t.due_at <= $1 and (t.not_before is null or t.not_before <= $2)
)
"""
TOLD = """
select lane, count(*) as told, count(*) filter (where not claimed) as unclaimed,
    count(*) filter (where not claimed and ordinal = 1) as unclaimed_firsts
from todos
where lane = any($1) and kind = 'send_step' and done_at is null and not_before > $2 and leased_by is not null
group by lane
"""
LEFT = """
select c.credential_id, c.daily_limit, c.follow_ups_exempt, c.usable and not coalesce(d.held, false) as usable,
    coalesce(d.counted, 0) as claimed, c.campaign_id, a.account_id, a.monthly_limit
from credentials c
join accounts a on a.account_id = c.account_id
left join credential_days d on d.credential_id = c.credential_id and d.day = $2
where c.credential_id = any($1)
"""
WINDOWS = """
select campaign_id, settings from campaigns
where campaign_id = any($1) and jsonb_typeof(settings -> 'send_window') = 'object'
"""


@dataclass(frozen=True, slots=True)
class LaneUse:
    """How a credential stands right now."""

    daily_limit: int
    follow_ups_exempt: bool
    usable: bool
    claimed: int
    """Of today's limit, by the sender."""
    told: int = 0
    """Told and not settled."""
    unclaimed: int = 0
    """Of these, not claimed yet: they are to come off today's limit."""
    unclaimed_firsts: int = 0
    """Of these, first steps."""


@dataclass(frozen=True, slots=True)
class _Hours:
    """When one step may leave."""

    window: Window | None
    zone: str | None
    min_wait: int


def places(use: LaneUse) -> Places:
    """How many more may be told through it now.

    With `follow_ups_exempt` the limit is that of first steps alone: what is over it must not take up the places of
    follow-ups.
    """
    if not use.usable:
        return Places(0, 0)
    room = max(0, OUTSTANDING - use.told)
    if use.follow_ups_exempt:
        return Places(room, max(0, min(room, use.daily_limit - use.claimed - use.unclaimed_firsts)))
    left = max(0, min(room, use.daily_limit - use.claimed - use.unclaimed))
    return Places(left, left)


def fairly(wanted: Mapping[UUID, Places], account_of: Mapping[UUID, UUID]) -> Mapping[UUID, Places]:
    """At most ROUND in all, in turn between the accounts, and within an account in turn between its credentials."""
    of_account: dict[UUID, dict[UUID, Places]] = {}
    for lane, places in wanted.items():
        of_account.setdefault(account_of[lane], {})[lane] = places
    given = share_out(
        ROUND, {account: Places(sum(each.every for each in mine.values()), 0) for account, mine in of_account.items()}
    )
    return {
        lane: places
        for account, mine in of_account.items()
        for lane, places in share_out(given[account].every, mine).items()
    }


async def lanes(desk: Desk) -> Mapping[UUID, Places]:
    """Every credential with something due, and how many may be told through it in this round."""
    now, real = desk.clock.now(), desk.clock.real()
    due: list[UUID] = [row["lane"] for row in await desk.work.fetch(DUE_LANES, now, real)]
    if not due:
        return {}
    told = {row["lane"]: row for row in await desk.work.fetch(TOLD, due, real)}
    await desk.facts.reach(desk.todos.position)  # else a claim may be in neither figure, for a moment
    found: dict[UUID, Places] = {}
    limited: dict[UUID, Limited] = {}
    rows = list(await desk.tables.fetch(LEFT, due, now.astimezone(UTC).date()))
    random.shuffle(rows)  # one that has nothing to tell after all must not take the last place every time
    for row in rows:
        mine = told.get(row["credential_id"], {"told": 0, "unclaimed": 0, "unclaimed_firsts": 0})
        found[row["credential_id"]] = places(
            LaneUse(
                row["daily_limit"],
                row["follow_ups_exempt"],
                row["usable"],
                row["claimed"],
                mine["told"],
                mine["unclaimed"],
                mine["unclaimed_firsts"],
            )
        )
        if row["monthly_limit"] is not None:
            limited[row["credential_id"]] = Limited(row["account_id"], row["campaign_id"])
    if limited:
        found |= await within_plans(desk, found, limited)
    return fairly(found, {row["credential_id"]: row["account_id"] for row in rows})


async def send_step(desk: Desk, bus: Bus, todos: Sequence[Todo]) -> None:
    """The sender has been told of each whose window is open and who is not suppressed.

    An enrollment whose person is suppressed has ended. A plan lies inside its window, but a retry may come at any time:
    it falls due when the window opens next. So does what a standstill made late, and then it is spaced anew.
    """
    barred = await facts.suppressed_of(desk.tables, [_contact(item) for item in todos])
    await asyncio.gather(*(_stop(desk, item) for item in todos if _contact(item) in barred))
    left = [item for item in todos if _contact(item) not in barred]
    hours = await _hours(desk, left)
    now = desk.clock.now()
    opens = {key: next_open(mine.window, mine.zone, now) for key, mine in hours.items()}
    if closed := [item for item in left if opens.get(item.key, now) > now]:
        await _miss(desk, closed, opens, hours)
    again = desk.clock.to_business(desk.clock.real() + timedelta(seconds=AGAIN_SECONDS))
    await asyncio.gather(
        *(
            _tell(desk, bus, item, _until(hours.get(item.key), now, again))
            for item in left
            if opens.get(item.key, now) <= now
        )
    )


async def _stop(desk: Desk, item: Todo) -> None:
    if item.owner is not None and item.scope is not None:
        decide = partial(stop_suppressed, Who(item.owner, item.scope, _contact(item)))
        await desk.log.transact(item.account_id, enrollment, item.owner, decide, cause=cause_of(item))


async def _miss(desk: Desk, closed: Sequence[Todo], opens: Mapping[str, datetime], hours: Mapping[str, _Hours]) -> None:
    """Each is due when its window opens next, a shortest wait apart; first attempts are spaced anew by the planner."""
    due = [opens[item.key] + timedelta(seconds=place * hours[item.key].min_wait) for place, item in enumerate(closed)]
    late = {item.scope: item for item in closed if item.scope is not None and item.data["attempt"] == 1}
    async with desk.work.acquire() as db, db.transaction():
        await move(db, "send_step", [item.key for item in closed], due)
        for campaign, item in late.items():
            await retime_campaign(db, item.account_id, campaign, "window_missed", item.due_at)


def _until(hours: _Hours | None, now: datetime, again: datetime) -> datetime:
    """Until when a step that is told now may be claimed: its window closes, or it is told anew."""
    closes = next_close(hours.window, hours.zone, now) if hours is not None else None
    return again if closes is None else min(again, closes)


async def _hours(desk: Desk, todos: Sequence[Todo]) -> Mapping[str, _Hours]:
    """By key, for those whose campaign has a window."""
    settings = await _windows(desk, {item.scope for item in todos if item.scope is not None})
    if not settings:
        return {}
    zones = await _zones(desk, [item for item in todos if item.scope in settings])
    return {
        item.key: _Hours(window_of(mine.send_window), zones.get(_contact(item)), mine.min_wait_seconds)
        for item in todos
        if item.scope is not None and (mine := settings.get(item.scope)) is not None
    }


async def _windows(desk: Desk, campaigns: Collection[UUID]) -> Mapping[UUID, CampaignSettings]:
    """The settings of those among the campaigns that have a window."""
    rows = await desk.tables.fetch(WINDOWS, list(campaigns))
    return {row["campaign_id"]: CampaignSettings.model_validate(row["settings"]) for row in rows}


async def _zones(desk: Desk, todos: Sequence[Todo]) -> Mapping[UUID, str]:
    """The zone of each contact that has one."""
    found: dict[UUID, str] = {}
    for account in {item.account_id for item in todos}:
        contacts = [_contact(item) for item in todos if item.account_id == account]
        people = await vault.get_many(desk.log_pool, account, contacts, "person")
        found.update((contact, zone) for contact, person in people.items() if (zone := person.get("timezone")))
    return found


def _contact(item: Todo) -> UUID:
    return UUID(item.data["contact_id"])


async def _tell(desk: Desk, bus: Bus, item: Todo, until: datetime) -> None:
    if item.owner is None or item.scope is None or item.lane is None:
        return
    job = SendStep(
        account_id=item.account_id,
        seen=max(desk.todos.position, desk.facts.position),
        delivery_id=delivery_id(item.owner, item.ordinal),
        enrollment_id=item.owner,
        campaign_id=item.scope,
        contact_id=_contact(item),
        credential_id=item.lane,
        position=item.ordinal,
        attempt=item.data["attempt"],
        planned_at=item.data["planned_at"],
        previous_delivery_id=delivery_id(item.owner, item.ordinal - 1) if item.ordinal > 1 else None,
        first_attempt_at=item.data.get("first_attempt_at"),
        first_credential_id=item.data.get("first_credential_id"),
        until=until,
    )
    about: dict[str, str | int] = {"outrider.delivery_id": str(job.delivery_id), "outrider.attempt": job.attempt}
    with follows("send_step", [item.trace], SpanKind.PRODUCER, about, apart=True):  # each mail is a trace
        await bus.tell(job, f"cmd.send.{partition(item.lane)}")
