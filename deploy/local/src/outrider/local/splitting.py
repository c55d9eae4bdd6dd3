"""`outrider split`: the checkpoint of a reader, cut into shard ranges or made whole again, while services run."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from outrider.events.database import Db, Pool, Row
from outrider.local.errors import Failed
from outrider.local.operating import Place
from outrider.local.rebuild import alone

SHARDS: Final = 64
APPEND_LOCK: Final = 6091845621
"""What `log.append_groups` takes first: while it is held the log has an end."""
NEAR: Final = 1000
NEAR_SECONDS: Final = 60.0
MEET_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 0.02
TABLES = "select table_schema from information_schema.tables where table_name = 'checkpoints' order by 1"
BEHIND = """
select (select coalesce(max(position), 0) from log.events) - min(position) from {table} where reader = $1
"""


async def split(place: Place, name: str, ranges: int) -> Mapping[str, object]:
    """The reader is read in so many ranges of shards, from where it stood; no event is skipped or applied twice.

    A service needs no restart: its replicas look at the checkpoints before every batch, and skip those that are locked.
    Raises Failed where nobody reads by that name, and where the ranges that there are do not come to one position.
    """
    async with place.database(size=3) as owner, alone(owner):
        table = await _table(owner, name)
        whole = await owner.fetchval(f"select count(*) from {table} where reader = $1", name) == 1  # noqa: S608  # from the catalogue
        if not whole:
            await _near(owner, table, name)
        async with owner.acquire() as db, db.transaction():
            await db.execute("set local lock_timeout = '30s'")
            if not whole:
                await db.execute("select pg_advisory_xact_lock($1)", APPEND_LOCK)
                await _met(owner, table, name)
            rows = await db.fetch(f"select position, cause from {table} where reader = $1 for update", name)  # noqa: S608  # as above
            await _cut(db, table, name, rows, ranges)
    return {"reader": name, "ranges": ranges, "position": rows[0]["position"]}


async def _table(owner: Pool, name: str) -> str:
    """Answer where the reader keeps its checkpoint. Raises Failed with the names that there are."""
    known: list[str] = []
    for schema in await owner.fetch(TABLES):
        table = f'"{schema["table_schema"]}".checkpoints'
        names = [row["reader"] for row in await owner.fetch(f"select distinct reader from {table} order by 1")]  # noqa: S608  # from the catalogue
        if name in names:
            return table
        known += names
    raise Failed(f"no reader is called {name}: {', '.join(sorted(known))}")


async def _near(owner: Pool, table: str, name: str) -> None:
    """Every range is close behind the log. Raises Failed where one is not after a minute."""
    behind = 0
    for _ in range(int(NEAR_SECONDS / PAUSE_SECONDS)):
        behind = await owner.fetchval(BEHIND.format(table=table), name)
        if behind <= NEAR:
            return
        await asyncio.sleep(PAUSE_SECONDS)
    raise Failed(f"{name} is {behind} events behind: split it anew when it has caught up")


async def _met(owner: Pool, table: str, name: str) -> None:
    """Every range stands at the end of the log, which does not move. Raises Failed where one does not get there."""
    for _ in range(int(MEET_SECONDS / PAUSE_SECONDS)):
        if await owner.fetchval(BEHIND.format(table=table), name) == 0:
            return
        await asyncio.sleep(PAUSE_SECONDS)
    raise Failed(f"nothing was changed: the ranges of {name} do not come to one position (is its service running?)")


async def _cut(db: Db, table: str, name: str, rows: Sequence[Row], ranges: int) -> None:
    """So many rows stand in the place of these, all at their position."""
    if len({row["position"] for row in rows}) != 1:
        raise Failed("nothing was changed: its ranges moved apart again, try once more")
    bounds = [number * SHARDS // ranges for number in range(ranges + 1)]
    await db.execute(f"delete from {table} where reader = $1", name)  # noqa: S608  # from the catalogue
    await db.execute(
        f"insert into {table} (reader, shards, position, cause) "  # noqa: S608  # as above
        "select $1, int4range(low, high), $4, $5 from unnest($2::int[], $3::int[]) as r (low, high)",
        name,
        bounds[:-1],
        bounds[1:],
        rows[0]["position"],
        rows[0]["cause"],
    )
