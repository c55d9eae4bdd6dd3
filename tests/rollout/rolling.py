"""An upgrade as the chart plays it, on one machine: every replica of every service replaced, while all of it is used.

A Deployment of the chart has `maxSurge: 1, maxUnavailable: 0`: a new pod first, then, when it is ready, SIGTERM for an
old one, and SIGKILL for whoever is still there after the grace. All Deployments are rolled at the same time, and the
next round begins while the old ones of this one end. So each round here starts one more replica of all six, waits until
they are ready, and asks six old ones to end.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final

from rich.console import Console

from outrider.local.services import SERVICES
from tests.kill_loop import checks, record, recount
from tests.kill_loop.fleet import REPLICAS, Fleet, Leaving, replica
from tests.kill_loop.loop import STANDSTILL_SECONDS
from tests.kill_loop.script import Script
from tests.kill_loop.settling import QUIET, Settling
from tests.kill_loop.tenants import Caller, Tenants
from tests.rollout.balancer import LINGER_SECONDS, URL, Gateway
from tests.rollout.crowd import Crowd, Visitor
from tests.rollout.hanging import Hanging
from tests.rollout.hearers import Hearers
from tests.support.run_folder import run_folder

GRACE_SECONDS: Final = 45.0
"""As in the chart."""
SHORT_SECONDS: Final = 1.0
"""Less than a conversation of SMTP is given to end."""
BLOWS: Final = 6
"""Of a kill loop that would take as long as one roll-out: its script is used, without them."""
LOOK_SECONDS: Final = 0.3
VISITORS: Final = 4


@dataclass(frozen=True)
class Ordeal:
    """What is to happen."""

    sends: int
    rollouts: int
    seed: int

    @property
    def script(self) -> Script:
        """Answer who is written to, and when."""
        return replace(Script.of(self.seed, BLOWS * self.rollouts, self.sends), blows=(), holds=())


@dataclass
class Verdict:
    """What came of it."""

    replaced: int = 0
    killed: Sequence[str] = ()
    """Who was still there after the grace of the chart."""
    sends: int = 0
    unknown: int = 0
    answers: int = 0
    parting: int = 0
    late: int = 0
    hung: Sequence[str] = ()
    """How the letter whose sender was killed is listed."""
    broken: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    seconds: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether mail went out, and nothing was broken."""
        return bool(self.sends) and not self.problems

    @property
    def problems(self) -> list[str]:
        """Every sentence about something that was broken."""
        return [f"{name}: {problem}" for name, found in self.broken.items() for problem in found]

    def figures(self) -> dict[str, object]:
        """Answer what the last line says."""
        counts = {name: len(self.broken.get(name, [])) for name in ("refused", "lost", "doubled", "over_limit")}
        shown = ("replaced", "sends", "answers", "parting", "late", "unknown")
        return {**{name: getattr(self, name) for name in shown}, **counts, "seconds": round(self.seconds)}


async def run(ordeal: Ordeal, console: Console) -> Verdict:
    """Answer the verdict; data and logs stay where something was broken, and the console says where."""
    verdict, began = Verdict(), time.monotonic()
    with run_folder("rollout", console, lambda: verdict.whole) as path, ExitStack() as stack:
        most = REPLICAS * (ordeal.rollouts + 1) + REPLICAS
        fleet = Fleet(path, ordeal.script, SERVICES, {"OUTRIDER_LINGER_SECONDS": f"{LINGER_SECONDS:g}"}, most)
        stack.callback(fleet.stop)
        await fleet.start()
        await _Run(fleet, stack.enter_context(Crowd()), ordeal, verdict, console, began).go()
        fleet.stop_services()  # all is counted: nobody need end in order
    verdict.seconds = time.monotonic() - began
    return verdict


