"""An SMTP server that does what no real one should: each connection follows a script, byte by byte."""

import asyncio
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET


@dataclass(eq=False)
class Peer:
    """The server's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    over: asyncio.Event
    """Set when the test is over."""

    async def say(self, *lines: str) -> None:
        """Send the lines at once."""
        await self.say_bytes("".join(f"{line}\r\n" for line in lines).encode())

    async def say_bytes(self, data: bytes) -> None:
        """Send the bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self) -> str:
        """Answer the next line, or nothing at the end."""
        return (await self.reader.readline()).decode().rstrip("\r\n")

    async def answer(self, *replies: str) -> list[str]:
        """Give each reply to one command; answers the commands."""
        heard: list[str] = []
        for reply in replies:
            heard.append(await self.hear())
            await self.say(reply)
        return heard

    async def hear_message(self) -> bytes:
        """Answer the content, its final dot included."""
        return await self.reader.readuntil(b"\r\n.\r\n")

    async def greet(self, *features: str) -> None:
        """Be ready for MAIL or AUTH."""
        await self.say("220 peer")
        await self.hear()
        await self.say("250-peer", *(f"250-{feature}" for feature in features), "250 HELP")

    async def take_envelope(self, *features: str) -> None:
        """Be ready for DATA's content."""
        await self.greet(*features)
        await self.answer("250 ok", "250 ok", "354 go")

    async def take_message(self, *features: str) -> None:
        """Have read the final dot and not answered it."""
        await self.take_envelope(*features)
        await self.hear_message()

    async def fall_silent(self) -> None:
        """Neither read nor say anything until the test is over."""
        await self.over.wait()

    def reset(self) -> None:
        """Cut the connection with a TCP reset."""
        self.writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[object]]


@dataclass(eq=False)
class Rude:
    """What listens, and the scripts not yet played; a connection beyond them is cut."""

    scripts: list[Script]
    connections: int = 0
    port: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    playing: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Follow the next script to its end, then hang up."""
        self.connections += 1
        task = asyncio.current_task()
        if task:
            self.playing.append(task)
        with suppress(ConnectionError, EOFError):
            if self.scripts:
                await self.scripts.pop(0)(Peer(reader, writer, self.over))
        writer.close()


@asynccontextmanager
async def rude(*scripts: Script, context: ssl.SSLContext | None = None) -> AsyncGenerator[Rude]:
    """Listen for the block; every script that was begun has ended after it."""
    peer = Rude(list(scripts))
    listening = await asyncio.start_server(peer.play, "127.0.0.1", 0, ssl=context, limit=2**26)
    peer.port = listening.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        listening.close()
        peer.over.set()
        async with asyncio.timeout(120):
            await asyncio.gather(*peer.playing)
