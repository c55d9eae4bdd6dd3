"""A service: pools, bus, readers, to-dos and health, started together and stopped in order."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Self

import uvloop

from outrider.events.bus import Bus
from outrider.events.clock import Clock, read_clock
from outrider.events.commands import Commands
from outrider.events.database import Pool, connect, heed_cancellation, passing
from outrider.events.drain import Drain
from outrider.events.errors import Unavailable
from outrider.events.figures import Gauging
from outrider.events.health import HealthServer
from outrider.events.log import Log
from outrider.events.lookout import Lookout
from outrider.events.projector import Projection, Reader
from outrider.events.readiness import Readiness
from outrider.events.settings import BadSettings, Settings
from outrider.events.telemetry import configure, logger
from outrider.events.tracing import exported

__all__ = ["BadSettings", "Service", "Settings", "main"]
STOP_SECONDS = 12.0
"""At most so long what is in flight may take to end when the process is asked to stop."""
ALL_STEPS_SECONDS: Final = 24.0
"""For all steps of stopping together: Kubernetes kills a process that is asked to stop after its grace."""
LEAST_STEP_SECONDS: Final = 1.0
"""For each of those that come when that time is over."""
CLOSE_SECONDS: Final = 3.0
EXPORT_SECONDS: Final = 2.0
"""For the spans of the last seconds; a collector that does not answer is not waited for any longer."""
YOUNG: Final = 5_000
"""So many new objects, net, are looked through for garbage; Python's 700 are fewer than one page of rows."""
LOG_CONNECTIONS: Final = 12
TABLE_CONNECTIONS: Final = 8
WORK_CONNECTIONS: Final = 6
"""A process has at most so many connections to Postgres, and few of them when little is to be done."""
Loop = Callable[[], Awaitable[None]]
CANCELLATIONS, CANCEL_SECONDS = 6, 0.5
LOOK_SECONDS = 1.0
_log = logger(__name__)


class Service:
    """One process: what it is connected to, and the loops that run until it is asked to stop."""

    def __init__(self, name: str, settings: Settings, member: str = "") -> None:
        """`name` is the process's, `member` whose schemas it has (`member` and `member_work`), if not its own."""
        self.name = name
        self._member = member or name
        self.settings = settings
        self.readers: list[Reader] = []
        self.drains: list[Drain] = []
        self.loops: list[Loop] = []
        self.figures: list[Loop] = []
        """Each sets gauges of the service's own; called when somebody asks for metrics, at most every 10 s."""
        self.stopping: list[Loop] = []
        """Called first when the process is asked to stop, in order: claim nothing new."""
        self.log_pool: Pool
        self.tables: Pool
        self.work: Pool
        self.clock: Clock
        self.log: Log
        self.commands: Commands
        self.bus: Bus
        self.readiness: Readiness
        self.lookout: Lookout
        self.stop = asyncio.Event()
        self._broken: list[str] = []
        """Loops that ended; each is a bug."""

    async def open(self) -> Self:
        """Connected to Postgres; nothing runs yet. Raises Unavailable, LookupError where `migrate` has not run."""
        settings = self.settings
        self.log_pool = await connect(settings.log_url, "log", name=f"outrider-{self.name}-log", size=LOG_CONNECTIONS)
        name = f"outrider-{self.name}"
        self.tables = await connect(settings.database_url, self._member, name=name, size=TABLE_CONNECTIONS)
        work = f"{self._member}_work"
        self.work = await connect(settings.database_url, work, name=f"{name}-work", size=WORK_CONNECTIONS)
        self.clock = await read_clock(self.log_pool)
        self.log = Log(self.log_pool, self.clock)
        self.commands = Commands(self.log_pool, self.clock)
        self.bus = Bus(settings.nats_url, self.commands, f"outrider-{self.name}")
        self.lookout = Lookout(self.drains, self.work, self.clock)
        self.log.rung = self.bus.ring
        self.readiness = Readiness(self.log, self.log_pool, self.clock, self.readers, settings.start_lag_seconds)
        return self

    def read(self, projection: Projection, *, work: bool = False) -> Reader:
        """Keep these tables up to date while the service runs; `work`: they are to-dos, not projections."""
        reader = Reader(projection, self.log, self.work if work else self.tables)
        self.bus.on_ring(reader.ring)
        self.readers.append(reader)
        return reader

    def drain(self, drain: Drain, *readers: Reader) -> Drain:
        """Carry out this kind of to-do while the service runs; woken whenever one of `readers` moved."""
        wake = drain.ring if drain.looks_itself else self.lookout.ring
        for reader in readers:
            if wake not in reader.then:  # one look for all kinds that it fills
                reader.then.append(wake)
        self.drains.append(drain)
        return drain

    async def run(self) -> None:
        """Run until `stop` is set; everything is stopped in order when it returns.

        A reader or loop that fails is shown by health, and what does not depend on it goes on. Raises Unavailable where
        the bus has no streams.
        """
        gauging = Gauging(self.log, self.work, self.clock, self.readers, self.drains, self.figures)
        health = HealthServer(self.settings.health_listen, self.trouble, gauging.measure, self.stop.is_set)
        await health.start()
        loops: list[Loop] = [
            *(reader.follow for reader in self.readers),
            *(drain.follow for drain in self.drains),
            self.lookout.follow,
            *self.loops,
            self.bus.watch,
        ]
        tasks: list[asyncio.Task[None]] = []
        try:
            if await self._started():
                tasks += [asyncio.create_task(self._kept_up(loop), name=_name(loop)) for loop in loops]
                await self.stop.wait()
        finally:
            _log.info("service.stopping")
            await _all_ended([*self.stopping, self.bus.stop])
            await _cancelled(tasks)
            await health.stop()
            await self.close()
            await exported(EXPORT_SECONDS)
            _log.info("service.stopped")

    async def _started(self) -> bool:
        """Whether everything it needs is there: False where the process was asked to stop while it waited."""
        starting = asyncio.create_task(self._begin(), name="begin")
        stopping = asyncio.create_task(self.stop.wait(), name="stop")
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            starting.result()
            return True
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return False

    async def _begin(self) -> None:
        """The bus carries, and the database has what this build knows: readers would stop at what is missing."""
        said = ""
        while trouble := await self.readiness.older():
            if trouble != said:
                _log.warning("service.waits", trouble=trouble)
            said = trouble
            await asyncio.sleep(LOOK_SECONDS)
        await self.bus.start()

    async def close(self) -> None:
        """Disconnected from Postgres."""
        await asyncio.gather(*(_closed(pool) for pool in (self.tables, self.work, self.log_pool)))

    async def trouble(self) -> Sequence[str]:
        """What keeps it from being ready, one sentence each. Nothing is asked of anybody once it is stopping."""
        if self.stop.is_set():
            return ["this process was asked to stop"]
        found = [reader.trouble for reader in self.readers if reader.failed is not None]
        found += [
            f"to-dos {drain.kind} are stuck: {type(drain.failed).__name__}"
            for drain in self.drains
            if drain.failed is not None
        ]
        if self.lookout.failed is not None:
            found.append(f"to-dos are not looked for: {type(self.lookout.failed).__name__}")
        return [*found, *self._broken, *await self.readiness.trouble(), *await self.bus.trouble()]

    async def _kept_up(self, loop: Loop) -> None:
        """The loop has ended, which is a bug: health shows it, the others go on. A lost server is waited for."""
        while True:
            try:
                return await loop()
            except Exception as error:  # noqa: BLE001  # whatever it is, health shows it
                heed_cancellation()
                if not passing(error):
                    _log.exception("loop.failed", loop=_name(loop))
                    self._broken.append(f"{_name(loop)} ended: {type(error).__name__}")
                    return None
                _log.warning("loop.waits", loop=_name(loop), error=repr(error)[:300])
            await asyncio.sleep(1)


