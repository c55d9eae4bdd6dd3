"""Readers: every event once, in order, by one replica at a time; loud when they cannot go on."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, cast
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from outrider.events.account import AccountOpened, PlanChanged
from outrider.events.contact import AddressReserved, ContactDeleted
from outrider.events.database import Db, Pool
from outrider.events.log import Log, Write
from outrider.events.message import Event, Recorded, UnknownEvent
from outrider.events.projector import Projection, Reader, WrongLog, caught_up
from tests.kernel.reading import SEEN, append, recorded, seeing, seen
from tests.kernel.until import running, until
from tests.support.kernel import ACCOUNT, Kernel, changed, kernel

WAITING = "select true from pg_locks where locktype = 'advisory' and not granted"
LOCK = "perform pg_advisory_xact_lock(6091845621);"
REPLICAS = 4


async def nothing_is_missed_while_appends_race(urls: Mapping[str, str]) -> None:
    """One append is not committed yet while a later one, if it can, is; a reader looks in between."""
    async with kernel(urls) as k, k.pool.acquire() as slow:
        await k.tables.execute(SEEN)
        reader = Reader(seeing(), k.log, k.tables)
        async with slow.transaction():
            first = Write(f"account-{uuid4()}", 0, [changed(1)], uuid4())
            await Log(cast("Pool", slow), k.clock).append(ACCOUNT, first)
            racing = asyncio.create_task(append(k))

            async def raced() -> bool:
                return racing.done() or await k.tables.fetchval(WAITING) is True

            await until("the other append waits or is through", raced)
            await caught_up(reader)
        await racing
        await caught_up(reader)
        assert await seen(k) == await recorded(k)


async def test_no_event_is_missed_while_appends_race(urls: Mapping[str, str]) -> None:
    await nothing_is_missed_while_appends_race(urls)


async def test_without_the_lock_events_are_missed(urls: Mapping[str, str]) -> None:
    owner = await asyncpg.connect(urls["owner"])
    source = await owner.fetchval("select pg_get_functiondef('log.append_groups'::regproc)")
    assert LOCK in source
    await owner.execute(source.replace(LOCK, ""))
    await owner.close()
    with pytest.raises(AssertionError, match="=="):
        await nothing_is_missed_while_appends_race(urls)


async def test_many_replicas_of_a_reader_apply_each_event_once_and_in_order(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k, kernel(urls) as other:
        await k.tables.execute(SEEN)
        readers = [Reader(seeing(), one.log, one.tables) for one in (k, other) for _ in range(REPLICAS // 2)]

        def ring() -> None:
            for reader in readers:
                reader.ring()

        k.log.rung = other.log.rung = ring
        async with running(*(reader.follow() for reader in readers)):
            for _ in range(10):
                await asyncio.gather(append(k, 20), append(other, 20))
            last = max(await recorded(k))
            assert all(await asyncio.gather(*(reader.reach(last, 30) for reader in readers)))
        assert await seen(k) == await recorded(k)


async def test_a_batch_is_applied_and_remembered_together_or_not_at_all(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.tables.execute(SEEN)
        projection = seeing(AccountOpened)

        @projection.on(PlanChanged)
        async def stumble(db: Db, events: Sequence[Recorded[PlanChanged]]) -> None:
            del db
            raise ArithmeticError(len(events))

        opened = AccountOpened(account_id=ACCOUNT, monthly_limit=1)
        await k.log.append(ACCOUNT, Write("account-x", 0, [opened, changed(1)], uuid4()))
        with pytest.raises(ArithmeticError):
            await caught_up(Reader(projection, k.log, k.tables))
        assert await seen(k) == []
        assert await k.tables.fetchval("select count(*) from checkpoints where position > 0") == 0


def test_a_run_is_as_long_as_the_order_allows() -> None:
    """Types that share a handler share its runs; a handler with tables of its own gets its events together."""
    projection, runs = Projection("dispatcher.runs.v1"), list[tuple[str, list[int]]]()

    async def note(name: str, events: Sequence[Recorded[Event]]) -> None:
        runs.append((name, [item.position for item in events]))

    @projection.on(AccountOpened, PlanChanged)
    async def both(db: Db, events: Sequence[Recorded[Event]]) -> None:
        del db
        await note("both", events)

    @projection.on(ContactDeleted)
    async def between(db: Db, events: Sequence[Recorded[Event]]) -> None:
        del db
        await note("between", events)

    @projection.on(AddressReserved, apart="addresses")
    async def apart(db: Db, events: Sequence[Recorded[Event]]) -> None:
        del db
        await note("apart", events)

    opened, reserved = AccountOpened(account_id=ACCOUNT, monthly_limit=1), AddressReserved.model_construct()
    log: list[Event] = [opened, reserved, changed(1), reserved, ContactDeleted.model_construct(), reserved, opened]
    now = datetime.now(UTC)
    events = [Recorded(n, ACCOUNT, "x-1", n, ACCOUNT, 0, now, now, event) for n, event in enumerate(log)]
    asyncio.run(projection.apply(cast("Db", None), events))
    assert runs == [("both", [0, 2]), ("between", [4]), ("both", [6]), ("apart", [1, 3, 5])]


async def stopped(reader: Reader) -> BaseException:
    """Let it follow until it stops for good; why it did."""
    async with running(reader.follow()) as [task]:

        def failed() -> bool:
            reader.ring()
            return reader.failed is not None

        await until("the reader stops", failed)
        await asyncio.wait([task])
        assert task.exception() is None
    assert reader.failed is not None
    return reader.failed


async def owner_does(urls: Mapping[str, str], statement: str, *arguments: object) -> None:
    owner = await asyncpg.connect(urls["owner"])
    await owner.execute(statement, *arguments)
    await owner.close()


async def test_a_reader_stops_at_an_event_version_from_the_future(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.tables.execute(SEEN)
        reader = Reader(seeing(), k.log, k.tables)
        before = await append(k)
        await caught_up(reader)
        future = await append(k)
        await owner_does(urls, "update log.events set type_version = 99 where position = $1", future)
        await append(k)
        assert isinstance(await stopped(reader), UnknownEvent)
        assert (await seen(k), reader.position) == ([before], before)


def refusing(*limits: int) -> Projection:
    """A projection with a bug: it cannot apply a change of the plan to one of these limits."""
    projection = seeing(AccountOpened)
    note = seeing().handlers["PlanChanged"]

    @projection.on(PlanChanged)
    async def stumble(db: Db, events: Sequence[Recorded[PlanChanged]]) -> None:
        await note(db, events)
        if any(item.event.monthly_limit in limits for item in events):
            raise ArithmeticError("somebody@example.com")

    return projection


async def test_a_broken_event_stops_its_reader_loudly_until_the_code_is_mended(urls: Mapping[str, str]) -> None:
    """Everything before it is in the tables, nothing behind it; it is told once, with its position and type."""
    async with kernel(urls) as k:
        await k.tables.execute(SEEN)
        writes = [Write("account-x", n, [changed(n)], uuid4()) for n in range(10)]
        positions = [(await k.log.append(ACCOUNT, write)).position for write in writes]
        reader = Reader(refusing(6), k.log, k.tables)
        with capture_logs() as logs:
            assert isinstance(await stopped(reader), ArithmeticError)
        told = [line for line in logs if line["log_level"] == "error"]
        assert [(one["event"], one["position"], one["type"]) for one in told] == [
            ("reader.stopped", positions[6], "PlanChanged")
        ]
        assert reader.trouble == f"reader dispatcher.seen.v1 stopped at {positions[6]} (PlanChanged): ArithmeticError"
        assert await seen(k) == positions[:6]
        assert isinstance(await stopped(Reader(refusing(6), k.log, k.tables)), ArithmeticError)  # begun again
        assert await seen(k) == positions[:6]
        await caught_up(Reader(refusing(), k.log, k.tables))
        assert await seen(k) == positions


async def test_a_batch_that_only_fails_as_a_whole_is_applied_event_by_event(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.tables.execute(SEEN)
        projection = seeing(AccountOpened)
        note = seeing().handlers["PlanChanged"]

        @projection.on(PlanChanged)
        async def one_at_a_time(db: Db, events: Sequence[Recorded[PlanChanged]]) -> None:
            [_] = events
            await note(db, events)

        last = await append(k, 20)
        reader = Reader(projection, k.log, k.tables)
        async with running(reader.follow()):
            assert await reader.reach(last, 60)
        assert (reader.failed, await seen(k)) == (None, await recorded(k))


async def test_a_reader_passes_over_a_future_version_of_what_it_does_not_read(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.tables.execute(SEEN)
        last = await append(k)
        await owner_does(urls, "update log.events set type_version = 99")
        assert await caught_up(Reader(seeing(AccountOpened), k.log, k.tables)) == last


def measured_then() -> type[Event]:
    class Measured(Event):
        """Version 1 counts in hundreds."""

        hundreds: int

    return Measured


def measured_now() -> type[Event]:
    class Measured(Event, version=3):
        """Version 2 counts in ones, version 3 says of what."""

        upcasters: ClassVar = {
            1: lambda data: {"ones": data["hundreds"] * 100},
            2: lambda data: {"unit": "messages", **data},
        }
        ones: int
        unit: str

    return Measured


async def test_an_old_version_is_read_as_the_new_one(urls: Mapping[str, str]) -> None:
    stream = f"account-{uuid4()}"
    async with kernel(urls) as k:
        try:
            old = measured_then().model_validate({"hundreds": 3})
            await k.log.append(ACCOUNT, Write(stream, 0, [old], uuid4()))
            new = measured_now().model_validate({"ones": 5, "unit": "mails"})
            await k.log.append(ACCOUNT, Write(stream, 1, [new], uuid4()))
            found = [item.event for item in await k.log.read_stream(ACCOUNT, stream)]
            assert [event.as_json() for event in found] == [
                {"ones": 300, "unit": "messages"},
                {"ones": 5, "unit": "mails"},
            ]
        finally:
            del Event.types["Measured"]


async def test_a_checkpoint_of_another_log_stops_the_reader(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.tables.execute(SEEN)
        await append(k, 3)
        last = await caught_up(Reader(seeing(), k.log, k.tables))
        await owner_does(urls, "update log.events set cause = gen_random_uuid() where position = $1", last)
        await append(k)
        assert isinstance(await stopped(Reader(seeing(), k.log, k.tables)), WrongLog)
        await owner_does(urls, "delete from log.events where position >= $1", last)
        assert isinstance(await stopped(Reader(seeing(), k.log, k.tables)), WrongLog)
        assert max(await seen(k)) == last


async def test_a_log_that_is_replaced_while_a_reader_runs_is_noticed(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.tables.execute(SEEN)
        reader = Reader(seeing(), k.log, k.tables)
        async with running(reader.follow()):
            last = await append(k)
            assert await reader.reach(last, 30)
            await owner_does(urls, "update log.events set cause = gen_random_uuid()")
            await until("the reader stops", lambda: isinstance(reader.failed, WrongLog))


async def test_reach_says_whether_the_tables_got_there_in_time(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k, kernel(urls) as other:
        await k.tables.execute(SEEN)
        behind, ahead = Reader(seeing(), k.log, k.tables), Reader(seeing(), other.log, other.tables)
        last = await append(k)
        assert await behind.reach(0, 0)
        assert not await behind.reach(last, 0.1)
        waiting = asyncio.create_task(behind.reach(last, 30))
        await caught_up(ahead)
        assert await waiting  # another replica brought them there
        assert behind.position == last


async def test_a_replica_that_finds_another_one_at_it_applies_nothing(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k, kernel(urls) as other:
        await k.tables.execute(SEEN)
        at_it, go_on = asyncio.Event(), asyncio.Event()
        slow = Projection("dispatcher.seen.v1")

        @slow.on(PlanChanged)
        async def dawdle(db: Db, events: Sequence[Recorded[PlanChanged]]) -> None:
            at_it.set()
            await go_on.wait()
            await seeing().handlers["PlanChanged"](db, events)

        await Reader(Projection("dispatcher.seen.v1"), k.log, k.tables).catch_up()  # the row of the checkpoint stands
        last = await append(k)
        moving = asyncio.create_task(Reader(slow, k.log, k.tables).catch_up())
        await at_it.wait()
        second = Reader(seeing(), other.log, other.tables)
        assert await second.catch_up() == 0
        go_on.set()
        assert await moving == last
        assert await second.catch_up() == 0
        assert await seen(k) == [last]


async def test_a_handler_with_a_bug_stops_its_reader(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await append(k)
        for statement, arguments in (
            ("select $1::int", ["one"]),  # the driver cannot encode it
            ("select $1::int", [1, 2]),  # the driver says so as if the connection were broken
            ("select 1 / 0", []),
            ("insert into nothing values (1)", []),
        ):
            projection = Projection("dispatcher.broken.v1")

            @projection.on(PlanChanged)
            async def stumble(
                db: Db, events: object, statement: str = statement, arguments: Sequence[object] = arguments
            ) -> None:
                del events
                await db.execute(statement, *arguments)

            assert not isinstance(await stopped(Reader(projection, k.log, k.tables)), WrongLog)


async def test_a_deadlock_is_tried_again(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        await k.tables.execute("create table pair (name text primary key)")
        await k.tables.execute("insert into pair values ('a'), ('b')")
        holds, goes_on, tries = asyncio.Event(), asyncio.Event(), 0
        projection = Projection("dispatcher.pair.v1")

        @projection.on(PlanChanged)
        async def both(db: Db, events: object) -> None:
            nonlocal tries
            del events
            tries += 1
            await db.execute("update pair set name = name where name = 'a'")
            holds.set()
            await goes_on.wait()
            await db.execute("update pair set name = name where name = 'b'")

        last = await append(k)
        reader = Reader(projection, k.log, k.tables)
        other = await asyncpg.connect(urls["owner"], server_settings={"search_path": "dispatcher"})
        await other.execute("set deadlock_timeout = '1h'")  # it never looks for one: the reader is the victim
        async with running(reader.follow()):
            async with other.transaction():
                await other.execute("update pair set name = name where name = 'b'")
                await holds.wait()
                waiting = asyncio.create_task(other.execute("update pair set name = name where name = 'a'"))
                await until("the other waits for the reader", lambda: blocked(k))
                goes_on.set()
                await waiting
            assert await reader.reach(last, 30)
        await other.close()
        assert (tries, reader.failed) == (2, None)


async def blocked(k: Kernel) -> bool:
    return await k.pool.fetchval("select true from pg_locks where not granted") is True
