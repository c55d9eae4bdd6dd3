"""`python -m tests.http_bench --events 10000 1000000`: see `measuring`. The last line is one JSON object."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import httpx
from rich.console import Console
from rich.table import Table

from tests.http_bench.measuring import Bench, Load
from tests.support.alone import alone

Figures = Mapping[str, Mapping[str, Load]]


async def run(calls: int, sizes: Sequence[int]) -> Figures:
    """Measure on a system of its own."""
    found: dict[str, dict[str, Load]] = {}
    async with alone(("dispatcher", "api"), {"OUTRIDER_RATE_LIMIT_PER_MINUTE": "0"}) as its:
        system = its.system
        async with httpx.AsyncClient(
            base_url=system.url, headers=dict(system.headers), timeout=60, trust_env=False
        ) as client:
            bench = Bench(system, client, its.servers.role_urls(system.site.database_url), calls)
            await bench.begin()
            posted = await bench.posts()
            system.kill("dispatcher")  # it would plan and finish what is written for the gateway alone
            for events in sizes:
                await bench.fill(events)
                found[f"GET /campaigns/:id, {events:,} events"] = await bench.gets()
    found["POST /campaigns"] = posted
    return found


def table(found: Figures) -> Table:
    """Answer the figures as a person reads them."""
    shown = Table("call", "CPU bare", "CPU gateway", "ratio", "p50", "p99", "p99 bare", title="milliseconds a call")
    for call, loads in found.items():
        bare, ours = loads["bare"], loads["gateway"]
        ratio = ours.cpu_ms / bare.cpu_ms
        figures = (bare.cpu_ms, ours.cpu_ms, ratio, ours.p50_ms, ours.p99_ms, bare.p99_ms)
        shown.add_row(call, *(f"{figure:.2f}" for figure in figures))
    return shown


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench-http", description="Compare the gateway with a bare Litestar route.")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--events", type=int, nargs="*", default=[10_000, 1_000_000], help="of the campaign")
    given = parser.parse_args()
    found = asyncio.run(run(given.calls, given.events))
    Console(highlight=False, width=120).print(table(found))
    rounded = {
        call: {name: {key: round(value, 2) for key, value in asdict(load).items()} for name, load in loads.items()}
        for call, loads in found.items()
    }
    sys.stdout.write(json.dumps(rounded) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
