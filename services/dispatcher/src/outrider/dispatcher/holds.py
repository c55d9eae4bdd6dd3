"""What keeps sends from being told: reasons that stand against a campaign or a credential."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from outrider.events import todo
from outrider.events.database import Db
from outrider.events.ids import new_id
from outrider.events.message import Recorded
from outrider.events.todo import Todo

REFRESH = """
update todos t set held = n.held, not_before = case when t.held and not t.claimed then null else t.not_before end
from (
    select x.key, exists (select from holds h where h.id = x.scope or h.id = x.lane) as held
    from todos x
    where x.kind = 'send_step' and x.done_at is null and (x.scope = any($1) or x.lane = any($1))
) n
where t.kind = 'send_step' and t.key = n.key and t.held <> n.held
"""


REPLACE = """
insert into todos (kind, key, account_id, owner, scope, due_at)
select 'replace_credentials', n.campaign_id || ':' || n.position, n.account_id, n.campaign_id, n.campaign_id, n.at
from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::timestamptz[]) as n (campaign_id, position, account_id, at)
where exists (
    select from todos t join holds h on h.id = t.lane
    where t.scope = n.campaign_id and t.kind = 'send_step' and t.done_at is null and t.held
)
on conflict (kind, key) do nothing
"""


async def refresh(db: Db, ids: Collection[UUID]) -> None:
    """Every open send of these campaigns or credentials is held if, and only if, something holds it."""
    await db.execute(REFRESH, list(ids))


async def hold(db: Db, reasons: Mapping[UUID, str]) -> None:
    """Nothing of these campaigns or credentials is told while the reason stands."""
    await db.execute(
        "insert into holds (id, reason) select * from unnest($1::uuid[], $2::text[]) on conflict do nothing",
        list(reasons),
        list(reasons.values()),
    )
    await refresh(db, reasons.keys())


async def release(db: Db, reason: str, ids: Collection[UUID]) -> None:
    """The reason no longer stands; others may."""
    await db.execute("delete from holds where reason = $1 and id = any($2)", reason, list(ids))
    await refresh(db, ids)


async def hold_for_retiming(db: Db, retiming: Todo, held: UUID) -> None:
    """Nothing of this campaign or credential is told before its open steps are timed anew by this to-do."""
    await todo.add(db, [replace(retiming, data={**retiming.data, "held": str(held)})])
    await hold(db, {held: f"retiming:{retiming.key}"})


async def retime_campaign(db: Db, account_id: UUID, campaign_id: UUID, reason: str, at: datetime) -> None:
    """What is overdue in the campaign is spaced anew before any of it is told."""
    key = f"{campaign_id}:{new_id()}"
    retiming = Todo("retime", key, account_id, at, owner=campaign_id, scope=campaign_id, data={"reason": reason})
    await hold_for_retiming(db, retiming, campaign_id)


async def replace_credentials(db: Db, events: Sequence[Recorded[Any]]) -> None:
    """Where something waits for a credential, it is to be seen whether others take it over."""
    last = {item.event.campaign_id: item for item in events}
    await db.execute(
        REPLACE,
        list(last),
        [item.position for item in last.values()],
        [item.account_id for item in last.values()],
        [item.business_at for item in last.values()],
    )
