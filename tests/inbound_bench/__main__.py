"""`python -m tests.inbound_bench --mailboxes 100 --answers 60`: see `measuring`. The last line is one JSON object."""

import argparse
import asyncio
import json
import sys
from contextlib import ExitStack, redirect_stdout
from dataclasses import asdict
from io import StringIO

from tests.inbound_bench.measuring import Figures, measured
from tests.support import servers as support
from tests.support.story import opened
from tests.support.system import MAILING, started

MOST_SECONDS = 2.0
"""From the mailbox to the cancelled follow-up, for 99 of a hundred."""
MOST_MEBIBYTES = 500.0


async def run(mailboxes: int, answers: int) -> Figures:
    """Start a system of its own, measure, stop it."""
    with support.running() as servers, ExitStack() as stack:
        async with support.template(servers) as admin, support.database(servers, admin) as url:
            nats = stack.enter_context(servers.nats())
            system = await started(servers, stack.callback, url, nats.url, clock="", settings=None, services=MAILING)
            story = opened(system)
            stack.callback(story.close)
            try:
                return await measured(story, mailboxes, answers)
            finally:
                with redirect_stdout(StringIO()):  # what the processes said last is for tests
                    stack.close()


def main() -> int:
    """Answers 0 only if every follow-up was cancelled, in time, and the watcher stayed within its memory."""
    parser = argparse.ArgumentParser(prog="bench-inbound", description="Answers in many mailboxes, measured.")
    parser.add_argument("--mailboxes", type=int, default=100, help="watched at once by one process")
    parser.add_argument("--answers", type=int, default=60, help="one after the other, in mailboxes by turns")
    given = parser.parse_args()
    found = asyncio.run(run(given.mailboxes, given.answers))
    figures = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(found).items()}
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0 if found.p99_seconds < MOST_SECONDS and found.watcher_mebibytes < MOST_MEBIBYTES else 1


if __name__ == "__main__":
    sys.exit(main())
