"""Jobs: what a handler cannot do is delivered again, later each time, and never blocks what comes behind it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from uuid import uuid4

import pytest

from outrider.events import bus as kernel_bus
from outrider.events import carrying as kernel_carrying
from outrider.events import taking as kernel_taking
from outrider.events.bus import COMMANDS_STREAM, MAX_DELIVER, Bus, declare
from outrider.events.commands import Commands
from outrider.events.errors import NotYet, Unavailable
from outrider.events.message import Job
from outrider.events.taking import Taking
from tests.kernel.until import until
from tests.support.kernel import ACCOUNT, kernel
from tests.support.servers import Server

PARTITION = 7
SUBJECT = f"cmd.send.{PARTITION}"


class Count(Job):
    """Work of no meaning."""

    number: int


def count(number: int) -> Count:
    return Count(account_id=ACCOUNT, number=number)


@dataclass
class Worker:
    """Carries out jobs."""

    bus: Bus
    begun: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    done: list[int] = field(default_factory=list[int])
    fails: dict[int, list[Exception]] = field(default_factory=dict[int, list[Exception]])
    """For each number what is raised, one after the other, before it is done."""
    hold: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, job: Count) -> None:
        """Do it, or fail."""
        self.begun.append((job.number, monotonic()))
        await self.hold.wait()
        if failures := self.fails.get(job.number):
            raise failures.pop(0)
        self.done.append(job.number)

    takings: list[Taking] = field(default_factory=list[Taking])

    async def stop(self) -> None:
        """Nothing is taken any more."""
        await asyncio.gather(*(taking.stop() for taking in self.takings))

    async def left(self) -> int:
        """How many messages JetStream still keeps."""
        return int((await self.bus.broker.connection.jetstream().stream_info(COMMANDS_STREAM)).state.messages)

    def times(self, number: int) -> list[float]:
        """When it was begun."""
        return [when for begun, when in self.begun if begun == number]


@asynccontextmanager
async def worker(urls: Mapping[str, str], nats_url: str, workers: int = 4) -> AsyncGenerator[Worker]:
    async with kernel(urls, "sender") as k:
        found = Worker(Bus(nats_url, Commands(k.pool, k.clock), "worker"))
        found.hold.set()
        found.takings += [found.bus.take(f"sender-{number}", Count, found.handle, workers) for number in (PARTITION, 8)]
        await found.bus.start()
        for taking in found.takings:
            taking.start()
        try:
            yield found
        finally:
            await found.stop()
            await found.bus.stop()


async def test_every_job_is_carried_out_once_and_acknowledged(urls: Mapping[str, str], bus_url: str) -> None:
    async with worker(urls, bus_url) as one, worker(urls, bus_url) as two:
        await asyncio.gather(*(one.bus.tell(count(number), f"cmd.send.{7 + number % 2}") for number in range(200)))
        await until("all are done", lambda: len(one.done) + len(two.done) == 200)
        assert sorted(one.done + two.done) == list(range(200))
        await until("all are acknowledged", lambda: nothing_left(one))


async def nothing_left(w: Worker) -> bool:
    return await w.left() == 0


async def test_a_job_that_raises_comes_again_and_the_others_do_not_wait(urls: Mapping[str, str], bus_url: str) -> None:
    async with worker(urls, bus_url, workers=1) as w:
        w.fails[0] = [Unavailable("no database")]
        for number in range(5):
            await w.bus.tell(count(number), SUBJECT)
        await until("the others are done", lambda: w.done == [1, 2, 3, 4])
        await until("it is done as well", lambda: w.done[-1] == 0)
        first, second = w.times(0)
        assert second - first > 1.9  # seconds
        await until("all are acknowledged", lambda: nothing_left(w))


async def test_not_yet_says_when_to_come_again_however_often(urls: Mapping[str, str], bus_url: str) -> None:
    async with worker(urls, bus_url) as w:
        w.fails[0] = [NotYet(0.01) for _ in range(MAX_DELIVER + 5)]
        await w.bus.tell(count(0), SUBJECT)
        await until("it is done", lambda: w.done == [0])
        assert len(w.begun) == MAX_DELIVER + 6
        await until("it is acknowledged", lambda: nothing_left(w))


async def test_a_job_that_failed_too_often_is_given_up_so_that_its_to_do_can_tell_it_again(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_carrying, "MAX_DELIVER", 1)
    async with worker(urls, bus_url) as w:
        w.fails[0] = [ArithmeticError("a bug")]
        await w.bus.tell(count(0), SUBJECT)
        await until("it is given up", lambda: nothing_left(w))
        assert w.done == []
        await w.bus.tell(count(0), SUBJECT)
        await until("it is done", lambda: w.done == [0])


async def test_what_is_told_twice_under_one_key_is_kept_once(urls: Mapping[str, str], bus_url: str) -> None:
    async with worker(urls, bus_url) as w:
        key = str(uuid4())
        await asyncio.gather(*(w.bus.tell(count(0), SUBJECT, key=key) for _ in range(5)))
        await w.bus.tell(count(1), SUBJECT)
        await until("both are done", lambda: len(w.done) == 2)
        assert sorted(w.done) == [0, 1]


async def test_no_more_than_so_many_are_at_it_and_stopping_waits_for_them(
    urls: Mapping[str, str], bus_url: str
) -> None:
    async with worker(urls, bus_url, workers=3) as w:
        w.hold.clear()
        for number in range(10):
            await w.bus.tell(count(number), SUBJECT)
        await until("three are at it", lambda: len(w.begun) == 3)
        stopping = asyncio.create_task(w.stop())
        await asyncio.wait([stopping], timeout=0.1)
        assert not stopping.done()
        w.hold.set()
        await stopping
        assert sorted(w.done) == [0, 1, 2]
    async with worker(urls, bus_url) as w:
        assert 7 <= await w.left() <= 10


async def test_what_is_told_just_when_a_request_ends_is_delivered_once(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_taking, "REQUEST_SECONDS", 0.01)
    async with worker(urls, bus_url) as w:
        for number in range(200):
            await w.bus.tell(count(number), SUBJECT)
        await until("all are done", lambda: len(w.done) == 200)
        assert sorted(w.done) == list(range(200))
        stands = await w.bus.broker.connection.jetstream().consumer_info(COMMANDS_STREAM, f"sender-{PARTITION}")
        assert stands.delivered is not None
        assert stands.delivered.consumer_seq == 200, "none was delivered to a request that nobody waited for any more"


async def test_a_consumer_that_was_lost_is_taken_from_again_once_it_is_declared(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_taking, "PAUSE_SECONDS", 0.05)
    async with worker(urls, bus_url) as w:
        await w.bus.tell(count(0), SUBJECT)
        await until("it is done and acknowledged", lambda: nothing_left(w))
        await w.bus.broker.connection.jetstream().delete_consumer(COMMANDS_STREAM, f"sender-{PARTITION}")
        await declare(bus_url)
        await w.bus.tell(count(1), SUBJECT)
        await until("the next is done", lambda: w.done == [0, 1])


async def test_without_nats_nothing_is_told(
    urls: Mapping[str, str], bus_url: str, nats_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_bus, "PUBLISH_SECONDS", 0.2)
    async with worker(urls, bus_url) as w:
        nats_server.kill()
        with pytest.raises(Unavailable):
            await w.bus.tell(count(0), SUBJECT)
        nats_server.revive()
