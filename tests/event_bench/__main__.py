"""`python -m tests.event_bench --events 5000`: see `measuring`. The last line is one JSON object."""

import argparse
import asyncio
import sys
from contextlib import closing

from tests.event_bench.measuring import Figures, as_json, measured
from tests.support.alone import alone
from tests.support.story import opened


async def run(events: int, endpoints: int, streams: int) -> Figures:
    """Measure on a system of its own."""
    async with alone(("dispatcher", "api", "webhooks")) as its:
        with closing(opened(its.system)) as story:
            return await measured(story, events, endpoints, streams)


def main() -> int:
    """Answers 0 when it could measure."""
    parser = argparse.ArgumentParser(prog="bench-events", description="Measure webhooks and the live stream.")
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--endpoints", type=int, default=1)
    parser.add_argument("--streams", type=int, default=1000)
    given = parser.parse_args()
    found = asyncio.run(run(given.events, given.endpoints, given.streams))
    sys.stdout.write(as_json(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
