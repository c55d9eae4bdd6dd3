"""An endpoint for webhooks: it keeps what it hears, and answers as it is told."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
SECONDS = 60
HANG = -1
"""It says nothing."""


@dataclass(frozen=True)
class Heard:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def payload(self) -> Json:
        """The body."""
        payload: Json = json.loads(self.body)
        return payload


@dataclass
class Receiver:
    """A server on loopback."""

    port: int = 0
    heard: list[Heard] = field(default_factory=list[Heard])
    answer: Callable[[Heard], int] = lambda _: 200
    """The status of the answer, or HANG."""
    more: str = ""
    """Further header lines of every answer."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    open: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])

    def url(self, path: str = "/") -> str:
        """Of an endpoint here."""
        return f"http://127.0.0.1:{self.port}{path}"

    def at(self, path: str) -> list[Heard]:
        """What this endpoint heard."""
        return [one for one in self.heard if one.path == path]

    async def until(self, condition: Callable[[], bool], seconds: float = SECONDS) -> None:
        """The condition holds; looked at whenever something came."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.came.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.came.wait(), 0.2)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.close()
        self.open.discard(writer)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        one = Heard(head[0].split(" ")[1], headers, body)
        status = self.answer(one)
        self.heard.append(one)
        self.came.set()
        if status == HANG:
            await reader.read()  # until the other side gives up
            return False
        writer.write(f"HTTP/1.1 {status} X\r\n{self.more}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()
        return True


@contextlib.asynccontextmanager
async def receiving() -> AsyncGenerator[Receiver]:
    """It listens."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, backlog=512)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for writer in list(receiver.open):
            writer.close()
