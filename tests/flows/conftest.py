"""Two systems for stories that kill nothing: one in real time, one whose days pass in seconds."""

from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager

import asyncpg
import pytest

from tests.support import servers as support
from tests.support.servers import Servers
from tests.support.story import Begin, Story, opened
from tests.support.story_dns import name_server
from tests.support.system import MAILING, System, started

FAST = "2026-01-05T08:00:00Z@28800"
"""A Monday; a day passes in 3 seconds."""


@asynccontextmanager
async def _shared(servers: Servers, template: "asyncpg.Connection", clock: str) -> AsyncGenerator[System]:
    async with support.database(servers, template) as url:
        with ExitStack() as stack:
            nats, name_servers = stack.enter_context(servers.nats()), stack.enter_context(name_server())
            settings = {"OUTRIDER_DNS": name_servers}
            system = await started(
                servers, stack.callback, url, nats.url, clock=clock, settings=settings, services=MAILING
            )
            yield system


@pytest.fixture(scope="session")
async def calm_system(servers: Servers, template: "asyncpg.Connection") -> AsyncGenerator[System]:
    """A system in real time, shared: every story has an account and mail domains of its own."""
    async with _shared(servers, template, "") as system:
        yield system


@pytest.fixture(scope="session")
async def fast_system(servers: Servers, template: "asyncpg.Connection") -> AsyncGenerator[System]:
    """A system whose days pass in seconds, shared as well."""
    async with _shared(servers, template, FAST) as system:
        yield system


@pytest.fixture
def begin() -> Generator[Begin]:
    """Begin a story on a system; it is closed after the test."""
    with ExitStack() as stack:

        def begin(system: System) -> Story:
            story = opened(system)
            stack.callback(story.close)
            return story

        yield begin


@pytest.fixture
def calm_story(calm_system: System, begin: Begin) -> Story:
    """A story in real time."""
    return begin(calm_system)


@pytest.fixture
def fast_story(fast_system: System, begin: Begin) -> Story:
    """A story whose days pass in seconds."""
    return begin(fast_system)
