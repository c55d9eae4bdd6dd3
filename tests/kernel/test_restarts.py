"""nats-server or Postgres is gone in mid-flow and comes back: everything goes on, nothing is lost or doubled."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import uuid4

import pytest

from outrider.events import bus as kernel_bus
from outrider.events import commands as kernel_commands
from outrider.events.account import ChangePlan, PlanChanged
from outrider.events.bus import COMMANDS_STREAM, EVENTS_STREAM, SERVICES, Bus
from outrider.events.commands import Answer, Commands, Verdict
from outrider.events.database import DISCONNECTED, Db
from outrider.events.drain import Drain
from outrider.events.errors import Unavailable
from outrider.events.log import Write
from outrider.events.lookout import Lookout
from outrider.events.message import Recorded
from outrider.events.projector import Projection, Reader
from outrider.events.todo import Todo, add
from tests.kernel.deciding import change, decider, gateway
from tests.kernel.test_jobs import SUBJECT, count, nothing_left, worker
from tests.kernel.until import running, until
from tests.support.kernel import ACCOUNT, Kernel, changed, counter, kernel
from tests.support.servers import Server, Servers


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not told is told again soon."""
    monkeypatch.setattr(kernel_commands, "RETELL", timedelta(seconds=1))
    monkeypatch.setattr(kernel_bus, "RETELL_SECONDS", 0.2)
    monkeypatch.setattr(kernel_bus, "PUBLISH_SECONDS", 0.5)


async def asked(bus: Bus, command: ChangePlan) -> Verdict:
    """Ask until there is a verdict, as a client with an idempotency key does."""
    while True:
        try:
            verdict = await bus.ask(command, "dispatcher", 0, 2)
        except Unavailable:
            await asyncio.sleep(0.05)
            continue
        if verdict.status != "accepted":
            return verdict


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_commands_go_on_when_nats_comes_back(
    urls: Mapping[str, str], bus_url: str, nats_server: Server, number: signal.Signals
) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d:
        accounts = [uuid4() for _ in range(20)]
        async with running(bus.retell()):
            asking = [asyncio.create_task(asked(bus, change(2 * n, account))) for n, account in enumerate(accounts)]
            await until("some are decided", lambda: len(d.begun) >= 5)
            nats_server.kill(number)
            asking += [asyncio.create_task(asked(bus, change(2 * n, account))) for n, account in enumerate(accounts)]
            await asyncio.to_thread(nats_server.revive)
            verdicts = await asyncio.gather(*asking)
        assert {verdict.status for verdict in verdicts} == {"succeeded"}
        assert {len(await d.events(account)) for account in accounts} == {2}
        await until("both are well again", lambda: both(bus, d.bus))
        assert (await bus.ask(change(2, uuid4()), "dispatcher", 0, 20)).status == "succeeded"  # and not by being retold


async def test_nothing_is_lost_doubled_or_reversed_when_the_decider_and_nats_were_away_together(
    urls: Mapping[str, str], bus_url: str, nats_server: Server
) -> None:
    """As a pause and a resume in turn, accepted while nobody could decide, and then two replicas come back at once."""
    limits = [2 * number for number in range(12)]
    async with (
        gateway(urls, bus_url) as bus,
        decider(urls, bus_url, start=False) as one,
        decider(urls, bus_url, start=False) as two,
    ):
        nats_server.kill()
        commands = [change(limit) for limit in limits]
        for command in commands:
            assert (await bus.ask(command, "dispatcher", 0, 0.05)).status == "accepted"
        await asyncio.to_thread(nats_server.revive)
        async with running(bus.retell()):
            await asyncio.gather(one.bus.start(), two.bus.start())
            verdicts = await asyncio.gather(*(asked(bus, command) for command in commands))
        assert {verdict.status for verdict in verdicts} == {"succeeded"}
        assert [event.monthly_limit for event in await one.events() if isinstance(event, PlanChanged)] == limits
        assert sorted([*one.begun, *two.begun]) == sorted(command.command_id for command in commands)


async def test_jobs_go_on_when_nats_comes_back(urls: Mapping[str, str], bus_url: str, nats_server: Server) -> None:
    async with worker(urls, bus_url) as w:

        async def tell(number: int) -> None:
            while True:
                try:
                    return await w.bus.tell(count(number), SUBJECT, key=f"{number}")
                except Unavailable:
                    await asyncio.sleep(0.05)

        for number in range(50):
            await tell(number)
        await until("some are done", lambda: len(w.done) >= 5)
        nats_server.kill()
        telling = asyncio.gather(*(tell(number) for number in range(50, 100)))
        await asyncio.to_thread(nats_server.revive)
        await telling
        await until("all are done", lambda: set(w.done) == set(range(100)))
        assert w.bus.broker.running


async def test_doorbells_ring_again_when_nats_comes_back(
    urls: Mapping[str, str], bus_url: str, nats_server: Server
) -> None:
    async with gateway(urls, bus_url) as ringing, gateway(urls, bus_url) as hearing:
        heard: list[int] = []
        hearing.on_ring(lambda: heard.append(1))
        ringing.ring()
        await until("the bell is heard", lambda: bool(heard))
        nats_server.kill()
        for _ in range(1000):
            ringing.ring()
        await asyncio.to_thread(nats_server.revive)
        await until("both are well again", lambda: both(ringing, hearing))
        await until("what was rung meanwhile is through", lambda: bool(heard))
        heard.clear()
        ringing.ring()
        await until("the bell is heard", lambda: bool(heard))


