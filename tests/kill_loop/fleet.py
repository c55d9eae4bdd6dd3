"""Two replicas of every service, their servers and the mail world, as processes that are hit and come back."""

import http.client
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from outrider.events.bus import declare
from outrider.events.database import migrate
from outrider.local import nats, postgres
from outrider.local.errors import Failed
from outrider.local.home import Home, Ports
from outrider.local.keys import Keys
from outrider.local.machine import Machine
from outrider.local.operating import Place
from outrider.local.rebuild import PROJECTIONS
from outrider.local.services import Site
from outrider.local.serving import Part
from outrider.local.splitting import split
from tests.kill_loop.script import SETTLE_SECONDS, Blow, Script
from tests.support import nursery
from tests.support.system import MAILING

POSTGRES = ("max_connections=400", "jit=off")  # all else as Postgres has it: every commit is on the disk
REPLICAS = 2
LOOK_SECONDS = 0.5
READERS = (*PROJECTIONS, "dispatcher.todos.v1", "sender.settling.v1")
SETTINGS = {"OUTRIDER_SETTLE_SECONDS": f"{SETTLE_SECONDS:g}", "OUTRIDER_IMAP_POLL_SECONDS": "2"}


@dataclass
class Struck:
    """A blow as it really fell."""

    blow: Blow
    began: datetime
    ended: datetime | None = None
    """When it was started again, or went on."""

    def within(self, since: datetime, until: datetime) -> bool:
        """Whether it fell, or lasted, between these."""
        return self.began <= until and (self.ended is None or self.ended >= since)


@dataclass(frozen=True)
class Leaving:
    """Who was asked to end."""

    names: Sequence[str]
    began: datetime
    asked_at: float
    """In the time of `time.monotonic`."""


