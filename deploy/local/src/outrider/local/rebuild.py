"""`outrider rebuild`: a projection made anew from the log, beside the live one, and put in its place."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from importlib.resources import files
from time import monotonic
from urllib.parse import parse_qsl, urlencode, urlsplit

from outrider.api.projections import tables
from outrider.dispatcher.projections import facts
from outrider.events.clock import read_clock
from outrider.events.database import MIGRATION_LOCK, PASSING, Pool, passing
from outrider.events.log import Log
from outrider.events.message import UnknownEvent
from outrider.events.projector import Projection, Reader
from outrider.local.errors import Failed
from outrider.local.operating import Place
from outrider.reply_watcher.projections import watching
from outrider.sender.projections import sending

PROJECTIONS: Mapping[str, Projection] = {one.name: one for one in (tables, facts, sending, watching)}
"""By name. Readers of to-dos are not here: a replay would add again what was carried out long ago."""
BATCH = 5000
NEAR = 1000
"""So few events behind, the live reader may be held still while the rest is applied."""
DROP_TRIES = 60
DROP_PAUSE_SECONDS = 0.5
Tell = Callable[[int, int], None]
"""Hears how many events are applied, of how many."""
STRANGERS = "select distinct reader from {schema}.checkpoints where reader <> $1 order by 1"
RANGES = "insert into {fresh}.checkpoints (reader, shards) select reader, shards from {schema}.checkpoints"


async def rebuild(place: Place, name: str, tell: Tell = lambda _, __: None) -> Mapping[str, object]:
    """The tables of this projection are those that the log leads to; readers and services went on meanwhile.

    Answers the figures. Raises Failed where there is no such projection, where the installed version is not the one
    that the database was migrated to, and while a migration or another rebuild is at work.
    """
    projection = PROJECTIONS.get(name)
    if projection is None:
        raise Failed(f"no projection is called {name}: {', '.join(PROJECTIONS)}")
    begun, schema = monotonic(), name.partition(".")[0]
    fresh = f"{schema}_rebuild"
    async with place.database(size=4) as owner, alone(owner):
        await _alone_in(owner, schema, name)
        await _make(owner, schema, fresh)
        try:
            async with _as_service(place, schema, fresh) as its:
                log = Log(owner, await read_clock(owner))
                reader = Reader(projection, log, its)
                await _catch_up(log, reader, tell)
                await _analyze(its, fresh)
                held, position = await _swap(owner, schema, fresh, reader)
                tell(position, position)
        except UnknownEvent as error:
            raise Failed(f"the log has {error}: this installation is older than the data") from error
        except PASSING as error:
            raise Failed(f"nothing was changed, try again: {error!r}") from error
        finally:
            await _drop(owner, fresh)  # nothing there after the swap
        await _drop(owner, f"{schema}_former")
        events = await owner.fetchval("select count(*) from log.events where position <= $1", position)
    seconds = round(monotonic() - begun, 3)
    return {"reader": name, "events": events, "position": position, "seconds": seconds, "held_seconds": round(held, 3)}


@asynccontextmanager
async def alone(owner: Pool) -> AsyncGenerator[None]:
    """No migration, no other rebuild or split is at work during the block. Raises Failed where one is."""
    async with owner.acquire() as db:
        if not await db.fetchval("select pg_try_advisory_lock($1)", MIGRATION_LOCK):
            raise Failed("a migration, a rebuild or a split is at work: wait for it")
        try:
            yield
        finally:
            await db.execute("select pg_advisory_unlock($1)", MIGRATION_LOCK)


async def _alone_in(owner: Pool, schema: str, name: str) -> None:
    """Raise Failed where there is no such schema, or another reader fills it too."""
    if await owner.fetchval("select to_regclass($1) is null", f"{schema}.checkpoints"):
        raise Failed(f"there is no schema {schema}: run `outrider migrate` first")
    rows = await owner.fetch(STRANGERS.format(schema=schema), name)
    if strangers := [row["reader"] for row in rows]:
        raise Failed(f"{', '.join(strangers)} fills the same schema, and would lose its tables")


async def _make(owner: Pool, schema: str, fresh: str) -> None:
    """The empty schema stands, as `migrate` made the live one, its reader split like that one's.

    Raises Failed where the live one is of another version.
    """
    folders = (files("outrider.events") / "schema_service", files(f"outrider.{schema}") / "schema")
    scripts = {
        f"{folder.name}/{file.name}": file.read_text(encoding="utf-8")
        for folder in folders
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".sql")
    }
    rows = await owner.fetch("select file, sha256 from log.migrations where schema = $1", schema)
    ours = {name: hashlib.sha256(sql.encode()).hexdigest() for name, sql in scripts.items()}
    if {row["file"]: row["sha256"] for row in rows} != ours:
        raise Failed(f"schema {schema} is of another version than this installation: run `outrider migrate` first")
    for left in (fresh, f"{schema}_former"):  # of a rebuild that was killed
        await _drop(owner, left)
    async with owner.acquire() as db, db.transaction():
        await db.execute(f"create schema {fresh} authorization outrider_{schema}")
        await db.execute(f"set local search_path to {fresh}, log")
        await db.execute(f"set local role outrider_{schema}")
        for sql in scripts.values():
            await db.execute(sql)
        await db.execute(RANGES.format(schema=schema, fresh=fresh))


def _as_service(place: Place, schema: str, fresh: str) -> AbstractAsyncContextManager[Pool]:
    """Connect to the fresh schema with the rights of its service."""
    parts = urlsplit(place.database_url)
    query = urlencode([*parse_qsl(parts.query), ("role", f"outrider_{schema}")])
    return replace(place, database_url=parts._replace(query=query).geturl()).database(fresh)


async def _catch_up(log: Log, reader: Reader, tell: Tell) -> None:
    """The fresh tables are so near to the end of the log that the live ones may wait for the rest."""
    while True:
        last = await log.last_position()
        tell(min(reader.position, last), last)
        if last - reader.position <= NEAR:
            return
        await reader.catch_up(BATCH)


async def _analyze(its: Pool, fresh: str) -> None:
    """Queries meet statistics from the first moment on."""
    for row in await its.fetch("select table_name from information_schema.tables where table_schema = $1", fresh):
        await its.execute(f'analyze {fresh}."{row["table_name"]}"')


async def _swap(owner: Pool, schema: str, fresh: str, reader: Reader) -> tuple[float, int]:
    """The fresh schema has the live one's name; answers for how many seconds the live reader was held, and where.

    The live reader skips a locked checkpoint, so it stands still between two batches. The table lock at the end lets
    no statement that found the former table by name lock its row after the swap, and write to the fresh tables.
    """
    async with owner.acquire() as db, db.transaction():
        await db.execute("set local lock_timeout = '30s'")
        rows = await db.fetch(f"select position from {schema}.checkpoints for update")  # noqa: S608  # a constant
        held, live = monotonic(), max((row["position"] for row in rows), default=0)
        while await reader.catch_up(BATCH) and reader.position < live:
            pass
        await db.execute(f"lock table {schema}.checkpoints in access exclusive mode")
        await db.execute(f"alter schema {schema} rename to {schema}_former")
        await db.execute(f"alter schema {fresh} rename to {schema}")
    return monotonic() - held, reader.position


async def _drop(owner: Pool, schema: str) -> None:
    """The schema is gone; queries that still read it are let end. Raises Failed where one does not."""
    for _ in range(DROP_TRIES):
        try:
            async with owner.acquire() as db, db.transaction():
                await db.execute("set local lock_timeout = '1s'")
                await db.execute(f"drop schema if exists {schema} cascade")
                return
        except Exception as error:
            if not passing(error):
                raise
        await asyncio.sleep(DROP_PAUSE_SECONDS)
    raise Failed(f"schema {schema} is still read by somebody and stays: `drop schema {schema} cascade` later")
