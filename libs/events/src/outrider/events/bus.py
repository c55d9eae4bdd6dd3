# pyright: reportUnknownMemberType=false
# nats-py and FastStream leave some options without a type.
"""The bus: commands and jobs over JetStream by FastStream, and the doorbells over core NATS."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar
from uuid import UUID

from faststream import AckPolicy
from faststream.exceptions import NackMessage, RejectMessage
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.annotations import NatsMessage
from nats.js.errors import NotFoundError

from outrider.events.carrying import Carrying
from outrider.events.commands import Commands, Handler, Verdict
from outrider.events.database import DISCONNECTED, heed_cancellation, passing
from outrider.events.errors import Unavailable
from outrider.events.inquiries import Inquiries
from outrider.events.message import Command, Job
from outrider.events.streams import (
    COMMANDS_STREAM,
    EVENTS_STREAM,
    MAX_DELIVER,
    PUBLISH_SECONDS,
    SERVICES,
    consumer,
    declare,
)
from outrider.events.taking import LOST, Ack, Nak, Taking, Term
from outrider.events.telemetry import MESSAGES_DEAD, logger
from outrider.events.tracing import SpanKind, step, trace_context

__all__ = [
    "BELL",
    "COMMANDS_STREAM",
    "EVENTS_STREAM",
    "LOST",
    "MAX_DELIVER",
    "SERVICES",
    "VERDICTS",
    "Bus",
    "declare",
]
STOP_SECONDS = 10
WATCH_SECONDS = 2.0
PROBE_SECONDS = 1.0
"""Health asks twice; see the time-out of the chart's probe."""
RETELL_SECONDS = 5.0
LOOK_SECONDS = 0.5
"""The bell of a verdict may be missed: whoever waits for one looks this often."""
BROKEN: tuple[type[Exception], ...] = (*LOST, ExceptionGroup)
"""And what it looks like to several subscribers at once."""
BELL = "bell"
VERDICTS = "bell.verdicts"
J = TypeVar("J", bound=Job)
_log = logger(__name__)


