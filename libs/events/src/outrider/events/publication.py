# pyright: reportUnknownMemberType=false
# nats-py leaves some options without a type.
"""The publication of the log: the stream EVENTS, written by one at a time, in order, without gap or repeat.

The stream is its own memory: what was published last tells where to go on, whatever was killed or lost meanwhile. Every
message says behind which one it belongs (`Nats-Expected-Last-Sequence`), so that nobody who was deposed without knowing
it can put anything between.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from nats.aio.client import Client
from nats.js.api import PubAck
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from outrider.events.errors import Unavailable
from outrider.events.streams import EVENTS_STREAM, declare
from outrider.events.taking import LOST

POSITION: Final = "Outrider-Position"
SECONDS: Final = 5.0
UNCERTAIN: Final[tuple[type[Exception], ...]] = (*LOST, TimeoutError)


@dataclass(frozen=True, slots=True)
class Place:
    """How far the publication is."""

    position: int
    """Of the log; 0 where nothing is left of what was published."""
    sequence: int
    """Of the stream."""


@dataclass(frozen=True, slots=True)
class Publishable:
    """One event as subscribers get it."""

    position: int
    subject: str
    payload: bytes
    epoch: int = 0
    """Of the log; one that is restored from a backup begins another."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What JetStream drops a repeat by, and where it stands in the log."""
        return {"Nats-Msg-Id": f"{self.epoch}-{self.position}", POSITION: str(self.position)}


class Publication:
    """The stream EVENTS as its writer sees it."""

    def __init__(self, connection: Callable[[], Client], nats_url: str) -> None:
        """`connection` is the process's own to nats-server."""
        self._connection = connection
        self._nats_url = nats_url

    async def last(self) -> Place:
        """Where it stands. A stream that nats-server has lost is declared anew. Raises Unavailable."""
        try:
            try:
                return await self._last()
            except NotFoundError:
                await declare(self._nats_url)
                return await self._last()
        except LOST as error:
            raise Unavailable(f"nats: {type(error).__name__}") from error

    async def publish(self, events: Sequence[Publishable], place: Place) -> Place:
        """All of these stand in the stream behind that place, in this order: where it stands then.

        Raises Unavailable where that is not certain: ask for `last` before going on.
        """
        stream = self._stream()
        try:
            acks: list[asyncio.Future[PubAck]] = []
            for number, event in enumerate(events):
                headers = {**event.headers, "Nats-Expected-Last-Sequence": str(place.sequence + number)}
                acks.append(await stream.publish_async(event.subject, event.payload, headers=headers))
            async with asyncio.timeout(SECONDS):
                done = await asyncio.gather(*acks)
        except UNCERTAIN as error:
            raise Unavailable(f"nats: {type(error).__name__}") from error
        if done[-1].seq != place.sequence + len(events):
            raise Unavailable("nats: a repeat was dropped")
        return Place(events[-1].position, done[-1].seq)

    async def _last(self) -> Place:
        stream = self._stream()
        sequence = (await stream.stream_info(EVENTS_STREAM)).state.last_seq
        try:
            message = await stream.get_last_msg(EVENTS_STREAM, "evt.>")
        except NotFoundError:
            return Place(0, sequence)
        headers = cast("Mapping[str, str] | None", message.headers) or {}
        return Place(int(headers[POSITION]), sequence)

    def _stream(self) -> JetStreamContext:
        return self._connection().jetstream(timeout=SECONDS)
