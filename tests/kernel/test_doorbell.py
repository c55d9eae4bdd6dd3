"""The doorbell: a reader in another process looks at once, and rings that come together are one."""

from collections.abc import Mapping
from uuid import uuid4

from outrider.events.bus import BELL
from outrider.events.log import Write
from tests.kernel.deciding import gateway
from tests.kernel.until import line, process, until
from tests.support.kernel import ACCOUNT, changed, kernel

READING = """
import asyncio, sys
from outrider.events import projector
from outrider.events.bus import Bus
from outrider.events.clock import real_clock
from outrider.events.database import connect
from outrider.events.log import Log
from outrider.events.projector import Projection, Reader

projector.POLL_SECONDS = 600.0

async def main():
    log, tables = await connect(sys.argv[1], "log"), await connect(sys.argv[1], "dispatcher")
    reader = Reader(Projection("dispatcher.nothing.v1"), Log(log, real_clock()), tables)
    reader.then.append(lambda: print(reader.position, flush=True))
    bus = Bus(sys.argv[2], None, "reader")
    bus.on_ring(reader.ring)
    await bus.start()
    await reader.catch_up()
    print("listening", flush=True)
    await reader.follow()

asyncio.run(main())
"""


async def test_an_append_wakes_the_readers_of_other_processes(urls: Mapping[str, str], bus_url: str) -> None:
    async with (
        kernel(urls) as k,
        gateway(urls, bus_url) as bus,
        process(READING, urls["outrider_dispatcher"], bus_url) as p,
    ):
        assert await line(p) == "listening"
        k.log.rung = bus.ring
        for number in range(5):
            done = await k.log.append(ACCOUNT, Write(f"account-{number}", 0, [changed(1)], uuid4()))
            assert await line(p) == str(done.position)  # the next look by itself would be in ten minutes


async def test_rings_that_come_together_are_sent_as_one(urls: Mapping[str, str], bus_url: str) -> None:
    async with gateway(urls, bus_url) as ringing:
        woken: list[int] = []
        sent: list[bytes] = []

        async def count(message: object) -> None:
            sent.append(b"")
            del message

        await ringing.broker.connection.subscribe(BELL, cb=count)
        await ringing.broker.connection.flush()
        ringing.on_ring(lambda: woken.append(1))
        for _ in range(1000):
            ringing.ring()
        assert len(woken) == 1000  # this process's readers at once
        await until("it rings", lambda: bool(sent))
        await ringing.broker.connection.flush()
        assert len(sent) <= 2
