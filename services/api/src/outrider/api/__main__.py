"""The api service: the gateway over HTTP, and the tables it reads."""

import asyncio
import contextlib
from collections.abc import Generator
from functools import partial

import uvicorn

from outrider.api.app import make_app
from outrider.api.gateway import Gateway
from outrider.api.idempotency import Idempotency
from outrider.api.limits import RateLimit
from outrider.api.listening import listen
from outrider.api.projections import tables
from outrider.api.public_events import Showing
from outrider.api.staging import fail_for_ever
from outrider.api.streaming import Streams
from outrider.api.sweeping import sweep_for_ever
from outrider.events.service import Service, main
from outrider.events.tokens import Keyring
from outrider.events.vault import Box, Sealer

STOP_SECONDS = 8
KEEP_ALIVE_SECONDS = 75
"""An idle connection is closed later than load balancers do (60 s with most): or they would send into a closed one."""


class _Server(uvicorn.Server):
    """Signals are the service's: it stops everything in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them alone."""
        yield


async def build(service: Service) -> None:
    """Wire the service."""
    settings = service.settings
    for name in ("seal_public_key", "webhook_seal_public_key"):
        if not getattr(settings, name):
            raise LookupError(f"OUTRIDER_{name.upper()} is missing")
    reader, keys = service.read(tables), Keyring.parse(settings.hash_key)
    showing = Showing(service.log_pool, service.tables, keys)
    streams = Streams(showing, lambda: reader.position)
    reader.then.append(streams.ring)
    box = Box(keys.answer_keys)
    gateway = Gateway(
        settings=settings,
        clock=service.clock,
        log=service.log,
        bus=service.bus,
        log_pool=service.log_pool,
        tables=service.tables,
        work=service.work,
        reader=reader,
        keys=keys,
        sealer=Sealer(settings.seal_public_key),
        webhook_sealer=Sealer(settings.webhook_seal_public_key),
        box=box,
        idempotency=Idempotency(service.log_pool, box),
        rate_limit=RateLimit(settings.rate_limit_per_minute),
        trouble=service.trouble,
        stopping=service.stop.is_set,
        showing=showing,
        streams=streams,
    )
    config = uvicorn.Config(
        make_app(gateway),
        loop="none",
        lifespan="off",
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = _Server(config)
    listening = listen(settings.listen)  # before it is ready: whoever comes early waits, and is not refused

    ended = asyncio.Event()

    async def serve() -> None:
        try:
            await server.serve(sockets=[listening])
        finally:
            ended.set()

    async def linger() -> None:
        """Whoever sends requests here has had the time to see that it is not ready; until then they are answered.

        Kubernetes tells a process to stop and its load balancers to forget it at the same moment, in no order.
        """
        await asyncio.sleep(settings.linger_seconds)

    async def stop() -> None:
        """No new request is taken, and those at work are answered, or some seconds have passed."""
        server.should_exit = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS + 1):
                await ended.wait()

    service.loops.append(serve)
    service.loops.append(streams.guard_for_ever)
    service.loops.append(service.bus.retell)
    service.loops.append(service.bus.expire)
    service.loops.append(partial(sweep_for_ever, service.log_pool, service.clock))
    service.loops.append(partial(fail_for_ever, service.log_pool, service.bus))
    service.stopping.extend([linger, streams.close, stop])  # streams come again: by then to another replica


if __name__ == "__main__":
    main("api", build)