def _name(loop: Loop) -> str:
    return getattr(loop, "__qualname__", repr(loop))


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    """The loops have ended, or do not want to. Asked more than once: a driver may swallow a cancellation."""
    left = set(tasks)
    for _ in range(CANCELLATIONS):
        for task in left:
            task.cancel()
        if not left:
            return
        _, left = await asyncio.wait(left, timeout=CANCEL_SECONDS)
    _log.error("service.loops_left", loops=[task.get_name() for task in left])


async def _all_ended(steps: Sequence[Loop]) -> None:
    """Each step of stopping is done in turn, or given up: the steps after it matter more."""
    loop = asyncio.get_running_loop()
    until = loop.time() + ALL_STEPS_SECONDS
    for end in steps:
        left = max(LEAST_STEP_SECONDS, until - loop.time())
        try:
            async with asyncio.timeout(min(STOP_SECONDS, left)):
                await end()
        except Exception:  # noqa: BLE001  # the process ends anyway
            _log.exception("service.stops_anyway", step=_name(end))


async def _closed(pool: Pool) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except TimeoutError:
        pool.terminate()


def main(name: str, build: Callable[[Service], Awaitable[None]], member: str = "") -> None:
    """Run a service, or one process of it, as a process: configured by the environment, stopped by SIGTERM or SIGINT.

    Exits with 1 and one line on standard error where it cannot be configured or a server it needs does not answer.
    """
    try:
        settings = Settings.from_env()
    except BadSettings as error:
        raise SystemExit(f"{name}: {error}") from None
    configure(name, settings.log_level)
    uvloop.run(_main(Service(name, settings, member), build))


async def _main(service: Service, build: Callable[[Service], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop.set)
    try:
        await service.open()
        await build(service)
        _collect_less()
        await service.run()
    except (Unavailable, LookupError) as error:
        raise SystemExit(f"{service.name}: {error}") from None


def _collect_less() -> None:
    """What was loaded until now is never looked through for garbage again: it stays as long as the process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
