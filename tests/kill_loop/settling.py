# pyright: reportUnknownVariableType=false
"""Is anything left to do? Asked of the database and the mail world, by whoever waits for the end."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict, cast

import asyncpg
import httpx

from tests.kill_loop import checks, record
from tests.kill_loop.fleet import Fleet

QUIET_SECONDS = 3.0
"""So long nothing may have been recorded."""
QUIET = "quiet"
"""What is left where only that is to be waited for."""
OPEN = """
select kind, count(*) as n, count(dead_at) as dead, count(*) filter (where held) as held, min(due_at) as due
from {}.todos where done_at is null group by kind order by kind
"""
TODOS = ("dispatcher_work", "sender_work")
READERS = ("api", "dispatcher", "dispatcher_work", "sender", "sender_work", "reply_watcher")
UNDECIDED = "select kind, count(*) as n from log.commands where status = 'accepted' group by kind"
SILENCE = "select extract(epoch from clock_timestamp() - max(recorded_at)) from log.events"


class Told(TypedDict):
    """GET /record of the sandbox, as far as it is read here."""

    waiting: int


@dataclass
class Settling:
    """What is left."""

    fleet: Fleet

    async def left(self) -> Sequence[str]:
        """Answer what is left to do, a phrase each; nothing when all is settled and quiet."""
        try:
            connection = await asyncpg.connect(self.fleet.site.database_url, timeout=5)
        except (OSError, asyncpg.PostgresError, asyncio.TimeoutError) as error:  # noqa: UP041  # two classes until 3.11
            return [f"Postgres does not answer: {error!r}"]
        try:
            found = await self._in_database(connection) or await self._of_services() or await self._in_the_mail()
        finally:
            await connection.close()
        if found:
            await asyncio.sleep(0.5)
        return found

    async def _in_database(self, connection: "asyncpg.Connection") -> list[str]:
        found: list[str] = []
        for schema in TODOS:
            for row in await connection.fetch(OPEN.format(schema)):
                due: datetime = row["due"]
                found.append(f"{row['n']} {row['kind']} (dead {row['dead']}, held {row['held']}, from {due:%d %H:%M})")
        found += [f"{row['n']} {row['kind']} undecided" for row in await connection.fetch(UNDECIDED)]
        last = await connection.fetchval("select max(position) from log.events")
        for schema in READERS:
            for row in await connection.fetch(f"select reader, position from {schema}.checkpoints"):  # noqa: S608  # ours
                if row["position"] < last:
                    found.append(f"{row['reader']} at {row['position']} of {last}")
        if not found and await connection.fetchval(SILENCE) < QUIET_SECONDS:
            found.append(QUIET)
        return found

    async def _of_services(self) -> list[str]:
        """Answer what keeps a process from being ready: a stopped reader is not seen where another reads on."""
        found: list[str] = []
        async with httpx.AsyncClient(timeout=5, trust_env=False) as web:
            for name, url in self.fleet.health.items():
                try:
                    answer = await web.get(url)
                except httpx.TransportError as error:
                    found.append(f"{name} does not answer: {error!r}")
                else:
                    if not answer.is_success:
                        found.append(f"{name}: {answer.text[:200]}")
        return found

    async def _in_the_mail(self) -> list[str]:
        """Answer what people still have to do, and what they did and nobody has heard of."""
        async with httpx.AsyncClient(timeout=5, trust_env=False) as web:
            try:
                told = cast("Told", (await web.get(f"{self.fleet.site.sandbox_url}/record")).json())
            except httpx.TransportError as error:
                return [f"the sandbox does not answer: {error!r}"]
        if told["waiting"]:
            return [f"{told['waiting']} people have something to do"]
        log = await record.log(self.fleet.site.database_url)
        sink = record.sink(self.fleet.site.sandbox_home, self.fleet.keys.hash_key)
        return list(checks.unheard(log, sink))[:3]
