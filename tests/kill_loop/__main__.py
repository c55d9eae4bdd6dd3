"""`python -m tests.kill_loop --kills 40 --sends 800 --seed 7`: see `loop`. The last line is one JSON object."""

import argparse
import asyncio
import json
import sys

from rich.console import Console

from tests.kill_loop.loop import run
from tests.kill_loop.script import Script

MOST_PROBLEMS = 40
INTERRUPTED = 130


def main() -> int:
    """Answers 0 only if every promise was kept."""
    parser = argparse.ArgumentParser(prog="kill-loop", description="Kill every process again and again, then count.")
    parser.add_argument("--kills", type=int, default=40, help="how often a process is killed, or stopped for a while")
    parser.add_argument("--sends", type=int, default=800, help="about how many mails are to be accepted")
    parser.add_argument("--seed", type=int, default=7, help="whom it hits, and when")
    parser.add_argument("--keep", action="store_true", help="keep data and logs even if all is well")
    given = parser.parse_args()
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    try:
        verdict = asyncio.run(run(Script.of(given.seed, given.kills, given.sends), console, keep=given.keep))
    except KeyboardInterrupt:
        return INTERRUPTED
    for problem in verdict.problems[:MOST_PROBLEMS]:
        console.print(f"  - {problem}", markup=False)
    if len(verdict.problems) > MOST_PROBLEMS:
        console.print(f"  and {len(verdict.problems) - MOST_PROBLEMS} more")
    kept = "every promise was kept" if verdict.kept else f"{len(verdict.problems)} broken"
    console.print(f"{kept}, in {verdict.seconds:.0f} s")
    sys.stdout.write(json.dumps(verdict.figures()) + "\n")
    sys.stdout.flush()
    return 0 if verdict.kept else 1


if __name__ == "__main__":
    sys.exit(main())
