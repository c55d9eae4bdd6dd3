"""What the demo shows: how far the campaign is, and at the end both sides beside each other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from rich.console import Console, Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from outrider.local.checker import STEPS, Verdict

MOST_PROBLEMS = 30
ENDED = ("bounced", "replied", "failed", "stopped", "unsubscribed", "skipped")


@dataclass(frozen=True)
class Standing:
    """Where the campaign stands."""

    seconds: float
    """Since the first dispatch, real ones."""
    people: int
    planned: int
    """People with a plan."""
    steps: Sequence[int]
    """People who got the first, the second, ... letter."""
    replied: int
    bounced: int
    opened: int
    next_due: str
    """Business time of the next letter, or empty."""

    @classmethod
    def of(
        cls, seconds: float, campaign: Mapping[str, object], enrollments: Sequence[Mapping[str, object]]
    ) -> "Standing":
        """Read it from what the API says."""
        total = cast("Mapping[str, object]", campaign.get("totals") or {})
        sent = [_whole(one.get("steps_sent")) for one in enrollments]
        due = sorted(str(one["next_send_at"]) for one in enrollments if one.get("next_send_at"))
        return cls(
            seconds=seconds,
            people=len(enrollments),
            planned=sum(one.get("status") != "pending" for one in enrollments),
            steps=[sum(count >= step for count in sent) for step in range(1, STEPS + 1)],
            replied=_whole(total.get("replied")),
            bounced=_whole(total.get("bounced")),
            opened=_whole(total.get("opened")),
            next_due=due[0] if due else "",
        )

    @property
    def line(self) -> str:
        """All of it on one line, for a log."""
        steps = " ".join(f"step{number}={count}" for number, count in enumerate(self.steps, 1))
        return (
            f"{self.seconds:5.1f} s  planned={self.planned}/{self.people} {steps} opened={self.opened} "
            f"replied={self.replied} bounced={self.bounced} next={self.next_due or '-'}"
        )

    def panel(self) -> Panel:
        """All of it as bars, for a terminal."""
        table = Table.grid(padding=(0, 2))
        rows = [("planned", self.planned), *((f"step {number}", n) for number, n in enumerate(self.steps, 1))]
        for name, count in rows:
            bar = ProgressBar(total=max(self.people, 1), completed=count, width=40)
            table.add_row(name, bar, f"{count:4} of {self.people}")
        outcome = f"opened {self.opened}   replied {self.replied}   bounced {self.bounced}"
        due = f"next letter due {self.next_due}" if self.next_due else "no letter due"
        return Panel(Group(table, "", outcome, due), title=f"The campaign after {self.seconds:.0f} s", width=80)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def show(console: Console, verdict: Verdict) -> None:
    """Print both sides, then what is wrong."""
    table = Table(title="What the mail sandbox saw, and what the API says")
    table.add_column("figure")
    for column in ("sandbox", "API", ""):
        table.add_column(column, justify="right")
    wrong = verdict.disagreements
    for name, (ours, theirs) in verdict.figures.items():
        mark = "[red]differs[/]" if name in wrong else "[green]agrees[/]"
        table.add_row(name, _short(ours), _short(theirs), mark)
    table.add_section()
    for name, count in (("doubled", verdict.doubled), ("lost", verdict.lost), ("unknown", verdict.unknown)):
        table.add_row(name, str(count), "", "[red]wrong[/]" if count else "[green]none[/]")
    table.add_row("claimed before a stop was seen", str(verdict.late), "", "")
    console.print(table)
    for problem in verdict.problems[:MOST_PROBLEMS]:
        console.print(f"  - {problem}", markup=False, highlight=False, soft_wrap=True)
    if len(verdict.problems) > MOST_PROBLEMS:
        console.print(f"  and {len(verdict.problems) - MOST_PROBLEMS} more")


def _short(figure: float) -> str:
    return "-" if math.isnan(figure) else f"{figure:g}"
