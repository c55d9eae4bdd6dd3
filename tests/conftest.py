"""Real servers, started once a session; a database, a nats-server, a whole system for every test that asks."""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import asyncpg
import pytest

from outrider.events.bus import declare
from outrider.events.database import migrate
from tests.support import servers as support
from tests.support.servers import Server, Servers
from tests.support.system import MAILING, StartSystem, System, started
from tests.support.turns import Turns, first_the_costly


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    first_the_costly(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Turns | None:  # noqa: ANN401  # xdist's own
    """Several processes share the tests as `Turns` says, where files stay whole."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Turns(config, log)


@pytest.fixture(scope="session")
def servers() -> Generator[Servers]:
    """The session's servers: `servers.keys.passwords` are those of the login roles."""
    with support.running() as running:
        yield running


@pytest.fixture(scope="session")
async def template(servers: Servers) -> "AsyncGenerator[asyncpg.Connection]":
    """One migrated database: the template of every other. Answers a connection that may create databases."""
    async with support.template(servers) as admin:
        yield admin


@pytest.fixture
async def database_url(servers: Servers, template: "asyncpg.Connection") -> AsyncGenerator[str]:
    """A fresh, migrated database: its owner's URL."""
    async with support.database(servers, template) as url:
        yield url


@pytest.fixture
def urls(servers: Servers, database_url: str) -> Mapping[str, str]:
    """The test's database by login role (`outrider_api` ...), and by "owner"."""
    return servers.role_urls(database_url)


@pytest.fixture
def nats_server(servers: Servers) -> Generator[Server]:
    """A nats-server of the test's own, with no stream in it, to be killed and revived."""
    with servers.nats() as server:
        yield server


@pytest.fixture
def nats_url(nats_server: Server) -> str:
    """The same server's URL."""
    return nats_server.url


@pytest.fixture
async def bus_url(nats_url: str) -> str:
    """The same, with the product's streams and consumers declared."""
    await declare(nats_url)
    return nats_url


@pytest.fixture
async def postgres_server(servers: Servers) -> AsyncGenerator[Server]:
    """A migrated Postgres of the test's own that keeps what it acknowledged, to be killed and revived."""
    with servers.postgres() as server:
        await migrate(server.url, servers.keys.passwords, None)
        yield server


@pytest.fixture
def start_system(servers: Servers, database_url: str, nats_server: Server) -> Generator[StartSystem]:
    """Start every process of the product, as often as called; see StartSystem."""
    with ExitStack() as stack:

        async def start(
            *,
            clock: str = "",
            settings: Mapping[str, str] | None = None,
            services: Sequence[str] = MAILING,
            postgres: Server | None = None,
            nats: Server | None = None,
        ) -> System:
            return await started(
                servers,
                stack.callback,
                postgres.url if postgres else database_url,
                (nats or nats_server).url,
                clock=clock,
                settings=settings,
                services=services,
            )

        yield start


@pytest.fixture
async def system(start_system: StartSystem) -> System:
    """A system as it comes, in real time."""
    return await start_system()
