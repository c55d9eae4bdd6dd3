"""`make score-inbound [CORPUS=folder]`: how well a labelled set of mail is read. The last line is one JSON object."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.inbound_scores.figures import confusion, figures, hardness, read, worst
from tests.inbound_scores.labelled import GIVEN, labelled
from tests.inbound_scores.page import page

_PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "inbound-scores.md"
_MOST: Final = 40


def main() -> int:
    """Answers 0 if there was a set to score, whatever the scores, else 2."""
    parser = argparse.ArgumentParser(prog="score-inbound", description="Classify a labelled set of mail, and count.")
    parser.add_argument("--corpus", type=Path, default=GIVEN, help="a folder with labels.jsonl")
    corpus: Path = parser.parse_args().corpus
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    problems: list[str] = []
    try:
        reads = [read(label) for label in labelled(corpus, problems)]
    except OSError as fault:
        sys.stdout.write(json.dumps({"error": f"no labels.jsonl to read ({type(fault).__name__})"}) + "\n")
        return 2
    for problem in problems[:_MOST]:
        console.print(f"  - {problem}", markup=False)
    console.print(_table("label", confusion(reads)))
    console.print(_table("hard, soft or block", hardness(reads)))
    for one, wrong in worst(reads)[:_MOST]:
        console.print(f"  - {one.label.file}: {wrong}", markup=False)
    counted = figures(reads)
    if corpus.resolve() == GIVEN.resolve():
        _PAGE.write_text(page(reads), "utf-8")
    sys.stdout.write(json.dumps({**counted, "unreadable_labels": len(problems)}) + "\n")
    return 0


def _table(title: str, counts: Counter[tuple[str, str]]) -> Table:
    columns = sorted({taken for _, taken in counts})
    table = Table(title, *columns)
    for row in sorted({label for label, _ in counts}):
        table.add_row(row, *(str(counts[row, column] or "") for column in columns))
    return table


if __name__ == "__main__":
    sys.exit(main())