class Bus:
    """One process's connection to nats-server."""

    def __init__(self, nats_url: str, commands: Commands, name: str) -> None:
        """Nothing is connected until `start`."""
        self.broker = NatsBroker(
            nats_url,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            name=name,
            logger=None,
            graceful_timeout=STOP_SECONDS,
        )
        self.inquiries = Inquiries(self.broker)
        self._carrying = Carrying(self.broker)
        self._nats_url = nats_url
        self._consumers: set[str] = set()
        self._commands = commands
        self._asked: dict[UUID, asyncio.Event] = {}
        self._rings: list[Callable[[], None]] = []
        self._ringing: asyncio.Task[None] | None = None
        self._rung = False

    async def start(self) -> None:
        """Connected and consuming; waits for a nats-server that is not there. Raises Unavailable without streams."""
        self.broker.subscriber(BELL)(self._heard)
        self.broker.subscriber(VERDICTS)(self._told)
        try:
            await self.broker.start()
        except LOST as error:
            raise Unavailable(f"nats: {error!r}") from error

    async def stop(self) -> None:
        """Handlers in flight have ended, or 10 s have passed; the connection is closed, also when it is broken."""
        connection = self.broker.connection if self.broker.running else None
        try:
            async with asyncio.timeout(STOP_SECONDS + 1):
                await self.broker.stop()
        except BROKEN as error:
            _log.warning("bus.broken_off", error=repr(error)[:300])
            if connection is not None:
                with suppress(*LOST):  # it flushes what is pending into the broken connection once more
                    await connection.close()

    async def healthy(self) -> bool:
        """Whether nats-server answers within a second, and has every consumer that this process takes from."""
        return not await self.trouble()

    async def trouble(self) -> Sequence[str]:
        """What keeps it from carrying anything, one sentence each."""
        if not await self.broker.ping(PROBE_SECONDS):
            return ["nats-server does not answer"]
        try:
            missing = await self._missing()
        except LOST:
            return ["JetStream does not answer"]
        return [f"JetStream has no consumer {durable}" for durable in missing]

    async def _missing(self) -> Sequence[str]:
        """The consumers that this process takes from and that do not stand."""
        if not self._consumers:
            return []
        try:
            found = await self.broker.connection.jetstream(timeout=PROBE_SECONDS).consumers_info(COMMANDS_STREAM)
        except NotFoundError:
            found = []
        return sorted(self._consumers - {one.name for one in found})

    async def watch(self) -> None:
        """Declare streams and consumers again, for ever, when nats-server came back without its data.

        What was on its way then is told again: the commands table and the to-dos are its memory.
        """
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                if not (missing := await self._missing()):
                    continue
                _log.error("bus.lost_its_streams", consumers=missing)
                await declare(self._nats_url)
            except LOST as error:
                _log.warning("bus.waits", error=repr(error)[:300])

    def on_ring(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever anybody appended to the log."""
        self._rings.append(wake)

    def ring(self) -> None:
        """Wake every reader of every process, this one's at once; rings that come together are sent as one."""
        for wake in self._rings:
            wake()
        self._rung = True
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.get_running_loop().create_task(self._ring_bell(), name="bus.ring")

    async def _ring_bell(self) -> None:
        while self._rung:
            self._rung = False
            await self._ring(BELL, "")

    async def _ring(self, bell: str, text: str) -> None:
        with suppress(*LOST):  # a bell may be missed: whoever waits also looks by himself
            await self.broker.publish(text, bell)

    async def _heard(self, text: str) -> None:
        del text
        for wake in self._rings:
            wake()

    async def _told(self, text: str) -> None:
        with suppress(ValueError):
            if waiting := self._asked.get(UUID(text)):
                waiting.set()

    async def ask(
        self, command: Command, service: str, seen: int, seconds: float = 5.0, asker: UUID | None = None
    ) -> Verdict:
        """The command is kept and told; its verdict, or `accepted` when none came within `seconds`.

        Raises Unavailable when it is not known to be kept: ask again with the same command_id. Once it is kept, a bus
        or a database that is down delays it only: whoever watches over untold commands tells it again.
        """
        arrived = self._asked.setdefault(command.command_id, asyncio.Event())
        try:
            try:
                await self._commands.accept(command, service, seen, asker)
            except DISCONNECTED as error:
                raise Unavailable(f"database: {error!r}") from error
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._tell(command.command_id, service)
                    return await self._verdict(command.command_id, arrived)
            return Verdict(command.command_id, command.account_id, "accepted", None, None, 0)
        finally:
            self._asked.pop(command.command_id, None)

    async def _verdict(self, command_id: UUID, arrived: asyncio.Event) -> Verdict:
        """Wait for ever until it has one."""
        while True:
            arrived.clear()
            try:
                verdict = await self._commands.verdict(command_id)
            except DISCONNECTED:  # it is kept: a restart of Postgres is waited for
                heed_cancellation()
                verdict = None
            if verdict is not None and verdict.status != "accepted":
                return verdict
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await arrived.wait()

    async def _tell(self, command_id: UUID, service: str) -> None:
        try:
            with step(f"tell {service}", SpanKind.PRODUCER, {"outrider.command_id": str(command_id)}):
                await self.broker.publish(
                    str(command_id),
                    SERVICES[service],
                    headers=trace_context(),
                    stream=COMMANDS_STREAM,
                    timeout=PUBLISH_SECONDS,
                )
        except LOST as error:
            _log.warning("command.untold", command_id=str(command_id), error=type(error).__name__)

    async def retell(self) -> None:
        """Tell, for ever, every command that has been without a verdict for 30 s."""
        while True:
            try:
                for command_id, service in await self._commands.untold():
                    await self._tell(command_id, service)
            except Exception as error:  # noqa: BLE001  # a loop that ended would lose commands
                heed_cancellation()
                _log.warning("retell.waits" if passing(error) else "retell.failed", error=repr(error)[:300])
            await asyncio.sleep(RETELL_SECONDS)

    async def expire(self) -> None:
        """Reject, for ever, every command that nobody carried out in time: a dead service leaves none open."""
        while True:
            try:
                for command_id in await self._commands.expire():
                    await self._ring(VERDICTS, str(command_id))
            except Exception as error:  # noqa: BLE001  # a loop that ended would leave commands open
                _log.warning("expire.waits" if passing(error) else "expire.failed", error=repr(error)[:300])
            await asyncio.sleep(RETELL_SECONDS)

    async def tell(self, job: Job, subject: str, key: str | None = None) -> None:
        """The job is stored by JetStream; `key` drops a repeat within two minutes. Raises Unavailable."""
        named = {"Nats-Msg-Id": key} if key else {}
        try:
            with step(f"tell {type(job).__name__}", SpanKind.PRODUCER, {"outrider.account_id": str(job.account_id)}):
                headers = {**trace_context(), **named}
                await self.broker.publish(
                    job.model_dump_json(), subject, headers=headers, stream=COMMANDS_STREAM, timeout=PUBLISH_SECONDS
                )
        except LOST as error:
            raise Unavailable(f"nats: {type(error).__name__}") from error

    def serve(
        self, service: str, handlers: Mapping[type[Command], Handler], reach: Callable[[int], Awaitable[bool]]
    ) -> None:
        """Carry out this service's commands; their verdicts are kept before they are acknowledged."""
        by_kind = {kind.__name__: handler for kind, handler in handlers.items()}

        async def handle(text: str) -> None:
            command_id = UUID(text)
            await self._commands.carry_out(command_id, by_kind, reach)
            await self._ring(VERDICTS, text)

        self._subscribe(service, handle, workers=8)

    def take(self, durable: str, kind: type[J], handle: Callable[[J], Awaitable[None]], workers: int) -> Taking:
        """Carry out these jobs between `start` and `stop` of what is answered.

        They are acknowledged when `handle` returns, and delivered again when it raises.
        """

        async def take_one(text: str) -> None:
            await handle(kind.parse(text))

        self._consumers.add(durable)
        MESSAGES_DEAD.labels(kind.__name__)  # shown as 0: an alert cannot see a series begin
        return Taking(
            lambda: self.broker.connection,
            durable,
            partial(self._carrying.carried_out, kind.__name__, take_one),
            workers,
        )

    def _subscribe(self, durable: str, handle: Callable[[str], Awaitable[None]], workers: int) -> None:
        """Consume from this durable as long as the bus is started."""

        async def consume(text: str, message: NatsMessage) -> None:
            del text
            match await self._carrying.carried_out(durable, handle, message.raw_message):
                case Nak(seconds):
                    raise NackMessage(delay=seconds)
                case Term():
                    raise RejectMessage
                case Ack():
                    pass

        self._consumers.add(durable)
        MESSAGES_DEAD.labels(durable)  # as above
        self.broker.subscriber(
            SERVICES[durable],
            durable=durable,
            stream=JStream(COMMANDS_STREAM, declare=False),
            config=consumer(durable, SERVICES[durable]),
            pull_sub=PullSub(batch_size=1, timeout=1.0),  # what one replica held back another could do
            max_workers=workers,
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )(consume)
