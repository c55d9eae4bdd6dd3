"""One run: start, hit, wait until everything is settled, check."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from rich.console import Console

from tests.kill_loop import checks, rebuild, record, recount
from tests.kill_loop.fleet import Fleet
from tests.kill_loop.script import Blow, Hold, Script
from tests.kill_loop.settling import Settling
from tests.kill_loop.tenants import Refused, Tenants
from tests.kill_loop.view import View
from tests.support.run_folder import run_folder

LOOK_SECONDS = 0.2
STANDSTILL_SECONDS = 180.0
"""So long what is left may stay what it is."""
SETTLE_SECONDS = 3600.0
"""So long all of it may take, however busy the machine is."""
COUNTED = ("doubled", "lost", "over_limit", "after_pause", "rebuild_differs")
"""What the last line counts; whatever else was broken is said above it."""
RANGES = 2
"""Each reader is split into so many: replicas apply events side by side."""


@dataclass
class Verdict:
    """What came of it."""

    script: Script
    kills: int = 0
    sends: int = 0
    unknown: int = 0
    broken: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    seconds: float = 0.0

    @property
    def problems(self) -> list[str]:
        """Every sentence about something that was broken."""
        return [f"{name}: {problem}" for name, found in self.broken.items() for problem in found]

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return bool(self.kills == len(self.script.blows) and self.sends) and not self.problems

    def figures(self) -> dict[str, object]:
        """Answer what the last line says."""
        count = {name: len(self.broken.get(name, [])) for name in COUNTED}
        figures: dict[str, object] = {"kills": self.kills, "sends": self.sends}
        figures |= {"doubled": count["doubled"], "lost": count["lost"], "unknown": self.unknown}
        figures |= {name: count[name] for name in COUNTED[2:]}
        return {**figures, "seed": self.script.seed}


async def run(script: Script, console: Console, *, keep: bool = False) -> Verdict:
    """Answer the verdict; data and logs stay where something was broken, and the console says where."""
    began, verdict = time.monotonic(), Verdict(script)
    with run_folder("kill-loop", console, lambda: verdict.kept and not keep) as path, ExitStack() as stack:
        fleet = Fleet(path, script)
        stack.callback(fleet.stop)
        await _Run(fleet, script, verdict, View(console, script, fleet)).go()
    verdict.seconds = time.monotonic() - began
    return verdict


@dataclass
class _Run:
    fleet: Fleet
    script: Script
    verdict: Verdict
    view: View

    async def go(self) -> None:
        """Everything happened, and the verdict says what came of it."""
        self.view.say(f"starting two of every service; the clock is {self.script.clock}")
        await self.fleet.start()
        tenants = Tenants(self.fleet, self.script)
        try:
            await tenants.prepare()
            await self.fleet.split_readers(RANGES)
            self.view.say(f"{len(tenants.campaigns)} campaigns run, {self.script.daily_limit} a day and credential")
            with self.view.live():
                if await self._everything(tenants):
                    await self._check(tenants)
        finally:
            await tenants.web.aclose()
        if tenants.wrongs:
            self.verdict.broken["answers"] = tenants.wrongs

    async def _everything(self, tenants: Tenants) -> bool:
        """Blows and calls are over, and everything is settled; False where that was waited for in vain."""
        began = time.monotonic()
        calls = asyncio.create_task(self._calls(tenants, began))
        blows = list(self.script.blows)
        while blows or self.fleet.down():
            if blows and blows[0].at <= time.monotonic() - began:
                self._strike(blows.pop(0))
            await self._tend("blows")
        try:
            while not calls.done():
                await self._tend("the last calls")
            await calls
        except Refused as refused:
            self.verdict.broken["lost"] = [str(refused)]
            return False
        return await self._settled()

    def _strike(self, blow: Blow) -> None:
        self.view.said(f"{blow.kind} {blow.victim} for {blow.seconds:g} s")
        self.fleet.strike(blow)
        self.verdict.kills += 1

    async def _tend(self, doing: str) -> None:
        self.fleet.tend()
        self.view.show(doing)
        await asyncio.sleep(LOOK_SECONDS / 4)

    async def _calls(self, tenants: Tenants, began: float) -> None:
        """Batches are dispatched, campaigns paused and resumed; in the end none is paused."""

        async def hold(hold: Hold) -> None:
            await asyncio.sleep(max(0.0, hold.at - (time.monotonic() - began)))
            await tenants.hold(hold)

        await asyncio.gather(tenants.dispatch_all(), *(hold(one) for one in self.script.holds))
        for campaign in tenants.campaigns:
            await tenants.resume(campaign)

    async def _settled(self) -> bool:
        """Whether nothing is left to do anywhere."""
        settling = Settling(self.fleet)
        began = moved = time.monotonic()
        looking: asyncio.Task[Sequence[str]] | None = None
        left: Sequence[str] = ()
        while time.monotonic() < min(began + SETTLE_SECONDS, moved + STANDSTILL_SECONDS):
            if looking is None:
                looking = asyncio.create_task(settling.left())
            elif looking.done():
                before, left, looking = left, looking.result(), None
                if not left:
                    return True
                moved = time.monotonic() if left != before else moved
            await self._tend(f"settling: {', '.join(left)}"[:150])
        self.verdict.broken["stuck"] = [*left, *self.fleet.said[-10:]]
        await self._check_records()
        return False

    async def _check(self, tenants: Tenants) -> None:
        """Nothing moves: the records are read, the pages shown, the projections rebuilt."""
        pages = await tenants.statistics()
        log = await self._check_records()
        self.verdict.broken["statistics"] = list(recount.differences(log, pages))
        self.view.show("rebuilding every projection")
        self.fleet.stop_services()
        self.verdict.broken["rebuild_differs"] = await rebuild.differing(
            self.fleet.site.database_url, self.script.clock
        )

    async def _check_records(self) -> checks.Log:
        """Answer the log, held against the mail server's record."""
        sink = record.sink(self.fleet.site.sandbox_home, self.fleet.keys.hash_key)
        log = await record.log(self.fleet.site.database_url)
        self.verdict.sends = len(sink.letters)
        self.verdict.unknown = len(checks.unknown(log))
        self.verdict.broken |= {
            "doubled": list(checks.doubled(log, sink)),
            "lost": list(checks.lost(log, sink)),
            "unexplained": list(checks.unexplained(log, self.fleet.struck)),
            "over_limit": list(checks.over_limit(log, sink)),
            "after_pause": list(checks.after_pause(log)),
        }
        return log
