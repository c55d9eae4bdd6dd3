"""`python -m tests.rollout --sends 2000 --rollouts 3`: see `rolling`. The last line is one JSON object."""

import argparse
import asyncio
import json
import sys

from rich.console import Console

from tests.rollout.rolling import Ordeal, run


def main() -> int:
    """Answers 0 only if every promise was kept."""
    parser = argparse.ArgumentParser(prog="rollout", description="Replace everything while mail goes out, then count.")
    parser.add_argument("--sends", type=int, default=120, help="about how many mails are to be accepted")
    parser.add_argument("--rollouts", type=int, default=1, help="how often everything is replaced")
    parser.add_argument("--seed", type=int, default=7, help="who is written to")
    given = parser.parse_args()
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    verdict = asyncio.run(run(Ordeal(given.sends, given.rollouts, given.seed), console))
    for problem in verdict.problems:
        console.print(f"  - {problem}", markup=False)
    sys.stdout.write(json.dumps(verdict.figures()) + "\n")
    return 0 if verdict.whole else 1


if __name__ == "__main__":
    sys.exit(main())
