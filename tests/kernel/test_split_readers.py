"""A reader that is split: ranges of shards applied side by side, each account's events once and in order."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from outrider.events.account import PlanChanged
from outrider.events.database import Db
from outrider.events.ids import shard
from outrider.events.message import Recorded
from outrider.events.projector import Projection, Reader, caught_up
from outrider.local.errors import Failed
from outrider.local.home import Home
from outrider.local.operating import Place
from outrider.local.splitting import split
from tests.kernel.reading import SEEN, append, recorded, seeing, seen
from tests.kernel.until import running
from tests.support.kernel import Kernel, kernel

NAME = "dispatcher.seen.v1"
RANGES = "select shards::text as shards, position from checkpoints order by shards"


def account(low: int, high: int) -> UUID:
    """An account whose shard lies in that range."""
    return next(one for one in iter(uuid4, None) if low <= shard(one) < high)


def place_of(urls: Mapping[str, str], tmp_path: Path) -> Place:
    return Place(Home(tmp_path), urls["owner"], "", "")


async def ranges(k: Kernel) -> list[str]:
    return [row["shards"] for row in await k.tables.fetch(RANGES)]


async def in_order(k: Kernel) -> bool:
    """Whether the events of each account were applied in the order of the log."""
    accounts = {
        row["position"]: row["account_id"] for row in await k.pool.fetch("select position, account_id from log.events")
    }
    of: dict[UUID, list[int]] = defaultdict(list)
    for position in await seen(k):
        of[accounts[position]].append(position)
    return all(positions == sorted(positions) for positions in of.values())


async def test_two_replicas_apply_two_ranges_side_by_side(urls: Mapping[str, str], tmp_path: Path) -> None:
    """Each waits in its handler until the other is in its own: one after the other they would never end."""
    async with kernel(urls) as k, kernel(urls) as other:
        await k.tables.execute(SEEN)
        before = await append(k, 3)
        first, second = (Reader(seeing(), one.log, one.tables) for one in (k, other))
        assert await caught_up(first) == before
        await split(place_of(urls, tmp_path), NAME, 2)
        assert await ranges(k) == ["[0,32)", "[32,64)"]
        both, inside = asyncio.Event(), set[int]()
        projection = Projection(NAME)

        @projection.on(PlanChanged)
        async def meet(db: Db, events: Sequence[Recorded[PlanChanged]]) -> None:
            inside.update(shard(item.account_id) // 32 for item in events)
            if len(inside) == 2:
                both.set()
            await both.wait()
            await seeing().handlers["PlanChanged"](db, events)

        await append(k, 5, account(0, 32))
        last = await append(k, 5, account(32, 64))
        replicas = [Reader(projection, one.log, one.tables) for one in (k, other)]
        async with asyncio.timeout(180), running(*(one.follow() for one in replicas)):
            assert all(await asyncio.gather(*(one.reach(last, 180) for one in (*replicas, first, second))))
        assert sorted(await seen(k)) == await recorded(k)
        assert await in_order(k)


async def test_one_replica_reads_all_ranges_and_stands_where_the_slowest_does(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    """A range in which nothing happens moves with the log: nobody waits for it."""
    async with kernel(urls) as k:
        await k.tables.execute(SEEN)
        reader = Reader(seeing(), k.log, k.tables)
        await append(k, account=account(0, 16))
        await caught_up(reader)
        await split(place_of(urls, tmp_path), NAME, 4)
        last = await append(k, 20, account(16, 32))
        first = [row["position"] for row in await k.tables.fetch(RANGES)]
        assert first == [min(await recorded(k))] * 4
        assert await reader.catch_up() > 0
        assert reader.position == min(first)  # one range of four
        assert await caught_up(reader) == last
        assert [row["position"] for row in await k.tables.fetch(RANGES)] == [last] * 4
        assert await seen(k) == await recorded(k)


async def test_it_is_split_and_made_whole_while_replicas_read(urls: Mapping[str, str], tmp_path: Path) -> None:
    place, accounts = place_of(urls, tmp_path), [account(n * 16, n * 16 + 16) for n in range(4)]
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(kernel(urls)) for _ in range(3)]
        k = replicas[0]
        await k.tables.execute(SEEN)
        readers = [Reader(seeing(), one.log, one.tables) for one in replicas]

        def ring() -> None:
            for reader in readers:
                reader.ring()

        k.log.rung = ring
        done = asyncio.Event()

        async def write() -> None:
            while not done.is_set():
                await asyncio.gather(*(append(k, 3, one) for one in accounts))

        async with running(*(reader.follow() for reader in readers)):
            await append(k)
            assert await readers[0].reach(1, 30)
            writing = asyncio.create_task(write())
            for number in (2, 5, 1, 3, 1):
                figures = await split(place, NAME, number)
                assert len(await ranges(k)) == number
                assert await readers[1].reach(await k.log.last_position(), 30)
                assert figures["position"] in await recorded(k)
            done.set()
            await writing
            assert await readers[2].reach(await k.log.last_position(), 30)
        assert [reader.failed for reader in readers] == [None] * 3
        assert sorted(await seen(k)) == await recorded(k)
        assert await in_order(k)


async def test_a_split_that_cannot_be_made_changes_nothing(
    urls: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(urls, tmp_path)
    with pytest.raises(Failed, match="no reader is called nobody"):
        await split(place, "nobody", 2)
    async with kernel(urls) as k:
        await k.tables.execute(SEEN)
        reader = Reader(seeing(), k.log, k.tables)
        await append(k)
        await caught_up(reader)
        await split(place, NAME, 2)
        await append(k)  # and nobody reads it
        monkeypatch.setattr("outrider.local.splitting.MEET_SECONDS", 0.1)
        with pytest.raises(Failed, match="is its service running"):
            await split(place, NAME, 1)
        assert await ranges(k) == ["[0,32)", "[32,64)"]
        await caught_up(reader)
        await split(place, NAME, 1)
        assert await ranges(k) == ["[0,64)"]
        await append(k)
        await caught_up(reader)
        assert await seen(k) == await recorded(k)
