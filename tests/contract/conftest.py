"""A gateway and a dispatcher, shared by the tests of the contract: nothing here sends or reads mail."""

from collections.abc import AsyncGenerator
from contextlib import ExitStack

import asyncpg
import httpx
import pytest

from tests.support import servers as support
from tests.support.described import as_described
from tests.support.servers import Servers
from tests.support.system import System, started


@pytest.fixture(scope="module")
async def gateway(servers: Servers, template: "asyncpg.Connection") -> AsyncGenerator[System]:
    """The API as a client meets it; the production default for hosts."""
    async with support.database(servers, template) as url:
        with ExitStack() as stack:
            nats = stack.enter_context(servers.nats())
            yield await started(
                servers,
                stack.callback,
                url,
                nats.url,
                clock="",
                settings={"OUTRIDER_ALLOW_INSECURE_HOSTS": "0"},
                services=("dispatcher", "api"),
            )


@pytest.fixture
async def client(gateway: System) -> AsyncGenerator[httpx.AsyncClient]:
    """A tenant's client; each of its answers is held against the description."""
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=dict(gateway.headers), timeout=30, event_hooks={"response": [as_described]}
    ) as client:
        yield client


@pytest.fixture
async def stranger(gateway: System) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of another tenant, opened for this test."""
    hooks = {"response": [as_described]}
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30, event_hooks=hooks) as other:
        operator = {"Authorization": f"Bearer {gateway.operator_token}"}
        account = (await other.post("/accounts", json={"account": {"name": "Stranger"}}, headers=operator)).json()
        other.headers["Authorization"] = f"Bearer {account['api_key']['plaintext']}"
        yield other
