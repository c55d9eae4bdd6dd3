"""The sender alone, told what to mail, on real Postgres, nats-server and SMTP."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from outrider.events.database import connect
from outrider.events.service import Service
from tests.support.mail import SmtpSink, smtp_sink
from tests.support.sending import PASSWORD, USER, Hurried, Mailing, StartSender, mailing, sender, settings
from tests.support.servers import Servers


@pytest.fixture
async def sink() -> AsyncGenerator[SmtpSink]:
    async with smtp_sink({USER: PASSWORD}) as running:
        yield running


@pytest.fixture
async def post(servers: Servers, urls: Mapping[str, str], bus_url: str) -> AsyncGenerator[Mailing]:
    async with mailing(urls, bus_url, servers.keys) as campaign:
        await campaign.create()
        yield campaign


@pytest.fixture
def start(servers: Servers, urls: Mapping[str, str], bus_url: str) -> StartSender:
    def begin(*, settle_seconds: float = 900) -> AbstractAsyncContextManager[Service]:
        return sender(settings(urls, bus_url, servers.keys, settle_seconds=settle_seconds))

    return begin


@pytest.fixture
def hurried(servers: Servers, urls: Mapping[str, str], bus_url: str) -> Hurried:
    @asynccontextmanager
    async def begin(speed: float) -> AsyncGenerator[Mailing]:
        """A campaign while business time runs so many times faster."""
        clock = await connect(urls["owner"], "log", size=1)
        await clock.execute("update log.clock set speed = $1", speed)
        await clock.close()
        async with mailing(urls, bus_url, servers.keys) as campaign:
            await campaign.create()
            yield campaign

    return begin
