"""The processes of one machine: started in order, brought back when they end, stopped the other way round."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from outrider.local.errors import Failed
from outrider.local.leash import Watchdog
from outrider.local.serving import Part, Process, launch

START_SECONDS = 180.0
"""A process that ends is noticed at once; one that is slow is waited for: a busy machine needs minutes."""
STOP_SECONDS = 14.5
TIER_SECONDS = 1.0
"""What every tier still to come keeps of the time to stop: a fast shutdown of Postgres takes 0.02 s."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
STEADY_SECONDS = 60.0
"""A process that lived this long has earned a quick restart again."""
LOOK_SECONDS = 0.02
WHY_SIGNS = 300
Launch = Callable[[Part, Path], Process]


@dataclass
class Running:
    """A part, and what became of it."""

    part: Part
    tier: int
    process: Process
    since: float
    ready: bool = False
    falls: int = 0
    """How often it ended by itself without a steady time between."""
    again_at: float | None = None
    """When to start it again; None while it runs."""
    wanted: bool = True
    """False once `kill` ended it: then nobody brings it back but `revive`."""


class Machine:
    """Owns every process it starts: all end with it. Use it from the main thread only (see `leash.tied`)."""

    def __init__(self, logs: Path, pids: Path, tell: Callable[[str], None] = print, launch: Launch = launch) -> None:
        """Nothing runs yet but the watchdog. `tell` hears what a person should know."""
        self._logs, self._pids, self._tell, self._start = logs, pids, tell, launch
        self._running: dict[str, Running] = {}
        self._tiers = 0
        self._watchdog = Watchdog()

    def start(self, *parts: Part, seconds: float = START_SECONDS) -> None:
        """All parts run and are ready; they stop together, before those started earlier. Raises Failed."""
        self._tiers += 1
        for part in parts:
            process = self._launch(part)
            self._running[part.name] = Running(part, self._tiers, process, time.monotonic())
        self._await((self._running[part.name] for part in parts), seconds)

    def pid(self, name: str) -> int:
        """Answer the process id of a part."""
        return self._running[name].process.pid

    def names(self) -> list[str]:
        """Answer every part's name, in the order of the start."""
        return list(self._running)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """The part has ended by this signal and stays down until `revive`."""
        running = self._running[name]
        running.wanted = False
        self._end([running], time.monotonic() + STOP_SECONDS, number)

    def revive(self, name: str, seconds: float = START_SECONDS) -> None:
        """The part, killed or ended by itself, runs again and is ready. Raises Failed when that time is over.

        One that ends on the way is started once more: Postgres refuses while processes of the killed one still end.
        """
        self.begin(name)
        running, deadline = self._running[name], time.monotonic() + seconds
        while not running.ready:
            if time.monotonic() > deadline:
                raise Failed(f"{name} was not ready within {seconds:g} s: {self._why(running.part)}")
            self._mend(running)
            time.sleep(LOOK_SECONDS)

    def begin(self, name: str) -> None:
        """The part, killed, is started again; `mend` sees when it is ready, and starts it once more if it ends."""
        running = self._running[name]
        running.wanted, running.falls = True, 0
        self._again(running)

    def drop(self, *names: str, seconds: float = STOP_SECONDS) -> None:
        """The parts have stopped side by side, or were killed when that time was over, and are forgotten."""
        self._end([self._running.pop(name) for name in names], time.monotonic() + seconds)

    def mend(self) -> None:
        """Bring back what ended by itself, after a pause that doubles from fall to fall; returns at once."""
        for running in self._running.values():
            self._mend(running)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Nothing runs any more: each tier was asked, and killed when its share of the time was over."""
        deadline = time.monotonic() + seconds
        for tier in range(self._tiers, 0, -1):
            members = [running for running in self._running.values() if running.tier == tier]
            self._end(members, deadline - TIER_SECONDS * (tier - 1))
        self._running.clear()
        self._watchdog.close()

    def _launch(self, part: Part) -> Process:
        try:
            process = self._start(part, self._log(part))
        except OSError as error:
            raise Failed(f"{part.name} cannot be started: {error}") from error
        self._watchdog.hold(process.pid, part.orphan_signal)
        (self._pids / f"{part.name}.pid").write_text(f"{process.pid}\n")
        return process

    def _again(self, running: Running) -> None:
        running.process = self._launch(running.part)
        running.since, running.ready, running.again_at = time.monotonic(), False, None

    def _mend(self, running: Running) -> None:
        now = time.monotonic()
        if not running.wanted:
            return
        if running.again_at is not None:
            if now >= running.again_at:
                self._again(running)
        elif (code := running.process.poll()) is not None:
            self._fell(running, code)
        elif not running.ready and running.part.ready(running.process.pid):
            running.ready = True
            self._tell(f"{running.part.name} is back")

    def _fell(self, running: Running, code: int) -> None:
        name, now = running.part.name, time.monotonic()
        self._watchdog.release(running.process.pid)
        if running.ready and now - running.since > STEADY_SECONDS:
            running.falls = 0
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**running.falls)
        running.falls, running.again_at = running.falls + 1, now + pause
        self._tell(f"{name} ended ({_ending(code)}); starting it again in {pause:g} s; see {self._log(running.part)}")

    def _await(self, started: Iterable[Running], seconds: float) -> None:
        """Every one is ready. Raises Failed with the last words of the one that ended or took too long."""
        deadline = time.monotonic() + seconds
        waiting = list(started)
        while waiting:
            for running in list(waiting):
                part, code = running.part, running.process.poll()
                if code is not None:
                    raise Failed(f"{part.name} ended ({_ending(code)}) before it was ready: {self._why(part)}")
                if time.monotonic() > deadline:
                    raise Failed(f"{part.name} was not ready within {seconds:g} s: {self._why(part)}")
                if part.ready(running.process.pid):
                    running.ready = True
                    waiting.remove(running)
            if waiting:
                time.sleep(LOOK_SECONDS)

    def _end(self, members: list[Running], deadline: float, number: int | None = None) -> None:
        for running in members:
            running.process.send_signal(running.part.stop_signal if number is None else number)
        for running in members:
            try:
                running.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._tell(f"{running.part.name} did not stop in time: killed")
                running.process.kill()
                running.process.wait()
            self._watchdog.release(running.process.pid)
            with suppress(OSError):
                (self._pids / f"{running.part.name}.pid").unlink()

    def _log(self, part: Part) -> Path:
        return self._logs / f"{part.name}.log"

    def _why(self, part: Part) -> str:
        """Answer the last line of its log, and where to read on."""
        lines = self._log(part).read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{last[:WHY_SIGNS]} (see {self._log(part)})"


def _ending(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