async def both(one: Bus, other: Bus) -> bool:
    return await one.healthy() and await other.healthy()


async def test_streams_that_nats_lost_are_declared_again_and_what_was_in_them_is_told_again(
    urls: Mapping[str, str], bus_url: str
) -> None:
    async with gateway(urls, bus_url) as bus, decider(urls, bus_url) as d, running(bus.retell()):
        jetstream = bus.broker.connection.jetstream()
        assert (await bus.ask(change(2), "dispatcher", 0, 30)).status == "succeeded"
        for stream in (COMMANDS_STREAM, EVENTS_STREAM):
            await jetstream.delete_stream(stream)
        assert await d.bus.trouble() == ["JetStream has no consumer dispatcher"]
        asking = asyncio.create_task(asked(bus, change(4)))
        async with running(d.bus.watch()):
            assert (await asking).status == "succeeded"
        assert await d.bus.trouble() == []
        names = {consumer.name for consumer in await jetstream.consumers_info(COMMANDS_STREAM)}
        assert names == set(SERVICES)


async def test_a_nats_server_that_lost_its_data_is_set_up_again(
    urls: Mapping[str, str], bus_url: str, servers: Servers, nats_server: Server
) -> None:
    async with worker(urls, bus_url) as w, running(w.bus.watch()):
        nats_server.kill()
        forget(servers, nats_server)
        await asyncio.to_thread(nats_server.revive)
        await until("it is well again", w.bus.healthy)
        await w.bus.tell(count(1), SUBJECT)
        await until("it is done", lambda: w.done == [1])
        await until("it is acknowledged", lambda: nothing_left(w))


def forget(servers: Servers, server: Server) -> None:
    """Delete the files of its streams."""
    kept = list((servers.home / server.name).rglob("*.blk"))
    assert kept
    for place in kept:
        place.unlink()
    for place in (servers.home / server.name).rglob("meta.inf"):
        place.unlink()


class Site:
    """A dispatcher and a gateway on a Postgres and a nats-server that are restarted."""

    def __init__(self, k: Kernel) -> None:
        """Nothing runs yet."""
        self.kernel = k
        self.applied: list[int] = []
        self.drained: list[str] = []
        projection = Projection("dispatcher.seen.v1")

        @projection.on(PlanChanged)
        async def note(db: Db, events: Sequence[Recorded[PlanChanged]]) -> None:
            await db.executemany("insert into seen values ($1)", [(event.position,) for event in events])

        self.reader = Reader(projection, k.log, k.tables)
        self.drain = Drain("note_it", self.do, k.work, k.clock)
        self.lookout = Lookout([self.drain], k.work, k.clock)

    async def do(self, todos: Sequence[Todo]) -> None:
        """Note them."""
        self.drained += [todo.key for todo in todos]

    async def change_plan(self, command: ChangePlan) -> Answer:
        """Accept it."""
        done = await self.kernel.log.transact(
            command.account_id, counter, command.account_id, lambda _: [changed(1)], cause=command.command_id
        )
        return Answer({}, position=done.position)


async def insistently(append: Write, k: Kernel) -> None:
    """Append it until it is known to stand: the same cause, as often as it takes."""
    while True:
        try:
            await k.log.append(ACCOUNT, append)
        except DISCONNECTED:
            await asyncio.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_everything_goes_on_when_postgres_comes_back(
    servers: Servers, postgres_server: Server, bus_url: str, number: signal.Signals
) -> None:
    urls = servers.role_urls(postgres_server.url)
    async with kernel(urls) as k, gateway(urls, bus_url) as bus:
        await k.tables.execute("create table seen (position bigint primary key)")
        site = Site(k)
        deciding = Bus(bus_url, Commands(k.pool, k.clock), "decider")
        deciding.serve("dispatcher", {ChangePlan: site.change_plan}, site.reader.reach)
        await deciding.start()
        loops = (
            site.reader.follow(),
            site.drain.follow(),
            Lookout([site.drain], k.work, k.clock).follow(),
            bus.retell(),
        )
        async with AsyncExitStack() as stack, running(*loops):
            stack.push_async_callback(deciding.stop)
            k.log.rung = site.reader.ring
            writes = [Write(f"account-{n}", 0, [changed(n)], uuid4()) for n in range(300)]
            appending = [asyncio.create_task(insistently(write, k)) for write in writes[:150]]
            asking = [asyncio.create_task(asked(bus, change(2, uuid4()))) for _ in range(20)]
            await until("some are applied", lambda: site.reader.position > 0)
            postgres_server.kill(number)
            appending += [asyncio.create_task(insistently(write, k)) for write in writes[150:]]
            await asyncio.to_thread(postgres_server.revive)
            await asyncio.gather(*appending)
            assert {verdict.status for verdict in await asyncio.gather(*asking)} == {"succeeded"}
            assert await site.reader.reach(await k.log.last_position(), 30)
            async with k.work.acquire() as db:
                await add(db, [Todo("note_it", "after", ACCOUNT, k.clock.now())])
            await until("to-dos are drained", lambda: site.drained == ["after"])
        assert (site.reader.failed, site.drain.failed) == (None, None)
        seen = [row["position"] for row in await k.tables.fetch("select position from seen order by position")]
        recorded = await k.pool.fetch("select position, stream, version from log.events order by position")
        assert seen == [row["position"] for row in recorded]
        assert len({row["stream"] for row in recorded}) == len(recorded) == 320
