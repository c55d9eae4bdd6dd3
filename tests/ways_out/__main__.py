"""`python -m tests.ways_out --people 1000 --kills 12`: see `hearing`. The last line is one JSON object."""

import argparse
import asyncio
import json
import sys
from contextlib import closing

from outrider.local.services import SERVICES
from tests.support.alone import alone
from tests.support.story import opened
from tests.ways_out.hearing import Heard, Ordeal, heard


async def run(ordeal: Ordeal) -> Heard:
    """Kill and listen, on a system of its own."""
    async with alone(SERVICES) as its:
        with closing(opened(its.system)) as story:
            return await heard(its.system, its.nats, story, ordeal)


def main() -> int:
    """Answers 0 only if all three heard everything."""
    parser = argparse.ArgumentParser(prog="ways-out", description="Kill those who carry events, and count what came.")
    parser.add_argument("--people", type=int, default=1000, help="each gets two letters")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    found = asyncio.run(run(Ordeal(given.people, given.kills, given.seed)))
    posted = {position for _, position in found.posted}
    figures = {
        "people": given.people,
        "killed": ", ".join(found.killed),
        "recorded": len(found.recorded),
        "nats": len(found.subscribed),
        "public": len(found.public),
        "stream": len(found.streamed),
        "stream_opened_again": found.returns,
        "webhook_requests": len(found.posted),
        "webhook_events": len(posted),
        "seconds": round(found.seconds, 1),
    }
    whole = (
        list(found.subscribed) == list(found.recorded)
        and list(found.streamed) == list(found.public)
        and posted == set(found.public)
    )
    sys.stdout.write(json.dumps({**figures, "whole": whole}) + "\n")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
