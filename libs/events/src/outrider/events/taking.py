# pyright: reportUnknownMemberType=false
# nats-py leaves some options without a type.
"""Taking: messages of one durable consumer, pulled between `start` and `stop`, as often as wanted.

FastStream's subscribers live as long as their broker; what moves between replicas while they run is taken here. Not by
`PullSubscription.fetch` of nats-py: on a busy machine its time is over while its request still stands, and a message
that arrives after it was left is lost for as long as an acknowledgement is waited for.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final

from faststream.exceptions import IncorrectState
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from outrider.events.streams import COMMANDS_STREAM
from outrider.events.telemetry import logger

LOST: Final[tuple[type[Exception], ...]] = (NatsError, OSError, IncorrectState)
"""What nats-server, gone or not yet there, looks like from here."""
NEXT: Final = f"$JS.API.CONSUMER.MSG.NEXT.{COMMANDS_STREAM}."
EXPIRED: Final = "408"
REQUEST_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 2.0
"""A connection that was lost meanwhile is noticed so late: a request stood at the server before."""
PAUSE_SECONDS: Final = 1.0
LEAVE_SECONDS: Final = 2.0
STOP_SECONDS: Final = 10.0
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Ack:
    """It is done."""


@dataclass(frozen=True, slots=True)
class Nak:
    """It is to come again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Term:
    """It is not to come again."""


Answer = Ack | Nak | Term


class Taking:
    """Takes what one durable consumer has, while it is started.

    One request stands at the server at a time, for as many messages as there are free workers; it is answered as soon
    as there is something, and is renewed when it was answered in full, has ended, or may be lost.
    """

    def __init__(
        self, connection: Callable[[], Client], durable: str, consume: Callable[[Msg], Awaitable[Answer]], workers: int
    ) -> None:
        """`consume` says how a message is answered; at most `workers` are at it at a time."""
        self._connection = connection
        self._durable = durable
        self._consume = consume
        self._workers = workers
        self._free = asyncio.Semaphore(workers)
        self._under_way: set[asyncio.Task[None]] = set()
        self._taking: asyncio.Task[None] | None = None
        self._stopping = False
        self._changed = asyncio.Event()
        self._wanted = 0
        """How many messages the standing request may still bring."""
        self._refused = False
        """Whether the last request was refused: by a server without this consumer, for example."""

    def start(self) -> None:
        """Messages are taken from now on, of a bus that is started."""
        if self._taking is None:
            self._stopping = False
            self._taking = asyncio.get_running_loop().create_task(self._take(), name=f"take {self._durable}")

    async def stop(self) -> None:
        """None is taken any more, and what was taken is done, or some seconds have passed."""
        self._stopping = True
        self._changed.set()
        taking, self._taking = self._taking, None
        late = set[asyncio.Task[None]]()
        first = {taking} if taking else set[asyncio.Task[None]]()
        for waited in (first, self._under_way):  # the first may bring more of the second
            if waited:
                late |= (await asyncio.wait(waited, timeout=STOP_SECONDS))[1]
        for task in late:
            task.cancel()

    async def _take(self) -> None:
        """A lost server is waited for; so is a consumer that is declared anew."""
        while not self._stopping:
            try:
                await self._take_from(self._connection())
            except LOST as error:
                _log.warning("taking.waits", durable=self._durable, error=repr(error)[:300])
                await self._change(PAUSE_SECONDS)

    async def _take_from(self, connection: Client) -> None:
        inbox = connection.new_inbox()
        subscription = await connection.subscribe(inbox, cb=self._arrived)
        asked_at, reconnects = 0.0, 0
        self._wanted, self._refused = 0, False
        try:
            while not self._stopping:
                if self._refused:
                    self._refused = False
                    await self._change(PAUSE_SECONDS)
                now = monotonic()
                if now - asked_at > REQUEST_SECONDS + LOOK_SECONDS or reconnects != connection.stats["reconnects"]:
                    self._wanted = 0  # the server that knew of the request may be gone
                free = self._workers - len(self._under_way)
                if free > 0 and self._wanted == 0:
                    self._wanted, asked_at, reconnects = free, now, connection.stats["reconnects"]
                    request = {"batch": free, "expires": int(REQUEST_SECONDS * 1e9)}
                    await connection.publish(NEXT + self._durable, json.dumps(request).encode(), inbox)
                await self._change(LOOK_SECONDS)
        finally:
            await _left(subscription)

    async def _change(self, seconds: float) -> None:
        """Something arrived, ended or is to stop, or that many seconds have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    async def _arrived(self, message: Msg) -> None:
        """A message, or what the server says of the request: whatever it says, the request has ended."""
        if status := (message.headers or {}).get("Status"):
            self._wanted, self._refused = 0, status != EXPIRED
            if self._refused:
                _log.warning("taking.refused", durable=self._durable, status=status)
        else:
            self._wanted = max(0, self._wanted - 1)
            task = asyncio.create_task(self._answer(message), name=f"{self._durable} message")
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        self._changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._changed.set()

    async def _answer(self, message: Msg) -> None:
        try:
            async with self._free:
                match Nak(0) if self._stopping else await self._consume(message):
                    case Ack():
                        await message.ack()
                    case Nak(seconds):
                        await message.nak(delay=seconds or None)
                    case Term():
                        await message.term()
        except LOST as error:  # it comes again
            _log.warning("message.unanswered", durable=self._durable, error=repr(error)[:300])


async def _left(subscription: Subscription) -> None:
    """What the server had sent already is handed on; it sends nothing more."""
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await subscription.drain()  # type: ignore[no-untyped-call]
    except LOST as error:
        _log.info("taking.left", error=type(error).__name__)
