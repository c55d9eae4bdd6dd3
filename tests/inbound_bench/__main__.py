"""`python -m tests.inbound_bench --mailboxes 100 --answers 60 --backlog 0`: see `measuring`.

The last line is one JSON object.
"""

import argparse
import asyncio
import json
import sys
from contextlib import closing
from dataclasses import asdict

from tests.inbound_bench.measuring import Figures, measured
from tests.support.alone import alone
from tests.support.story import opened
from tests.support.system import MAILING

SETTINGS = {"OUTRIDER_IMAP_POLL_SECONDS": "90"}
"""As in production. `make up` polls every 5 s, which alone would keep the mail server of a thousand mailboxes busy."""
MOST_SECONDS = 2.0
"""From the mailbox to the cancelled follow-up, for 99 of a hundred."""
MOST_MEBIBYTES = 500.0


async def run(mailboxes: int, answers: int, backlog: int) -> Figures:
    """Measure on a system of its own."""
    async with alone(MAILING, SETTINGS) as its:
        with closing(opened(its.system)) as story:
            return await measured(story, mailboxes, answers, backlog)


def main() -> int:
    """Answers 0 only if every follow-up was cancelled, in time, and the watcher stayed within its memory."""
    parser = argparse.ArgumentParser(prog="bench-inbound", description="Answers in many mailboxes, measured.")
    parser.add_argument("--mailboxes", type=int, default=100, help="watched at once by one process")
    parser.add_argument("--answers", type=int, default=60, help="one after the other, in mailboxes by turns")
    parser.add_argument("--backlog", type=int, default=0, help="messages in one more mailbox, read when all is done")
    given = parser.parse_args()
    found = asyncio.run(run(given.mailboxes, given.answers, given.backlog))
    figures = {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(found).items()}
    sys.stdout.write(json.dumps(figures) + "\n")
    within = found.watcher_mebibytes + found.backlog_mebibytes < MOST_MEBIBYTES
    return 0 if found.p99_seconds < MOST_SECONDS and within else 1


if __name__ == "__main__":
    sys.exit(main())
