"""`python -m tests.bulk --contacts 100000`: see `measuring`. The last line is one JSON object."""

import argparse
import asyncio
import json
import sys
from contextlib import closing
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.bulk.measuring import Figures, measured
from tests.support.alone import alone
from tests.support.story import opened
from tests.support.system import MAILING

MOST_GROWN = 100.0
"""MiB."""


async def run(contacts: int, delay_minutes: int) -> Figures:
    """Measure on a system of its own."""
    async with alone(MAILING) as its:
        with closing(opened(its.system)) as big, closing(opened(its.system)) as small:
            return await measured(big, small, contacts, delay_minutes=delay_minutes, fresh=True)


def table(found: Figures) -> Table:
    """Answer the figures as a person reads them."""
    shown = Table(title=f"{found.contacts:,} contacts", show_header=False)
    for name, value in (
        ("enrolled", f"{found.enrolled:,} in {found.enroll_seconds:.1f} s"),
        ("planned", f"{found.scheduled:,} in {found.plan_seconds:.1f} s"),
        ("log per enrollment", f"{found.log_bytes:.0f} bytes"),
        ("another account's ten mails before", f"{found.alone:.1f} s"),
        ("another account's ten mails beside enrolling", f"{found.beside_enrolling:.1f} s"),
        ("another account's ten mails beside planning", f"{found.beside_planning:.1f} s"),
        *((f"{name} grew by", f"{grown:.1f} MiB") for name, grown in found.grown.items()),
    ):
        shown.add_row(name, value)
    return shown


def main() -> int:
    """Answers 0 only if everybody was planned and no process grew by 100 MiB."""
    parser = argparse.ArgumentParser(prog="bench-bulk", description="Enroll and plan many contacts, and measure.")
    parser.add_argument("--contacts", type=int, default=100_000, help="of one import, in one batch")
    parser.add_argument("--delay-minutes", type=int, default=0, help="until their first step is due")
    given = parser.parse_args()
    found = asyncio.run(run(given.contacts, given.delay_minutes))
    Console(highlight=False).print(table(found))
    figures = {name: round(value, 1) if isinstance(value, float) else value for name, value in asdict(found).items()}
    sys.stdout.write(json.dumps(figures) + "\n")
    whole = found.enrolled == found.scheduled == given.contacts
    return 0 if whole and max(found.grown.values()) < MOST_GROWN else 1


if __name__ == "__main__":
    sys.exit(main())
