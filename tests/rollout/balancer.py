"""A load balancer before the gateways: it sees who is ready, as late as the chart allows, and keeps what went wrong."""

import asyncio
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from typing import Final

import httpx

from outrider.api.__main__ import STOP_SECONDS
from tests.kernel.until import until

LINGER_SECONDS: Final = 5.0
"""As in the chart: so long a gateway that was asked to stop still answers."""
DELAY_SECONDS: Final = 4.0
"""So long a request may be sent to one that was asked to stop; what is sent later is the fault of this balancer."""
LOOK_SECONDS: Final = 0.25
PROBE_SECONDS: Final = 5.0
URL: Final = "http://outrider.example"


@dataclass
class Gateway:
    """One replica, as a balancer knows it."""

    url: str
    health: str
    ready: bool = False
    """Whether it ever was."""
    unready_at: float | None = None
    """Since when it is not."""
    asked_at: float | None = None
    """When it was asked to stop; nobody tells a real balancer."""

    stopping_at: float | None = None
    """When it first said itself that it is stopping."""

    @property
    def eligible(self) -> bool:
        """Whether requests are sent there."""
        return self.ready and (
            self.unready_at is None or time.monotonic() < self.unready_at + DELAY_SECONDS - LOOK_SECONDS
        )

    def answers_for(self, sent_at: float, *, connected: bool) -> bool:
        """Whether it had to answer: what came in time, and has not had all the time that it gives."""
        if self.asked_at is None:
            return True
        finished_at = self.asked_at + LINGER_SECONDS + (STOP_SECONDS if connected else 0.0)
        return sent_at < self.asked_at + DELAY_SECONDS and time.monotonic() < finished_at


@dataclass
class Gateways:
    """Everybody behind the balancer."""

    members: list[Gateway] = field(default_factory=list[Gateway])
    broken: list[str] = field(default_factory=list[str])
    """Requests that should have been answered, and how they were not."""
    answers: int = 0
    parting: int = 0
    """Answers of gateways that were asked to stop."""
    late: int = 0
    """Requests that came after the last moment: a machine so busy that the balancer itself was too slow."""
    _turn: "count[int]" = field(default_factory=count)

    async def watch(self) -> None:
        """Ask everybody whether they are ready, for ever, each whenever it has answered."""
        asking: dict[str, asyncio.Task[None]] = {}
        async with httpx.AsyncClient(timeout=PROBE_SECONDS, trust_env=False) as web:
            while True:
                for one in list(self.members):
                    if one.url not in asking or asking[one.url].done():
                        asking[one.url] = asyncio.create_task(self._look(web, one))
                await asyncio.sleep(LOOK_SECONDS)

    async def all_ready(self) -> None:
        """Everybody was ready once."""
        await until("every gateway is ready", lambda: all(one.ready for one in self.members))

    async def _look(self, web: httpx.AsyncClient, gateway: Gateway) -> None:
        try:
            answer = await web.get(gateway.health)
        except httpx.TransportError:
            answer = None
        if answer is not None and gateway.stopping_at is None and answer.json()["status"] == "stopping":
            gateway.stopping_at = time.monotonic()
        if answer is not None and answer.is_success:
            gateway.ready, gateway.unready_at = True, None
        elif gateway.unready_at is None:
            gateway.unready_at = time.monotonic()

    def choose(self) -> Gateway:
        """Whose turn it is. Raises ConnectError where nobody is ready."""
        found = [one for one in self.members if one.eligible]
        if not found:
            self.broken.append("no gateway was ready")
            raise httpx.ConnectError("no gateway is ready")
        return found[next(self._turn) % len(found)]


class Balancer(httpx.AsyncBaseTransport):
    """The way of one client to them. Nothing is sent again: whatever fails is kept as broken."""

    def __init__(self, gateways: Gateways, *, pinned: bool = False) -> None:
        """`pinned`: as a balancer of connections, which leaves one where it is for as long as it is open."""
        self._gateways, self._pinned = gateways, pinned
        self._at: Gateway | None = None
        self._http = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer what a gateway answered."""
        gateway = self._at or self._gateways.choose()
        sent_at, what = time.monotonic(), f"{request.method} {request.url.path} at {gateway.url}"
        request.url = httpx.URL(gateway.url).join(request.url.raw_path.decode())
        try:
            response = await self._http.handle_async_request(request)
            if "event-stream" not in request.headers.get("accept", ""):
                await response.aread()
        except httpx.TransportError as error:
            self._at = None
            self._failed(gateway, f"{what}: {error!r}", sent_at, error)
            raise
        self._gateways.answers += 1
        self._gateways.parting += gateway.asked_at is not None
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._gateways.broken.append(f"{what}: {response.status_code}")
        closes = response.headers.get("connection", "").lower() == "close"
        if not closes and gateway.stopping_at is not None and sent_at > gateway.stopping_at:
            self._gateways.broken.append(f"{what}: an answer that has its client come again, to one that is stopping")
        self._at = gateway if self._pinned and not closes else None
        return response

    def _failed(self, gateway: Gateway, what: str, sent_at: float, error: httpx.TransportError) -> None:
        connected = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
        if gateway.answers_for(sent_at, connected=connected):
            now, asked_at = time.monotonic(), gateway.asked_at or sent_at
            self._gateways.broken.append(
                f"{what}, sent {sent_at - asked_at:.1f} s and lost {now - asked_at:.1f} s after"
            )
        else:
            self._gateways.late += 1

    async def aclose(self) -> None:
        """No connection is open."""
        await self._http.aclose()
