"""Leases: replicas share a set of names fairly, and what one leaves or loses the others take over."""

from collections.abc import Mapping
from uuid import UUID, uuid4

from outrider.events.leases import Share
from tests.kernel.until import until
from tests.support.kernel import Kernel, kernel

NUMBER = 64
LONG, SHORT = 600.0, 0.5


def share(k: Kernel, seconds: float = LONG, holder: UUID | None = None) -> Share:
    return Share(k.pool, "work", NUMBER, holder or uuid4(), seconds)


async def looked(*replicas: Share) -> list[frozenset[int]]:
    """What each has once each has looked, and given back what it has too many of, twice."""
    found: list[frozenset[int]] = [frozenset() for _ in replicas]
    for _ in range(2):
        for place, replica in enumerate(replicas):
            mine = await replica.look()
            await replica.give_back(found[place] - mine)
            found[place] = mine
    return found


async def test_one_replica_has_everything(urls: Mapping[str, str]) -> None:
    async with kernel(urls, "sender") as k:
        assert await share(k).look() == frozenset(range(NUMBER))


async def test_replicas_have_equal_shares_and_nothing_twice(urls: Mapping[str, str]) -> None:
    async with kernel(urls, "sender") as k:
        shares = await looked(*(share(k) for _ in range(3)))
        assert sorted(len(one) for one in shares) == [20, 22, 22]
        assert frozenset().union(*shares) == frozenset(range(NUMBER))


async def test_what_a_replica_leaves_is_free_at_once(urls: Mapping[str, str]) -> None:
    async with kernel(urls, "sender") as k:
        one, two = share(k), share(k)
        assert [len(mine) for mine in await looked(one, two)] == [32, 32]
        await two.leave()
        assert await one.look() == frozenset(range(NUMBER))


async def test_what_a_killed_replica_had_is_taken_over_when_its_leases_have_run_out(urls: Mapping[str, str]) -> None:
    async with kernel(urls, "sender") as k:
        dead, alive = share(k, SHORT), share(k)
        assert await dead.look() == frozenset(range(NUMBER))

        async def everything() -> bool:
            return await alive.look() == frozenset(range(NUMBER))

        await until("it has everything", everything)


async def test_what_was_stolen_is_not_among_ones_own(urls: Mapping[str, str]) -> None:
    async with kernel(urls, "sender") as k:
        one = share(k)
        await one.look()
        await k.pool.execute("update log.leases set holder = $1 where name in ('work-3', 'work-4')", uuid4())
        assert await one.look() == frozenset(range(NUMBER)) - {3, 4}
