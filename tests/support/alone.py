"""A system that a program has for itself: what benches measure, and ordeals kill."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO

from tests.support import servers as support
from tests.support.servers import Server, Servers
from tests.support.system import System, started


@dataclass(frozen=True)
class Alone:
    """It runs, with servers that nobody else uses."""

    system: System
    servers: Servers
    nats: Server


@asynccontextmanager
async def alone(services: Sequence[str], settings: Mapping[str, str] | None = None) -> AsyncGenerator[Alone]:
    """Started, and ended again whatever happens; what its processes said last is for tests, and not printed."""
    with support.running() as servers, ExitStack() as stack:
        async with support.template(servers) as admin, support.database(servers, admin) as url:
            nats = stack.enter_context(servers.nats())
            try:
                yield Alone(
                    await started(
                        servers, stack.callback, url, nats.url, clock="", settings=settings, services=services
                    ),
                    servers,
                    nats,
                )
            finally:
                with redirect_stdout(StringIO()):
                    stack.close()
