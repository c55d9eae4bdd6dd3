"""A token server (RFC 6749) for tests, over real HTTP, that answers as it is told.

async with token_server() as tokens:
tokens.answers.append((400, {"error": "invalid_grant"}))  # once; afterwards it is good again
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

Answer = tuple[int, Mapping[str, object] | bytes] | None


@dataclass(eq=False)
class TokenServer:
    """What listens, what it was asked, and what it will answer."""

    port: int = 0
    secure: bool = False
    answers: list[Answer] = field(default_factory=list[Answer])
    """What comes next; None: nothing, ever. Beyond these it grants `token-1`, `token-2` ..."""
    asked: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])
    hosts: list[str] = field(default_factory=list[str])
    refresh_tokens: set[str] | None = None
    """Those that are good, each for one use, and the next one with its answer; None: any, as often as it comes."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """It was asked for the first time."""
    under_way: int = 0
    most_under_way: int = 0
    delay_seconds: float = 0.0

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"{'https' if self.secure else 'http'}://localhost:{self.port}/token"

    def _answer(self, form: Mapping[str, str]) -> Answer:
        if self.answers:
            return self.answers.pop(0)
        granted: dict[str, object] = {"access_token": f"token-{len(self.asked)}", "expires_in": 3600}
        if self.refresh_tokens is not None:
            if form["refresh_token"] not in self.refresh_tokens:
                return 400, {"error": "invalid_grant", "error_description": f"{form['refresh_token']} of ann@x.example"}
            self.refresh_tokens = {f"refresh-{len(self.asked)}"}
            granted["refresh_token"] = f"refresh-{len(self.asked)}"
        return 200, {**granted, "token_type": "Bearer"}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {
                name.lower(): value.strip() for name, _, value in (one.partition(":") for one in head.splitlines()[1:])
            }
            body = await reader.readexactly(int(headers["content-length"]))
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            self.asked.append(form)
            self.came.set()
            self.hosts.append(headers["host"])
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            answer = self._answer(form)
            await asyncio.sleep(self.delay_seconds)
            if answer is None:
                await asyncio.sleep(3600)
                return
            status, said = answer
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
            await writer.drain()
        except (ConnectionError, EOFError):
            pass
        finally:
            self.under_way -= 1
            writer.close()


@asynccontextmanager
async def token_server(context: ssl.SSLContext | None = None) -> AsyncGenerator[TokenServer]:
    """Listen on loopback for the block."""
    tokens = TokenServer(secure=context is not None)
    listening = await asyncio.start_server(tokens.serve, "127.0.0.1", 0, ssl=context)
    tokens.port = listening.sockets[0].getsockname()[1]
    try:
        yield tokens
    finally:
        listening.close()