class Fleet:
    """Every process. Use it from the main thread only."""

    def __init__(
        self,
        path: Path,
        script: Script,
        services: Sequence[str] = MAILING,
        settings: Mapping[str, str] | None = None,
        most: int = REPLICAS,
    ) -> None:
        """Nothing runs yet. Of each of these services there may be replicas up to the number `most`."""
        self.home = Home(path)
        self.home.prepare()
        self.keys, self.ports = Keys.fresh(), Ports(path / "ports.json", usual=False)
        self.said: list[str] = []
        self.machine = Machine(self.home.logs, self.home.pids, self.said.append, nursery.start)
        database, database_url = postgres.part(path / "postgres", self.ports, *POSTGRES)
        bus, nats_url = nats.part(path / "nats", self.ports)
        self._servers = (database, bus)
        self.site = Site(
            database_url=database_url,
            nats_url=nats_url,
            keys=self.keys,
            ports=self.ports,
            sandbox_home=path / "sandbox",
            settings=SETTINGS | dict(settings or {}),
            clock=script.clock,
        )
        self.services, self._most = services, most
        self.parts: dict[str, Part] = {}
        """Every replica that there may be."""
        self.struck: list[Struck] = []
        self.health: dict[str, str] = {}
        """By service: where it says what keeps it from being ready."""
        self._down: list[tuple[float, Struck, list[int]]] = []

    @property
    def gateways(self) -> list[str]:
        """Of the HTTP API."""
        return [self.url(number) for number in range(1, REPLICAS + 1)]

    def url(self, number: int) -> str:
        """Of this replica of the api."""
        return f"http://127.0.0.1:{self.ports[replica('api', number)]}"

    async def start(self) -> None:
        """Everything runs and is ready. Raises Failed."""
        self.machine.start(*self._servers)
        await migrate(self.site.database_url, self.keys.passwords, self.site.clock)
        await declare(self.site.nats_url)
        self.machine.start(self.site.sandbox())
        self.parts = {part.name: _impatient(part) for part in self.site.services(self.services, self._most)}
        self._begin(replica(service, number) for service in self.services for number in range(1, REPLICAS + 1))

    def _begin(self, names: Iterable[str]) -> None:
        parts = [self.parts[name] for name in names]
        self.health |= {
            part.name: f"http://{part.environment['OUTRIDER_HEALTH_LISTEN']}/health/ready" for part in parts
        }
        self.machine.start(*parts)

    def surge(self, number: int, services: Sequence[str] = ()) -> None:
        """Replicas of this number run beside the others and are ready. Raises Failed."""
        self._begin(replica(service, number) for service in services or self.services)

    def retire(self, number: int, services: Sequence[str] = ()) -> "Leaving":
        """Replicas of this number were asked to end, all at once; see `gone`."""
        names = [replica(service, number) for service in services or self.services]
        for name in names:
            del self.health[name]
        leaving = Leaving(names, datetime.now(UTC), time.monotonic())
        _signal([self.machine.pid(name) for name in names], signal.SIGTERM)
        return leaving

    def gone(self, leaving: "Leaving", grace_seconds: float) -> None:
        """They have ended; those that still ran after the grace were killed."""
        left = leaving.asked_at + grace_seconds - time.monotonic()
        self.machine.drop(*leaving.names, seconds=max(0.0, left))
        ended = datetime.now(UTC)
        self.struck += [
            Struck(Blow(0, "kill", name.partition("-")[0], 0), leaving.began, ended) for name in leaving.names
        ]

    async def split_readers(self, ranges: int) -> None:
        """Each reader reads in so many ranges of shards, those of to-dos too."""
        place = Place(self.home, self.site.database_url, self.site.url, "")
        for name in READERS:
            await split(place, name, ranges)

    def strike(self, blow: Blow) -> None:
        """It is hit; `tend` brings it back."""
        struck, stopped = Struck(blow, datetime.now(UTC)), list[int]()
        if blow.kind == "kill":
            self.machine.kill(blow.victim)
        else:
            stopped = _family(self.machine.pid(blow.victim))
            _signal(stopped, signal.SIGSTOP)
        self.struck.append(struck)
        self._down.append((time.monotonic() + blow.seconds, struck, stopped))

    def tend(self, *, everybody: bool = False) -> None:
        """Whoever's time is over (or everybody) is back; what ended by itself is started again."""
        for one in list(self._down):
            due, struck, stopped = one
            if everybody or due <= time.monotonic():
                if stopped:
                    _signal(stopped, signal.SIGCONT)
                else:
                    self.machine.begin(struck.blow.victim)
                struck.ended = datetime.now(UTC)
                self._down.remove(one)
        self.machine.mend()

    def down(self) -> list[str]:
        """Who is killed or stopped at the moment."""
        return [f"{struck.blow.victim} {struck.blow.kind}" for _, struck, _ in self._down]

    def stop_services(self) -> None:
        """Only the servers run."""
        for name in [*self.health, "sandbox"]:
            self.machine.kill(name)

    def stop(self) -> None:
        """Nothing runs any more."""
        for _, _, stopped in self._down:
            _signal(stopped, signal.SIGCONT)
        self.machine.stop()

    def why(self) -> str:
        """What the machine said last."""
        return "; ".join(self.said[-5:])


def replica(service: str, number: int) -> str:
    """Answer its name, as `Site.services` has it."""
    return service if number == 1 else f"{service}-{number}"


def _impatient(part: Part) -> Part:
    """Ask it whether it is ready with half a second's patience: meanwhile nobody else is tended."""
    port = int(part.environment["OUTRIDER_HEALTH_LISTEN"].rpartition(":")[2])
    return replace(part, ready=_answers(port))


def _answers(port: int) -> Callable[[int], bool]:
    def ready(_: int) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LOOK_SECONDS)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ready


def _family(pid: int) -> list[int]:
    """Answer it and its children: a stopped postmaster alone would be noticed by nobody."""
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]
    return [pid]


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


__all__ = ["Failed", "Fleet", "Struck", "replica"]
