"""Every projection made once more from position 0, in a database of its own, and held against the live one."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from outrider.api.projections import tables as api
from outrider.dispatcher.projections import facts
from outrider.events.clock import real_clock
from outrider.events.database import connect, migrate
from outrider.events.log import Log
from outrider.events.projector import Projection, Reader, caught_up
from outrider.reply_watcher.projections import watching
from outrider.sender.projections import sending

PROJECTIONS: Mapping[str, Projection] = {"api": api, "dispatcher": facts, "sender": sending, "reply_watcher": watching}
"""By schema."""
NAME = "rebuilt"
STATE = ("checkpoints", "todos")
"""No projections: where readers stand, and what is to be done."""
TABLES = """
select table_name from information_schema.tables
where table_type = 'BASE TABLE' and table_schema = $1 and table_name <> all($2) order by 1
"""


async def differing(url: str, clock: str) -> list[str]:
    """Answer each table that comes out different, with the first rows that differ. Nothing else may be at work."""
    fresh = urlsplit(url)._replace(path=f"/{NAME}").geturl()
    async with _connected(url) as live:
        await live.execute(f"drop database if exists {NAME}")
        await live.execute(f"create database {NAME}")
        await migrate(fresh, {}, clock)
        async with _connected(fresh) as again:
            await _copy(live, again)
            for schema, projection in PROJECTIONS.items():
                await _read(fresh, schema, projection)
            return [found for schema in PROJECTIONS for found in await _compared(live, again, schema)]


@asynccontextmanager
async def _connected(url: str) -> "AsyncGenerator[asyncpg.Connection]":
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _copy(live: "asyncpg.Connection", again: "asyncpg.Connection") -> None:
    """The new log has the same events at the same positions."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events"
        await live.copy_from_table("events", schema_name="log", output=file, format="binary")
        await again.copy_to_table("events", schema_name="log", source=file, format="binary")


async def _read(url: str, schema: str, projection: Projection) -> None:
    log, tables = await asyncio.gather(connect(url, "log", size=2), connect(url, schema, size=2))
    try:
        await caught_up(Reader(projection, Log(log, real_clock()), tables))
    finally:
        log.terminate()
        tables.terminate()


async def _compared(live: "asyncpg.Connection", again: "asyncpg.Connection", schema: str) -> Sequence[str]:
    found: list[str] = []
    names = [row["table_name"] for row in await live.fetch(TABLES, schema, STATE)]
    for table in names:
        query = f'select t::text as line from "{schema}"."{table}" t order by 1'  # noqa: S608  # names from the catalogue
        ours, theirs = [[row["line"] for row in await one.fetch(query)] for one in (live, again)]
        if ours != theirs:
            only_live, only_again = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
            found.append(
                f"{schema}.{table}: {len(only_live)} of {len(ours)} rows are not in the rebuilt one, "
                f"{len(only_again)} of {len(theirs)} only there: {only_live[:2]} {only_again[:2]}"
            )
    return found
