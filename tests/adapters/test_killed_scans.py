"""A scan is killed again and again, between fetch and append, and between append and checkpoint.

CRASHES=200 (`make crash-inbound`) says how often; the seed is printed, and SEED repeats it.
"""

import asyncio
import os
import random
import signal
from collections.abc import Mapping
from multiprocessing import get_context

from outrider.events.inbound import ReplyReceived
from tests.support.inbox import ANN, PASSWORD, Sent, inbox, reply
from tests.support.mail import imap_server
from tests.support.mortal_scan import POINTS, Errand, scan

CRASHES = int(os.environ.get("CRASHES", "12"))
SEED = int(os.environ.get("SEED", "7"))


async def test_each_message_is_recorded_exactly_once_however_often_the_scan_is_killed(urls: Mapping[str, str]) -> None:
    script, sent = random.Random(SEED), list[Sent]()  # noqa: S311  # a script, not a secret
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["tests.support.mortal_scan"])
    async with imap_server({ANN: PASSWORD}) as server, inbox(urls, server) as box:
        killed = dict.fromkeys(POINTS, 0)
        while sum(killed.values()) < CRASHES:
            for _ in range(script.randint(1, 4)):
                sent.append(await box.sent(f"p{len(sent)}"))
                await box.arrives(reply(sent[-1]))
            point = script.choice(POINTS)
            times = 1 if point == "moved" else script.randint(1, 3)
            errand = Errand(urls, server.port, box.keys, box.mailbox, point, times)
            process = processes.Process(target=scan, args=(errand,))
            process.start()
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


async def _ended(sentinel: int) -> None:
    """The process is gone; meanwhile the mail server of this process answers it."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sentinel, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(sentinel)
