"""A body that is read while it comes, so that it may be larger than memory."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final

from litestar.types import Receive

from outrider.api.problems import ClientGone, PayloadTooLarge

BLOCK_BYTES: Final = 256 * 1024
BLOCK_SECONDS: Final = 20.0
SILENT_SECONDS: Final = 60.0
"""A client that sends nothing for so long is gone."""


def _deaf(_: bytes) -> None:
    return


@dataclass(slots=True)
class Upload:
    """The body of one request; it can be read once."""

    receive: Receive
    most_bytes: int
    heard: Callable[[bytes], object] = _deaf
    """Told of everything that comes."""
    size: int = 0
    has_ended: bool = False
    is_broken: bool = False
    """Whether the client went away before its end."""

    async def blocks(self) -> AsyncGenerator[tuple[bytes, bool]]:
        """What is left of it in blocks of a quarter of a MiB, smaller where it comes slowly, and which is the last.

        Raises ClientGone, and PayloadTooLarge as soon as it is.
        """
        parts, size, until = list[bytes](), 0, time.monotonic() + BLOCK_SECONDS
        last = self.has_ended
        while not last:
            part, last = await self._part()
            parts.append(part)
            size += len(part)
            if last or size >= BLOCK_BYTES or time.monotonic() > until:
                yield b"".join(parts), last
                parts, size, until = [], 0, time.monotonic() + BLOCK_SECONDS

    async def drain(self) -> None:
        """It has ended, and nobody has read the rest. Raises as `blocks`."""
        async for _ in self.blocks():
            pass

    async def _part(self) -> tuple[bytes, bool]:
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                message = await self.receive()
        except TimeoutError:
            message = None
        if message is None or message["type"] != "http.request":
            self.is_broken = True
            raise ClientGone
        self.size += len(message["body"])
        if self.size > self.most_bytes:
            raise PayloadTooLarge(most_bytes=self.most_bytes)
        self.heard(message["body"])
        self.has_ended = not message["more_body"]
        return message["body"], self.has_ended
