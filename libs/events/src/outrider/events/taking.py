# pyright: reportUnknownMemberType=false
# nats-py leaves some options without a type.
"""Taking: messages of one durable consumer, pulled between `start` and `stop`, as often as wanted.

FastStream's subscribers live as long as their broker; what moves between replicas while they run is taken here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from faststream.exceptions import IncorrectState
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NothingThere
from nats.js.client import JetStreamContext

from outrider.events.streams import COMMANDS_STREAM
from outrider.events.telemetry import logger

LOST: Final[tuple[type[Exception], ...]] = (NatsError, OSError, IncorrectState)
"""What nats-server, gone or not yet there, looks like from here."""
LOOK_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 1.0
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
    """Takes what one durable consumer has, while it is started."""

    def __init__(
        self, connection: Callable[[], Client], durable: str, consume: Callable[[Msg], Awaitable[Answer]], workers: int
    ) -> None:
        """`consume` says how a message is answered; at most `workers` are at it at a time."""
        self._connection = connection
        self._durable = durable
        self._consume = consume
        self._workers = workers
        self._under_way: set[asyncio.Task[None]] = set()
        self._pulling: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Messages are taken from now on, of a bus that is started."""
        if self._pulling is None:
            self._stopping = False
            self._pulling = asyncio.get_running_loop().create_task(self._pull(), name=f"take {self._durable}")

    async def stop(self) -> None:
        """None is taken any more, and what was taken is done, or some seconds have passed."""
        self._stopping = True
        pulling, self._pulling = self._pulling, None
        waited = {*self._under_way, *([pulling] if pulling else [])}
        if waited:
            _, late = await asyncio.wait(waited, timeout=STOP_SECONDS)
            for task in late:
                task.cancel()

    async def _pull(self) -> None:
        """A lost server is waited for; so is a consumer that is declared anew."""
        subscription: JetStreamContext.PullSubscription | None = None
        while not self._stopping:
            try:
                if subscription is None:
                    jetstream = self._connection().jetstream()
                    subscription = await jetstream.pull_subscribe_bind(self._durable, COMMANDS_STREAM)
                await self._take_some(subscription)
            except LOST as error:
                _log.warning("taking.waits", durable=self._durable, error=repr(error)[:300])
                subscription = None
                await asyncio.sleep(PAUSE_SECONDS)
        if subscription is not None:
            await _left(subscription)

    async def _take_some(self, subscription: JetStreamContext.PullSubscription) -> None:
        if len(self._under_way) >= self._workers:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED, timeout=LOOK_SECONDS)
            return
        try:
            messages = await subscription.fetch(self._workers - len(self._under_way), timeout=LOOK_SECONDS)
        except NothingThere:
            return
        for message in messages:
            task = asyncio.create_task(self._answer(message), name=f"{self._durable} message")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _answer(self, message: Msg) -> None:
        try:
            match Nak(0) if self._stopping else await self._consume(message):
                case Ack():
                    await message.ack()
                case Nak(seconds):
                    await message.nak(delay=seconds or None)
                case Term():
                    await message.term()
        except LOST as error:  # it comes again
            _log.warning("message.unanswered", durable=self._durable, error=repr(error)[:300])


async def _left(subscription: JetStreamContext.PullSubscription) -> None:
    try:
        await subscription.unsubscribe()
    except LOST as error:
        _log.info("taking.left", error=type(error).__name__)