@dataclass
class _Run:
    fleet: Fleet
    crowd: Crowd
    ordeal: Ordeal
    verdict: Verdict
    console: Console
    began: float

    async def go(self) -> None:
        """Everything happened, and the verdict says what came of it."""
        for number in range(1, REPLICAS + 1):
            self._behind_the_balancer(number)
        await self.crowd.do(self.crowd.gateways.all_ready())
        tenants = Tenants(self.fleet, self.ordeal.script, web=self.crowd.client(), gateways=[URL])
        await self.crowd.do(tenants.prepare())
        keys = [(await self.crowd.do(tenants.opened(f"Visitor {number}"))).key for number in range(VISITORS)]
        visitors = [Visitor(self.crowd, key, pinned=bool(number % 2)) for number, key in enumerate(keys)]
        log = await record.log(self.fleet.site.database_url)
        hearers = await Hearers.listening(self.fleet, self.crowd, tenants.campaigns[0], log)
        self._say("everything runs and is used")
        begun = [self.crowd.begin(work) for work in (tenants.dispatch_all(), *(one.visit() for one in visitors))]
        self._roll(range(1, REPLICAS * self.ordeal.rollouts + 1), GRACE_SECONDS, SERVICES)
        self.verdict.killed = [said for said in self.fleet.said if said.endswith("killed")]
        for visitor in visitors:
            visitor.enough = True
        for work in begun:
            await asyncio.wrap_future(work)
        await self._settled(at_rest=False)
        await self._cut_short(await self.crowd.do(tenants.opened("Hanging")))
        await self._check(tenants, visitors, hearers)

    async def _cut_short(self, caller: Caller) -> None:
        """Senders are given less time than the conversation takes that one of them is in."""
        hanging = await self.crowd.do(Hanging.begun(self.crowd, caller))
        rolled = REPLICAS * self.ordeal.rollouts
        self._roll(range(rolled + 1, rolled + REPLICAS + 1), SHORT_SECONDS, ["sender"])
        await self._settled()
        self.verdict.hung = [str(one["state"]) for one in await self.crowd.do(hanging.listed())]
        if hanging.dots() != 1:
            self.verdict.broken["hanging"] = [f"the letter was sent {hanging.dots()} times"]

    def _roll(self, numbers: Sequence[int], grace_seconds: float, services: Sequence[str]) -> None:
        """For each of these the next one is ready, and it has ended."""
        leaving: Leaving | None = None
        for number in numbers:
            self.fleet.surge(number + REPLICAS, services)
            if leaving:
                self.fleet.gone(leaving, grace_seconds)
            if "api" in services:
                self._behind_the_balancer(number + REPLICAS)
                url = self.fleet.url(number)
                (gateway,) = [one for one in self.crowd.gateways.members if one.url == url]
                gateway.asked_at = time.monotonic()
            leaving = self.fleet.retire(number, services)
            self._say(f"number {number} of {', '.join(services)} was asked to end")
        if leaving:
            self.fleet.gone(leaving, grace_seconds)
            self._say("all of them have ended")
        self.verdict.replaced += len(numbers) * len(services)

    def _behind_the_balancer(self, number: int) -> None:
        url, health = self.fleet.url(number), self.fleet.health[replica("api", number)]
        self.crowd.gateways.members.append(Gateway(url, health))

    async def _settled(self, *, at_rest: bool = True) -> None:
        """Nothing is left to do anywhere; `at_rest`: for a while. Raises TimeoutError where nothing moves any more."""
        left: Sequence[str] = ["all of it"]
        moved = time.monotonic()
        while left and (at_rest or left != [QUIET]):
            before, left = left, await Settling(self.fleet).left()
            moved = time.monotonic() if left != before else moved
            if time.monotonic() > moved + STANDSTILL_SECONDS:
                raise TimeoutError("; ".join(left))
            await asyncio.sleep(LOOK_SECONDS)
        self._say("nothing is left to do")

    async def _check(self, tenants: Tenants, visitors: Sequence[Visitor], hearers: Hearers) -> None:
        """The records are read, and what everybody was told is held against them."""
        sink = record.sink(self.fleet.site.sandbox_home, self.fleet.keys.hash_key)
        log = await record.log(self.fleet.site.database_url)
        gateways, verdict = self.crowd.gateways, self.verdict
        verdict.sends, verdict.unknown = len(sink.letters), len(checks.unknown(log))
        verdict.answers, verdict.parting, verdict.late = gateways.answers, gateways.parting, gateways.late
        heard = await hearers.end(log)
        self._say("everything was heard")
        keys = [wrong for one in visitors for wrong in await self.crowd.do(one.differences())]
        pages = await self.crowd.do(tenants.statistics())
        await self.crowd.do(tenants.web.aclose())
        verdict.broken |= {
            "refused": gateways.broken,
            "answers": tenants.wrongs,
            "doubled": list(checks.doubled(log, sink)),
            "lost": list(checks.lost(log, sink)),
            "unexplained": list(checks.unexplained(log, self.fleet.struck)),
            "over_limit": list(checks.over_limit(log, sink)),
            "statistics": list(recount.differences(log, pages)),
            "keys": keys,
            "ways out": list(heard),
        }

    def _say(self, line: str) -> None:
        self.console.print(f"{time.monotonic() - self.began:5.0f} s  {line}", markup=False)
