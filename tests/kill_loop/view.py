"""How far a run is: a panel on a terminal, a line every few seconds elsewhere."""

import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tests.kill_loop import record
from tests.kill_loop.fleet import Fleet
from tests.kill_loop.script import Script

LINE_SECONDS = 10.0
PANEL_SECONDS = 0.25
WORDS = 6


@dataclass
class View:
    """Shows it."""

    console: Console
    script: Script
    fleet: Fleet
    _words: deque[str] = field(default_factory=lambda: deque(maxlen=WORDS))
    _began: float = field(default_factory=time.monotonic)
    _shown: float = 0.0
    _live: Live | None = None
    _mails: record.Counter = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is counted yet."""
        self._mails = record.Counter(self.fleet.site.sandbox_home)

    def say(self, line: str) -> None:
        """Print a line."""
        self.console.print(line, markup=False)

    def said(self, word: str) -> None:
        """Something happened."""
        self._words.append(f"{time.monotonic() - self._began:6.1f}  {word}")

    @contextmanager
    def live(self) -> Generator[None]:
        """Show a panel for the block, on a terminal."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, auto_refresh=False) as live:
            self._live = live
            yield
        self._live = None

    def show(self, doing: str) -> None:
        """Show where it stands, unless that was shown just now."""
        now = time.monotonic()
        if now - self._shown < (PANEL_SECONDS if self._live else LINE_SECONDS):
            return
        self._shown = now
        blows, taken = len(self.fleet.struck), self._mails.now()
        if self._live is None:
            down = ", ".join(self.fleet.down()) or "nobody"
            at, of = f"{now - self._began:5.0f} s", len(self.script.blows)
            self.say(f"{at}  {blows}/{of} blows  {taken} mails  down: {down}  {doing}")
            return
        table = Table.grid(padding=(0, 2))
        table.add_row("blows", f"{blows} of {len(self.script.blows)}", ProgressBar(len(self.script.blows), blows, 40))
        table.add_row("mails accepted", str(taken), "")
        table.add_row("down", str(len(self.fleet.down())), ", ".join(self.fleet.down()))
        table.add_row("now", f"{now - self._began:.0f} s", doing)
        self._live.update(Group(table, Text("\n".join(self._words), style="dim")), refresh=True)
