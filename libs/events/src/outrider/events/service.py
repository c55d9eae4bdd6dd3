"""A service: settings, pools, bus, readers, to-dos and health, started together and stopped in order."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import uvloop

from outrider.events.bus import Bus
from outrider.events.clock import Clock, read_clock
from outrider.events.commands import Commands
from outrider.events.database import DISCONNECTED, Pool, connect
from outrider.events.errors import Unavailable
from outrider.events.health import HealthServer
from outrider.events.log import Log
from outrider.events.projector import Projection, Reader
from outrider.events.telemetry import configure, logger
from outrider.events.todo import Drain

STOP_SECONDS = 12.0
_log = logger(__name__)


class BadSettings(ValueError):
    """The environment does not configure this service; the message names every variable that is wrong."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every service is configured with, from OUTRIDER_* variables alone."""

    database_url: str = field(repr=False)
    """This service's own login role."""
    log_url: str = field(repr=False)
    """The database of the log; the same one unless OUTRIDER_LOG_URL says otherwise."""
    nats_url: str = field(repr=False)
    health_listen: str
    """host:port of /health and /metrics; never reachable from outside."""
    hash_key: str = field(repr=False)
    """base64url of 32 bytes: the master of every keyed hash (addresses, Message-IDs, tracking links)."""
    hash_keys_old: tuple[str, ...] = field(repr=False, default=())
    """Former masters, by comma: what they signed still verifies."""
    seal_public_key: str = field(repr=False, default="")
    seal_private_key: str = field(repr=False, default="")
    """Only the sender and the reply-watcher have it."""
    operator_token: str = field(repr=False, default="")
    listen: str = "127.0.0.1:8080"
    public_url: str = "http://127.0.0.1:8080"
    """Base of the links that go into mails."""
    allow_insecure_hosts: bool = False
    """Loopback and private mail hosts and unencrypted SMTP or IMAP are accepted: one machine and tests only."""
    dns: str = ""
    """host:port of the resolver; empty: the system's."""
    rate_limit_per_minute: int = 600
    imap_poll_seconds: float = 90.0
    settle_seconds: float = 900.0
    """Real seconds after which a started delivery without an outcome is unknown."""
    trust_ca: str = ""
    """A file of further certification authorities for SMTP and IMAP."""
    log_level: str = "INFO"

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read and validate. Raises BadSettings that names everything wrong at once, an unknown OUTRIDER_* included."""
        given = {
            name.removeprefix("OUTRIDER_").lower(): value
            for name, value in (os.environ if environment is None else environment).items()
            if name.startswith("OUTRIDER_") and not name.startswith("OUTRIDER_ROLE_")
        }
        wrong = [f"OUTRIDER_{name.upper()} is unknown" for name in sorted(given.keys() - _KNOWN - _OTHERS)]
        wrong += [f"OUTRIDER_{name.upper()} is missing" for name in sorted(_REQUIRED - given.keys())]
        values: dict[str, Any] = {"log_url": given.get("database_url", "")}
        for name in sorted(given.keys() & _KNOWN):
            try:
                values[name] = _READ.get(name, str)(given[name])
            except ValueError:
                wrong.append(f"OUTRIDER_{name.upper()} has a value that cannot be read")
        if wrong:
            raise BadSettings("; ".join(wrong))
        return cls(**values)


def _flag(text: str) -> bool:
    return {"1": True, "true": True, "0": False, "false": False, "": False}[text.lower()]


def _read_flag(text: str) -> bool:
    try:
        return _flag(text)
    except KeyError as error:
        raise ValueError(text) from error


_READ: Mapping[str, Callable[[str], Any]] = {
    "allow_insecure_hosts": _read_flag,
    "rate_limit_per_minute": int,
    "imap_poll_seconds": float,
    "settle_seconds": float,
    "hash_keys_old": lambda text: tuple(part for part in text.split(",") if part),
}
_KNOWN = frozenset(Settings.__dataclass_fields__)
_REQUIRED = frozenset({"database_url", "nats_url", "health_listen", "hash_key"})
_OTHERS = frozenset({"home", "clock", "url", "api_key", "smtp_port", "imap_port", "sandbox_url", "sandbox_home"}) | {
    "sandbox_control_port", "pg_bin", "nats_server", "account_id",
}  # fmt: skip
"""Variables of the runner and its sandbox, which services share an environment with."""


class Service:
    """One process: what it is connected to, and the loops that run until it is asked to stop."""

    def __init__(self, name: str, settings: Settings) -> None:
        """`name` is the member's: its schemas are `name` and `name_work`."""
        self.name = name
        self.settings = settings
        self.readers: list[Reader] = []
        self.drains: list[Drain] = []
        self.loops: list[Callable[[], Awaitable[None]]] = []
        self.stopping: list[Callable[[], Awaitable[None]]] = []
        """Called first when the process is asked to stop, in order: claim nothing new."""
        self.log_pool: Pool
        self.tables: Pool
        self.work: Pool
        self.clock: Clock
        self.log: Log
        self.commands: Commands
        self.bus: Bus
        self.stop = asyncio.Event()
        self._stack = AsyncExitStack()

    async def open(self) -> Self:
        """Connected to Postgres; nothing runs yet. Raises Unavailable, LookupError where `migrate` has not run."""
        settings = self.settings
        self.log_pool = await connect(settings.log_url, "log", name=f"outrider-{self.name}-log", size=12)
        self.tables = await connect(settings.database_url, self.name, name=f"outrider-{self.name}", size=8)
        self.work = await connect(settings.database_url, f"{self.name}_work", name=f"outrider-{self.name}-work", size=6)
        self.clock = await read_clock(self.log_pool)
        self.log = Log(self.log_pool, self.clock)
        self.commands = Commands(self.log_pool, self.clock)
        self.bus = Bus(settings.nats_url, self.commands, f"outrider-{self.name}")
        self.log.rung = self.bus.ring
        return self

    def read(self, projection: Projection, *, work: bool = False) -> Reader:
        """Keep these tables up to date while the service runs; `work`: they are to-dos, not projections."""
        reader = Reader(projection, self.log, self.work if work else self.tables)
        self.bus.on_ring(reader.ring)
        self.readers.append(reader)
        return reader

    def drain(self, drain: Drain, *readers: Reader) -> Drain:
        """Carry out this kind of to-do while the service runs; woken whenever one of `readers` moved."""
        for reader in readers:
            reader.then.append(drain.ring)
        self.drains.append(drain)
        return drain

    async def run(self) -> None:
        """Run until `stop` is set or a reader fails; everything is stopped in order when it returns."""
        health = HealthServer(self.settings.health_listen, self.trouble)
        await health.start()
        await self.bus.start()
        loops = [*(reader.follow for reader in self.readers), *(drain.follow for drain in self.drains), *self.loops]
        tasks = [asyncio.create_task(_ended_loudly(loop), name=str(loop)) for loop in loops]
        try:
            await self.stop.wait()
        finally:
            _log.info("service.stopping")
            for end in self.stopping:
                await end()
            await self.bus.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await health.stop()
            for pool in (self.tables, self.work, self.log_pool):
                with suppress(TimeoutError):
                    async with asyncio.timeout(3):
                        await pool.close()
            _log.info("service.stopped")

    async def trouble(self) -> Sequence[str]:
        """What keeps it from being ready, one sentence each."""
        found = [
            f"reader {reader.projection.name} stopped: {type(reader.failed).__name__}"
            for reader in self.readers
            if reader.failed is not None
        ]
        try:
            async with asyncio.timeout(2):
                await self.log_pool.fetchval("select 1")
        except (TimeoutError, *DISCONNECTED):
            found.append("the database does not answer")
        if not await self.bus.healthy():
            found.append("nats-server does not answer")
        return found


async def _ended_loudly(loop: Callable[[], Awaitable[None]]) -> None:
    """A loop that fails is a bug: it is logged, and health shows a reader's; the other loops go on."""
    try:
        await loop()
    except Exception:
        _log.exception("loop.failed", loop=getattr(loop, "__qualname__", str(loop)))


def main(name: str, build: Callable[[Service], Awaitable[None]]) -> None:
    """Run a service as a process: configured by the environment, stopped by SIGTERM or SIGINT.

    Exits with 2 and one line on standard error where it cannot be configured or a server it needs does not answer.
    """
    try:
        settings = Settings.from_env()
    except BadSettings as error:
        raise SystemExit(f"{name}: {error}") from None
    configure(name, settings.log_level)
    uvloop.run(_main(name, settings, build))


async def _main(name: str, settings: Settings, build: Callable[[Service], Awaitable[None]]) -> None:
    service = Service(name, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop.set)
    try:
        await service.open()
        await build(service)
        await service.run()
    except (Unavailable, LookupError) as error:
        raise SystemExit(f"{name}: {error}") from None
