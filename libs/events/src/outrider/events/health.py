"""The internal listener of every process: liveness, readiness, metrics. Never reachable from outside."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from prometheus_client import REGISTRY
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from outrider.events.figures import Figures

UNREADY = "503 Service Unavailable"
Trouble = Callable[[], Awaitable[Sequence[str]]]
Measure = Callable[[], Awaitable[Figures]]


class HealthServer:
    """``GET /health/live``, ``/health/ready``, ``/metrics`` over plain HTTP/1.0, one answer a connection."""

    def __init__(self, listen: str, trouble: Trouble, measure: Measure, stopping: Callable[[], bool]) -> None:
        """`listen` is host:port; `trouble` says what keeps the process from being ready; `measure` sets its gauges.

        Whoever is `stopping` says so at once, whatever does not answer: load balancers look elsewhere.
        """
        self._host, _, port = listen.rpartition(":")
        self._port = int(port)
        self._trouble = trouble
        self._measure = measure
        self._stopping = stopping
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listening. Raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._serve, self._host, self._port)

    async def stop(self) -> None:
        """No longer listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, ValueError):  # whoever asked has gone, or asked too much
                async with asyncio.timeout(5):
                    line = await reader.readline()
                    while (await reader.readline()).strip():
                        pass
                    status, kind, body = await self._answer(line.decode("latin-1").split(" ")[:2])
                    head = f"HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
                    writer.write(head.encode() + body)
                    await writer.drain()
        finally:
            writer.close()

    async def _answer(self, request: Sequence[str]) -> tuple[str, str, bytes]:
        match request:
            case ["GET", "/health/live"]:
                return "200 OK", "application/json", b'{"status":"live"}'
            case ["GET", "/health/ready"] if self._stopping():
                body = json.dumps({"status": "stopping", "trouble": list(await self._trouble())}).encode()
                return UNREADY, "application/json", body
            case ["GET", "/health/ready"]:
                trouble, figures = await asyncio.gather(self._trouble(), self._measure())
                status = "not ready" if trouble else "ready"
                body = json.dumps({"status": status, "trouble": list(trouble), **figures}).encode()
                return UNREADY if trouble else "200 OK", "application/json", body
            case ["GET", "/metrics"]:
                await self._measure()
                return "200 OK", CONTENT_TYPE_LATEST, generate_latest(REGISTRY)
            case [method, _] if method != "GET":
                return "405 Method Not Allowed", "application/json", b'{"status":"only GET"}'
            case _:
                return "404 Not Found", "application/json", b'{"status":"not found"}'
