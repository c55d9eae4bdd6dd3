"""Gathered appends when something goes wrong: whoever is not guilty gets his verdict."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import cast
from uuid import UUID, uuid4

import asyncpg
import pytest

from outrider.events.account import PlanChanged
from outrider.events.database import DISCONNECTED, Forbidden, Pool
from outrider.events.errors import Conflict
from outrider.events.log import Appended, Expect, Log, Repeated, Transacted, Write
from outrider.events.message import Event
from tests.kernel.until import until
from tests.support.kernel import ACCOUNT, Counter, changed, counter, kernel

STREAM = counter.stream(ACCOUNT)
TOO_BIG = 2**70


def write(stream: str | None = None, after: int | None = 0) -> Write:
    return Write(stream or f"account-{uuid4()}", after, [changed(1)], uuid4())


async def test_one_who_may_not_write_fails_alone(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        writes = [write() for _ in range(10)]
        writes[4] = write("delivery-of-the-sender")
        writes[7] = Write("account-y", TOO_BIG, [changed(1)], uuid4())  # cannot even be sent
        verdicts = await asyncio.gather(*(k.log.append(ACCOUNT, one) for one in writes), return_exceptions=True)
        assert isinstance(verdicts[4], Forbidden)
        assert isinstance(verdicts[7], asyncpg.DataError)
        assert sum(isinstance(verdict, Appended) for verdict in verdicts) == 8


async def test_who_is_cancelled_while_he_waits_records_nothing(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k, kernel(urls) as other:
        async with other.pool.acquire() as db, db.transaction():
            await Log(cast("Pool", db), k.clock).append(ACCOUNT, write())  # holds the lock
            in_flight = asyncio.create_task(k.log.append(ACCOUNT, write()))

            async def waits() -> bool:
                return bool(await k.pool.fetchval("select true from pg_locks where not granted"))

            await until("an append is in flight", waits)
            given_up, patient = write(), write()
            leaving = asyncio.create_task(k.log.append(ACCOUNT, given_up))
            staying = asyncio.create_task(k.log.append(ACCOUNT, patient))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.wait([leaving])
            in_flight.cancel()
            await asyncio.wait([in_flight])
        assert isinstance(await staying, Appended)
        assert await k.log.read_stream(ACCOUNT, given_up.stream) == []
        assert len(await k.log.read_stream(ACCOUNT, patient.stream)) == 1


async def test_a_lost_database_is_told_to_everybody_and_the_next_append_goes_through(
    urls: Mapping[str, str],
) -> None:
    async with kernel(urls) as k, kernel(urls) as other:
        async with other.pool.acquire() as db, db.transaction():
            await Log(cast("Pool", db), k.clock).append(ACCOUNT, write())
            first = asyncio.create_task(k.log.append(ACCOUNT, write()))

            async def waits() -> bool:
                return bool(await other.pool.fetchval("select true from pg_locks where not granted"))

            await until("an append is in flight", waits)
            await other.pool.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted"
            )
            with pytest.raises(DISCONNECTED):
                await first
        again = write()
        first_time = await k.log.append(ACCOUNT, again)
        assert await k.log.append(ACCOUNT, again) == Repeated(first_time.position)


async def test_groups_of_one_stream_are_appended_in_the_order_in_which_they_came(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        writes = [write(STREAM, number) for number in range(30)]
        verdicts = await asyncio.gather(*(k.log.append(ACCOUNT, one) for one in writes))
        positions = [verdict.position for verdict in verdicts]
        assert positions == sorted(positions)
        history = await k.log.read_stream(ACCOUNT, STREAM)
        assert [item.cause for item in history] == [one.cause for one in writes]


async def test_a_group_without_parts_or_with_two_writes_to_one_stream_is_a_mistake(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        with pytest.raises(ValueError, match="once"):
            await k.log.append(ACCOUNT)
        with pytest.raises(ValueError, match="once"):
            await k.log.append(ACCOUNT, write(STREAM), write(STREAM))


async def test_a_decision_of_which_only_the_expectation_fails_is_not_tried_again(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.log.append(ACCOUNT, write("account-gate"))
        tries = 0

        def decide(_: object) -> list[Event]:
            nonlocal tries
            tries += 1
            return [changed(1)]

        with pytest.raises(Conflict) as conflict:
            await k.log.transact(ACCOUNT, counter, ACCOUNT, decide, cause=uuid4(), expect=[Expect("account-gate", 0)])
        assert (conflict.value.streams, tries) == (("account-gate",), 1)


async def test_two_replicas_of_one_decision_answer_the_same(urls: Mapping[str, str]) -> None:
    """Each decides on what it saw; the one that is late answers what the other recorded."""
    async with kernel(urls) as one, kernel(urls) as two:
        for _ in range(5):
            cause = uuid4()

            def decided(limit: int, cause: UUID = cause) -> Awaitable[Transacted[Counter]]:
                log = (one, two)[limit % 2].log
                return log.transact(ACCOUNT, counter, ACCOUNT, lambda _: [changed(limit)], cause=cause)

            done = await asyncio.gather(*(decided(limit) for limit in range(4)))
            assert len({(item.position, item.version) for item in done}) == 1
            limits = [[event.monthly_limit for event in item.events if isinstance(event, PlanChanged)] for item in done]
            assert limits[0] == limits[1] == limits[2] == limits[3]
            assert [item.repeated for item in done].count(False) == 1
