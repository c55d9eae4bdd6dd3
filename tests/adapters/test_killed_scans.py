"""A scan is killed again and again, between fetch and append, and between append and checkpoint; and so is a watch.

CRASHES=200 (`make crash-inbound`) says how often; the seed is printed, and SEED repeats it.
"""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

from outrider.events.inbound import ReplyReceived
from outrider.reply_watcher.watching import LEASE_SECONDS, LOOK_SECONDS
from tests.kernel.until import running, until
from tests.support.inbox import ANN, PASSWORD, Sent, inbox, reply
from tests.support.mail import imap_server
from tests.support.mortal_scan import POINTS, Errand, scan, watch

CRASHES = int(os.environ.get("CRASHES", "12"))
SEED = int(os.environ.get("SEED", "7"))


def begun(target: Callable[[Errand], None], errand: Errand) -> BaseProcess:
    """A process of its own is at it."""
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["tests.support.mortal_scan"])
    process = processes.Process(target=target, args=(errand,))
    process.start()
    return process


async def test_each_message_is_recorded_exactly_once_however_often_the_scan_is_killed(urls: Mapping[str, str]) -> None:
    script, sent = random.Random(SEED), list[Sent]()  # noqa: S311  # a script, not a secret
    async with imap_server({ANN: PASSWORD}) as server, inbox(urls, server) as box:
        killed = dict.fromkeys(POINTS, 0)
        while sum(killed.values()) < CRASHES:
            for _ in range(script.randint(1, 4)):
                sent.append(await box.sent(f"p{len(sent)}"))
                await box.arrives(reply(sent[-1]))
            point = script.choice(POINTS)
            times = 1 if point == "moved" else script.randint(1, 3)
            errand = Errand(urls, server.port, box.keys, box.mailbox, point, times)
            process = begun(scan, errand)
            await _ended(process.sentinel)
            process.join()
            assert process.exitcode in {0, -signal.SIGKILL}, f"seed {SEED}, {point} {times}"
            killed[point] += process.exitcode == -signal.SIGKILL
            if script.random() < 0.1:
                await box.server.set_uid_validity(ANN, script.randint(1000, 10**6))
        await box.scan()
        assert await box.scan() == 0
        assert all(killed.values()), killed
        assert await box.kinds() == {one.delivery: [ReplyReceived] for one in sent}, f"seed {SEED}"


async def test_the_mailbox_of_a_killed_watch_is_taken_over_within_thirty_seconds(urls: Mapping[str, str]) -> None:
    async with imap_server({ANN: PASSWORD}) as server, inbox(urls, server) as box:

        async def recorded(name: str) -> None:
            sent = await box.sent(name)
            await box.arrives(reply(sent))

            async def is_recorded() -> bool:
                return sent.delivery in await box.kinds()

            await until(f"{name}'s answer is recorded", is_recorded)

        process = begun(watch, Errand(urls, server.port, box.keys, box.mailbox, "moved", 0))
        await recorded("ada")
        process.kill()
        await _ended(process.sentinel)
        left = await box.watcher.pool.fetchval(
            "select extract(epoch from until - clock_timestamp()) from log.leases where name = $1",
            f"mailbox-{box.mailbox}",
        )
        assert left <= LEASE_SECONDS < 30 - 5 * LOOK_SECONDS, "it is looked at every second, and read at once"
        async with running(box.watchers().run()):
            await recorded("ben")


async def _ended(sentinel: int) -> None:
    """The process is gone; meanwhile the mail server of this process answers it."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sentinel, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(sentinel)
