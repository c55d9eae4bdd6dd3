"""The live stream: one reading of the log an account and process, however many streams of that account are open.

A stream holds nothing but its position. What a reader is too slow to take waits in its socket; what he missed he reads
from the log, so that he may also come back tomorrow (Server-Sent Events, WHATWG HTML section 9.2).
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import msgspec

from outrider.api.auth import valid_keys
from outrider.api.public_events import PublicEvent, Showing, wanted
from outrider.events.database import heed_cancellation, passing
from outrider.events.errors import Unavailable
from outrider.events.telemetry import logger

HEARTBEAT_SECONDS: Final = 15.0
HEARTBEAT: Final = b":\n\n"
HELLO: Final = b"retry: 1000\n\n"
KEPT: Final = 1000
"""So many events of an account are kept in memory for whoever is a little behind."""
BATCH: Final = 250
MOST_STREAMS: Final = 5000
"""Of one process."""
PAUSE_SECONDS: Final = 1.0
GUARD_SECONDS: Final = 10.0
"""So long a stream may go on whose key was revoked, or whose account was closed."""
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What one stream wants to see."""

    types: Sequence[str] = ("*",)
    campaign_id: UUID | None = None

    def matches(self, event: PublicEvent) -> bool:
        """Whether it wants this one."""
        return wanted(self.types, event.type) and self.campaign_id in {None, event.campaign_id}


@dataclass(frozen=True, slots=True)
class _Line:
    event: PublicEvent
    text: bytes


@dataclass(slots=True)
class _Channel:
    """What all streams of one account share."""

    account_id: UUID
    floor: int
    """After this position everything is in `recent`."""
    head: int
    """Up to here the log was read."""
    recent: deque[_Line] = field(default_factory=deque[_Line])
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0
    pump: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Everybody who waits for something new looks again."""
        self.moved.set()
        self.moved = asyncio.Event()


class Streams:
    """Every open stream of this process."""

    def __init__(self, showing: Showing, position: Callable[[], int]) -> None:
        """`position` tells how far our own tables are: no event is shown before they have it."""
        self._showing = showing
        self._position = position
        self._channels: dict[UUID, _Channel] = {}
        self._keys: Counter[UUID] = Counter()
        """By which keys streams are open; one that is not here any more opens nothing."""
        self._open = 0
        self._closed = False

    def ring(self) -> None:
        """There may be something new."""
        for channel in self._channels.values():
            channel.bell.set()

    async def close(self) -> None:
        """Every stream has ended, or is about to: its reader comes back to another replica."""
        self._closed = True
        for channel in self._channels.values():
            channel.wake()

    async def guard_for_ever(self) -> None:
        """Streams end soon after their key was revoked or their account closed."""
        while True:
            await asyncio.sleep(GUARD_SECONDS)
            try:
                await self._guard()
            except Exception as error:  # noqa: BLE001  # a loop that ended would let them go on
                heed_cancellation()
                _log.warning("streams.unguarded", error=type(error).__name__, passing=passing(error))

    async def _guard(self) -> None:
        asked = list(self._keys)
        valid = await valid_keys(self._showing.tables, asked) if asked else set[UUID]()
        if gone := [key for key in asked if key not in valid]:
            for key in gone:
                del self._keys[key]
            for channel in self._channels.values():
                channel.wake()

    def open(self, account_id: UUID, key_id: UUID, wish: Wish, after: int | None) -> AsyncGenerator[bytes]:
        """The stream's bytes, from behind `after` or from now on; endless. Raises Unavailable where there are too many.

        The position from which it is live is taken now: nothing that is recorded after this call is missed.
        """
        if self._closed or self._open >= MOST_STREAMS:
            raise Unavailable("no more streams here")
        return self._follow(account_id, key_id, wish, self._position() if after is None else after)

    async def _follow(self, account_id: UUID, key_id: UUID, wish: Wish, position: int) -> AsyncGenerator[bytes]:
        channel = self._joined(account_id)
        self._keys[key_id] += 1
        try:
            yield HELLO
            while not self._closed and key_id in self._keys:
                moved = channel.moved
                lines, position = await self._after(channel, position)
                if text := b"".join(line.text for line in lines if wish.matches(line.event)):
                    yield text
                if lines or position < channel.head:
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await moved.wait()
                        continue
                yield HEARTBEAT
        finally:
            self._left(channel)
            self._keys -= Counter([key_id])  # keeps none that is at zero

    async def _after(self, channel: _Channel, position: int) -> tuple[Sequence[_Line], int]:
        """What comes after that position, from memory or else from the log, and the position behind it."""
        if position >= channel.floor:
            lines = [line for line in channel.recent if line.event.position > position]
            return lines, max(position, channel.head)
        events, reached = await self._showing.read(channel.account_id, position, channel.head, BATCH)
        return [_line(event) for event in events], reached

    def _joined(self, account_id: UUID) -> _Channel:
        """The account's channel, with one stream more; reading begins with the first."""
        self._open += 1
        channel = self._channels.get(account_id)
        if channel is None:
            here = self._position()
            channel = self._channels[account_id] = _Channel(account_id, here, here)
            channel.pump = asyncio.get_running_loop().create_task(self._pump(channel), name="streams.pump")
        channel.streams += 1
        return channel

    def _left(self, channel: _Channel) -> None:
        self._open -= 1
        channel.streams -= 1
        if not channel.streams:
            del self._channels[channel.account_id]
            if channel.pump is not None:
                channel.pump.cancel()

    async def _pump(self, channel: _Channel) -> None:
        """Read on for this account whenever our tables moved, for ever."""
        while True:
            channel.bell.clear()
            try:
                while channel.head < (until := self._position()):
                    await self._read_on(channel, until)
            except Exception as error:  # noqa: BLE001  # streams wait; a loop that ended would leave them silent
                heed_cancellation()
                _log.warning("streams.wait" if passing(error) else "streams.failed", error=type(error).__name__)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            await channel.bell.wait()

    async def _read_on(self, channel: _Channel, until: int) -> None:
        events, channel.head = await self._showing.read(channel.account_id, channel.head, until, BATCH)
        channel.recent.extend(_line(event) for event in events)
        while len(channel.recent) > KEPT:
            channel.floor = channel.recent.popleft().event.position
        if events:
            channel.wake()


def _line(event: PublicEvent) -> _Line:
    data = msgspec.json.encode(event.payload)
    return _Line(event, b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, event.type.encode(), data))
