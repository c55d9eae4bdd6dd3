"""To-do `open_plan`, and what an account's plan lets out: no more is told than it allows, and the rest waits.

What waits is held, campaign by campaign, until the next period begins or the limit is raised. Then it is timed anew
before any of it is told, so that it does not leave in a burst.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from outrider.dispatcher import facts
from outrider.dispatcher.desk import Desk
from outrider.dispatcher.holds import hold, release, retime_campaign
from outrider.events.claims import LOCK_LANES, Places
from outrider.events.database import Db
from outrider.events.gates import plan_closed
from outrider.events.todo import Todo

OPEN_PLAN: Final = "open_plan"
UNDER_WAY = """
select account_id, count(*) as n from todos
where account_id = any($1) and kind = 'send_step' and done_at is null
    and (claimed or not_before > $2 and leased_by is not null)
group by account_id
"""
OPEN_AT = """
insert into todos (kind, key, account_id, owner, due_at) values ('open_plan', $1, $2, $2, $3)
on conflict (kind, key) do update set done_at = null, leased_by = null, not_before = null, attempts = 0, dead_at = null
"""  # whoever is at it loses its lease, so that nothing is closed unseen


@dataclass(frozen=True, slots=True)
class Limited:
    """Whose plan a credential uses up, and the campaign that waits when there is none left of it."""

    account_id: UUID
    campaign_id: UUID


async def within_plans(
    desk: Desk, found: Mapping[UUID, Places], limited: Mapping[UUID, Limited]
) -> Mapping[UUID, Places]:
    """What may be told through the `limited` credentials without going over the plans of their accounts.

    What is told and not settled comes off. Campaigns of an account that has used up its plan are held.
    """
    accounts = {mine.account_id for mine in limited.values()}
    now = desk.clock.now()  # one for all of it: a month may end meanwhile
    rows = await desk.work.fetch(UNDER_WAY, list(accounts), desk.clock.real())
    under_way: dict[UUID, int] = {row["account_id"]: row["n"] for row in rows}
    if not await desk.facts.reach(desk.todos.position):
        return dict.fromkeys(limited, Places(0, 0))  # a settled one may be in neither figure
    shared: dict[UUID, Places] = {}
    for account in accounts:
        mine = [lane for lane, owner in limited.items() if owner.account_id == account]
        limit, sends = await facts.plan_use(desk.tables, account, now)
        if plan_closed(limit, sends):
            await _wait(desk, account, {limited[lane].campaign_id for lane in mine}, now)
            shared |= dict.fromkeys(mine, Places(0, 0))
        elif limit is not None:
            random.shuffle(mine)  # one that has nothing to tell after all must not take the last place every time
            shared |= share_out(max(0, limit - sends - under_way.get(account, 0)), {lane: found[lane] for lane in mine})
    return shared


def share_out(room: int, wanted: Mapping[UUID, Places]) -> Mapping[UUID, Places]:
    """At most `room` places in all, one by one in turn: nobody has two more than another who wants as many."""
    given = dict.fromkeys(wanted, 0)
    open_lanes: list[UUID] = [lane for lane, places in wanted.items() if places.every > 0]
    while room > 0 and open_lanes:
        for lane in open_lanes[:room]:
            given[lane] += 1
        room -= len(open_lanes[:room])
        open_lanes = [lane for lane in open_lanes if given[lane] < wanted[lane].every]
    return {lane: Places(n, min(n, wanted[lane].firsts)) for lane, n in given.items()}


async def _wait(desk: Desk, account: UUID, campaigns: set[UUID], now: datetime) -> None:
    """Nothing of these is told before the plan opens again."""
    async with desk.work.acquire() as db, db.transaction():
        await _open_next_period(db, account, now)
        await hold(db, dict.fromkeys(campaigns, _reason(account)))


async def open_plan(desk: Desk, item: Todo) -> None:
    """What waits for the account's plan is timed anew and then told, unless the plan is used up still."""
    await desk.fresh()
    account, now = item.account_id, desk.clock.now()
    # One at a time: whoever has locked the lanes needs connections of the same few, which all others would wait with.
    async with desk.opening_plans, desk.work.acquire() as db, db.transaction():
        await db.execute(LOCK_LANES, "send_step")  # whoever is at it by older figures has made his campaigns wait
        rows = await db.fetch("select id from holds where reason = $1", _reason(account))
        waiting: Sequence[UUID] = [row["id"] for row in rows]
        limit, sends = await facts.plan_use(desk.tables, account, now)
        if plan_closed(limit, sends):
            if waiting:
                await _open_next_period(db, account, now)
            return
        for campaign in waiting:
            await retime_campaign(db, account, campaign, "plan_opened", now)
        await release(db, _reason(account), waiting)


def _reason(account: UUID) -> str:
    return f"plan:{account}"


async def _open_next_period(db: Db, account: UUID, now: datetime) -> None:
    """`open_plan` is due when the next UTC calendar month begins, whether or not it was done for that month before."""
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begins = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    await db.execute(OPEN_AT, f"{account}:{begins:%Y-%m}", account, begins)
