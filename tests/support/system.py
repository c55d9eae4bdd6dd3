"""Every process of the product, on one test's own database, nats-server and mail sandbox."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import asyncpg

from outrider.events.bus import declare
from outrider.events.database import migrate
from outrider.local.account import open_account
from outrider.local.home import Ports
from outrider.local.machine import STOP_SECONDS, Machine
from outrider.local.services import Site, wishes
from tests.support import nursery
from tests.support.servers import Server, Servers

Finally = Callable[[Callable[[], None]], object]
LAST_LINES = 40
MAILING = ("sender", "reply-watcher", "dispatcher", "api")
"""What mails and reads mail; tests of webhooks and of the relay start those beside."""


class System:
    """Started with the code that `outrider up` uses; processes are killed and brought back by name.

    Names are `sandbox`, `sender`, `reply-watcher`, `dispatcher`, `api`.
    """

    def __init__(self, site: Site, folder: Path) -> None:
        """Nothing runs yet."""
        self.site, self.folder = site, folder
        self.told: list[str] = []
        self.machine = Machine(folder, folder, self.told.append, nursery.start)

    def start(self, services: Sequence[str] = MAILING) -> None:
        """The sandbox and the services run and are ready."""
        self.machine.start(self.site.sandbox())
        self.machine.start(*self.site.services(services))

    def kill(self, *names: str) -> None:
        """These processes are gone as by a power cut."""
        for name in names:
            self.machine.kill(name)

    def revive(self, *names: str) -> None:
        """These processes run again and are ready."""
        for name in names:
            self.machine.revive(name)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Nothing runs any more. What the processes said last is shown by pytest if the test failed."""
        self.machine.stop(seconds)
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
            sys.stdout.write("\n".join([f"--- {log.stem}", *lines, ""]))

    @property
    def url(self) -> str:
        """Of the HTTP API."""
        return self.site.url

    @property
    def sandbox_url(self) -> str:
        """Of the sandbox's control."""
        return self.site.sandbox_url

    @property
    def smtp_port(self) -> int:
        """Of the sandbox, on loopback."""
        return self.site.ports["smtp"]

    @property
    def imap_port(self) -> int:
        """Of the sandbox, on loopback."""
        return self.site.ports["imap"]

    @property
    def operator_token(self) -> str:
        """Opens `POST /accounts`."""
        return self.site.keys.operator_token

    @cached_property
    def api_key(self) -> str:
        """Of an account that is opened when this is first asked for."""
        return open_account(int(self.url.rpartition(":")[2]), self.operator_token)[1]

    @property
    def headers(self) -> Mapping[str, str]:
        """What a client of that account sends."""
        return {"Authorization": f"Bearer {self.api_key}"}


class StartSystem(Protocol):
    """The fixture `start_system`."""

    def __call__(
        self,
        *,
        clock: str = "",
        settings: Mapping[str, str] | None = None,
        services: Sequence[str] = MAILING,
        postgres: Server | None = None,
        nats: Server | None = None,
    ) -> Awaitable[System]:
        """Start a system; it is stopped after the test.

        `clock` is `<RFC 3339 start>@<speed>`, `settings` are OUTRIDER_ variables for the services. It uses the
        test's own database and nats-server; hand in a server (fixtures `postgres_server`, `nats_server`) to
        restart it in mid-flow.
        """
        ...


async def started(  # noqa: PLR0913  # what StartSystem lets a test say
    servers: Servers,
    finally_do: Finally,
    database_url: str,
    nats_url: str,
    *,
    clock: str,
    settings: Mapping[str, str] | None,
    services: Sequence[str],
) -> System:
    """Migrate, declare, start. `finally_do` is told what ends it again."""
    folder = servers.folder("system")
    site = Site(
        database_url=database_url,
        nats_url=nats_url,
        keys=servers.keys,
        ports=Ports(folder / "ports.json", usual=False),
        sandbox_home=folder / "sandbox",
        settings=wishes(settings or {}),
        clock=clock,
    )
    await _migrate(site)
    await declare(nats_url)
    system = System(site, folder)
    finally_do(system.stop)
    system.start(services)
    return system


async def _migrate(site: Site) -> None:
    """The template was begun with real time, and nobody has used this copy of it yet: it may have another clock."""
    connection = await asyncpg.connect(site.database_url)
    try:
        if await connection.fetchval("select to_regclass('log.clock')"):
            await connection.execute("delete from log.clock")
    finally:
        await connection.close()
    await migrate(site.database_url, site.keys.passwords, site.clock or None)
