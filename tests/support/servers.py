"""Real servers for tests: one Postgres a session, a nats-server or a Postgres of its own for whoever restarts it."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from outrider.events.database import migrate
from outrider.local import nats, postgres
from outrider.local.home import Home, Ports
from outrider.local.keys import Keys, role_url
from outrider.local.machine import Machine
from outrider.local.serving import Part

MEMORY = Path("/dev/shm")  # noqa: S108  # files of a test cluster: 10 ms a database here, up to 400 ms on a disk
HASTY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=400", "jit=off")
TEMPLATE = "migrated"
PREFIX = "outrider-test-"
ROOM = 2_000_000_000
YOUNG_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A server of one test's own, which the test may kill and bring back."""

    url: str
    name: str
    machine: Machine

    def kill(self, number: int = signal.SIGKILL) -> None:
        """It has ended; SIGINT (Postgres) or SIGTERM (nats-server) is an orderly restart's first half."""
        self.machine.kill(self.name, number)

    def revive(self) -> None:
        """It runs again, on the same data and the same port, and is ready."""
        self.machine.revive(self.name)


class Servers:
    """The session's Postgres, and what starts the servers of single tests."""

    def __init__(self, home: Path) -> None:
        """Postgres runs."""
        self.home, self.keys = home, Keys.fresh()
        self.ports = Ports(home / "ports.json", usual=False)
        self._numbers = count(1)
        self.machine = Machine(home, home, tell=lambda _: None)
        database, self.database_url = postgres.part(home / "postgres", self.ports, *HASTY)
        self.machine.start(database)

    def folder(self, name: str) -> Path:
        """Answer a folder that nobody else uses."""
        folder = self.home / f"{name}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def url(self, database: str) -> str:
        """Answer the owner's URL of a database of the session's Postgres."""
        return urlsplit(self.database_url)._replace(path=f"/{database}").geturl()

    def role_urls(self, database_url: str) -> Mapping[str, str]:
        """Answer a migrated database's URL by login role, its owner's under "owner"."""
        roles = {role: role_url(database_url, role, password) for role, password in self.keys.passwords.items()}
        return {**roles, "owner": database_url}

    @contextmanager
    def nats(self) -> Generator[Server]:
        """Run a nats-server with no stream in it."""
        folder = self.folder("nats")
        part, url = nats.part(folder, self.ports, folder.name)
        with self._running(part, url) as server:
            yield server
        shutil.rmtree(folder)

    @contextmanager
    def postgres(self) -> Generator[Server]:
        """Run a Postgres with nothing in it, which keeps what it acknowledged (the session's is told not to)."""
        folder = self.folder("postgres")
        part, url = postgres.part(folder, self.ports, "max_connections=200", "jit=off", name=folder.name)
        with self._running(part, url) as server:
            yield server
        shutil.rmtree(folder)

    @contextmanager
    def _running(self, part: Part, url: str) -> Generator[Server]:
        self.machine.start(part)
        try:
            yield Server(url, part.name, self.machine)
        finally:
            self.machine.drop(part.name)


@contextmanager
def running() -> Generator[Servers]:
    """Start the session's servers, in memory where that is possible; nothing is left of them afterwards."""
    place = MEMORY if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM else None
    _clear(place or Path(tempfile.gettempdir()))
    home = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    with Home(home).locked():
        servers = Servers(home)
        try:
            yield servers
        finally:
            servers.machine.kill("postgres", signal.SIGQUIT)
            servers.machine.stop()
            shutil.rmtree(home)


def _clear(place: Path) -> None:
    """Remove what killed sessions left: memory is dear. A session that is just beginning has no lock yet."""
    for folder in place.glob(f"{PREFIX}*"):
        if Home(folder).runner() is None and time.time() - folder.stat().st_mtime > YOUNG_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def template(servers: Servers) -> "AsyncGenerator[asyncpg.Connection]":
    """Migrate the database that every test's own is a copy of. Answers a connection that may create databases."""
    admin = await asyncpg.connect(servers.database_url)
    try:
        await admin.execute(f"create database {TEMPLATE}")
        await migrate(servers.url(TEMPLATE), servers.keys.passwords, None)
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def database(servers: Servers, admin: "asyncpg.Connection") -> AsyncGenerator[str]:
    """Copy the template; answers the owner's URL. Advisory locks and NOTIFY channels belong to a database."""
    name = servers.folder("database").name.replace("-", "_")
    await admin.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
    try:
        yield servers.url(name)
    finally:
        await admin.execute(f"drop database {name} with (force)")
