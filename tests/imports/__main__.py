"""`python -m tests.imports --rows 1000000`: see `measuring`. The last line is one JSON object."""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.imports.measuring import Figures, measured
from tests.support.alone import alone

MOST_GROWN = 100.0
"""MiB."""
SERVICES = ("dispatcher", "sender", "api")
"""The reply-watcher has no part in an import: it does not read contacts."""


async def run(rows: int) -> Figures:
    """Measure on a system of its own."""
    async with alone(SERVICES) as its:
        return await measured(its.system, rows)


def table(found: Figures) -> Table:
    """Answer the figures as a person reads them."""
    shown = Table(title=f"{found.rows:,} rows, {found.megabytes:.0f} MB of CSV", show_header=False)
    for name, value in (
        ("body taken", f"{found.upload_seconds:.1f} s, {found.rows / found.upload_seconds:,.0f} rows/s"),
        ("contacts, read by every service", f"{found.seconds:.1f} s, {found.rows / found.seconds:,.0f} rows/s"),
        ("added, skipped, rejected", f"{found.added:,}, {found.skipped:,}, {found.rejected:,}"),
        ("log and vault per row", f"{found.log_bytes:.0f} and {found.vault_bytes:.0f} bytes, with their indexes"),
        *((f"processor time of {name}", f"{used:.0f} s") for name, used in found.used.items()),
        *((f"{name} grew by", f"{grown:.1f} MiB") for name, grown in found.grown.items()),
    ):
        shown.add_row(name, value)
    return shown


def main() -> int:
    """Answers 0 only if every row is accounted for and the api did not grow by 100 MiB."""
    parser = argparse.ArgumentParser(prog="bench-import", description="Import a CSV file of many rows, and measure.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="a hundredth of them twice, a hundredth bad")
    found = asyncio.run(run(parser.parse_args().rows))
    Console(highlight=False).print(table(found))
    figures = {name: round(value, 1) if isinstance(value, float) else value for name, value in asdict(found).items()}
    sys.stdout.write(json.dumps(figures) + "\n")
    whole = found.added + found.skipped + found.rejected == found.rows
    return 0 if whole and found.grown["api"] < MOST_GROWN else 1


if __name__ == "__main__":
    sys.exit(main())
