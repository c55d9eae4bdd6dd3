"""A cancellation is heeded, also where the driver hides it behind an error of its own."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import uuid4

import asyncpg
import pytest

from outrider.events.bus import Bus
from outrider.events.commands import Commands
from outrider.events.database import Pool
from outrider.events.drain import Drain
from outrider.events.lookout import Lookout
from outrider.events.projector import Projection, Reader
from outrider.events.service import Settings
from outrider.local.keys import Keys
from outrider.reply_watcher.access import Access
from outrider.reply_watcher.scanning import Scanner, Watched
from outrider.reply_watcher.watching import Watch, Watchers
from tests.kernel.deciding import change
from tests.kernel.until import until
from tests.support.kernel import ACCOUNT, Kernel, kernel


class Confused:
    """A pool as asyncpg's is when the server goes away in mid-query: whoever is cancelled gets another error."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self.waits = asyncio.Event()

    async def _hang(self, *_: object) -> Any:  # noqa: ANN401  # it never answers
        self.waits.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise asyncpg.InternalClientError("cannot switch to state 15") from None

    execute = fetch = fetchrow = fetchval = _hang

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[object]:
        """Hang."""
        yield await self._hang()


async def nothing(_: Sequence[object]) -> None:
    """Do nothing."""


async def reading(k: Kernel, pool: Pool) -> None:
    await Reader(Projection("dispatcher.nothing.v1"), k.log, pool).follow()


async def draining(k: Kernel, pool: Pool) -> None:
    await Drain("note_it", nothing, pool, k.clock).follow()


async def looking(k: Kernel, pool: Pool) -> None:
    await Lookout([Drain("note_it", nothing, pool, k.clock)], pool, k.clock).follow()


async def retelling(k: Kernel, pool: Pool) -> None:
    await Bus("nats://127.0.0.1:1", Commands(pool, k.clock), "x").retell()


def access(k: Kernel, pool: Pool) -> Access:
    """Whose vault is there."""
    keys = Keys.fresh()
    settings = Settings("", "", "", "", keys.hash_key, seal_private_key=keys.seal_private_key)
    return Access(settings, pool, k.log)


NO_SCANNER = cast("Scanner", None)
"""Nobody comes as far as that."""


async def watching(k: Kernel, pool: Pool) -> None:
    watched = Watched(uuid4(), ACCOUNT, (uuid4(),), 0, k.clock.real())
    await Watch(watched, access(k, pool), NO_SCANNER, 1).run()


async def watching_all(k: Kernel, pool: Pool) -> None:
    await Watchers(pool, pool, access(k, pool), NO_SCANNER, 1).run()


@pytest.mark.parametrize("loop", [reading, draining, looking, retelling, watching, watching_all])
async def test_a_loop_that_is_cancelled_ends(urls: Mapping[str, str], loop: Any) -> None:  # noqa: ANN401  # of those above
    async with kernel(urls) as k:
        pool = Confused()
        task = asyncio.create_task(loop(k, cast("Pool", pool)))
        async with asyncio.timeout(120):
            await pool.waits.wait()
        task.cancel()
        await asyncio.wait([task], timeout=20)
        assert task.cancelled()


async def test_a_question_ends_in_time(urls: Mapping[str, str], bus_url: str) -> None:
    async with kernel(urls, "api") as k:
        pool = Confused()
        commands = Commands(k.pool, k.clock)
        bus = Bus(bus_url, commands, "gateway")
        asking = asyncio.create_task(bus.ask(change(2), "dispatcher", 0, 1))
        await until("it is kept", lambda: kept(k))
        commands.__dict__["_pool"] = pool
        async with asyncio.timeout(120):
            assert (await asking).status == "accepted"
        assert pool.waits.is_set()


async def kept(k: Kernel) -> bool:
    return await k.pool.fetchval("select true from log.commands") is True
