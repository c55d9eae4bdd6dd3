"""`python -m tests.event_bench --events 5000`: see `measuring`. The last line is one JSON object."""

import argparse
import asyncio
import sys
from contextlib import ExitStack, redirect_stdout
from io import StringIO

from tests.event_bench.measuring import Figures, as_json, measured
from tests.support import servers as support
from tests.support.story import opened
from tests.support.system import started


async def run(events: int, endpoints: int, streams: int) -> Figures:
    """Start a system of its own, measure, stop it."""
    with support.running() as servers, ExitStack() as stack:
        async with support.template(servers) as admin, support.database(servers, admin) as url:
            nats = stack.enter_context(servers.nats())
            services = ("dispatcher", "api", "webhooks")
            system = await started(servers, stack.callback, url, nats.url, clock="", settings=None, services=services)
            story = opened(system)
            stack.callback(story.close)
            try:
                return await measured(story, events, endpoints, streams)
            finally:
                with redirect_stdout(StringIO()):  # what the processes said last is for tests
                    stack.close()


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
