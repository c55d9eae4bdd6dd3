# pyright: reportUnknownMemberType=false
# nats-py and FastStream leave some options without a type: this is their one seam.
"""The bus: commands and jobs over JetStream by FastStream, and the doorbells over core NATS."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import nats
from faststream import AckPolicy
from faststream.exceptions import NackMessage, RejectMessage
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.annotations import NatsMessage
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy as ConsumerAckPolicy
from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from outrider.events.commands import Commands, Handler, Verdict
from outrider.events.database import DISCONNECTED
from outrider.events.errors import NotYet, Unavailable
from outrider.events.message import Command, Job
from outrider.events.telemetry import logger, trace_context, traced

COMMANDS_STREAM = "COMMANDS"
EVENTS_STREAM = "EVENTS"
SERVICES = {"dispatcher": "cmd.dispatcher", "api": "cmd.api", "sender": "cmd.send.>"}
"""Each service's durable consumer, and the subjects that it takes."""
ACK_WAIT_SECONDS = 30
MAX_DELIVER = 20
PUBLISH_SECONDS = 3.0
BELL = "bell"
VERDICTS = "bell.verdicts"
J = TypeVar("J", bound=Job)
_log = logger(__name__)


async def declare(nats_url: str) -> None:
    """The streams and durable consumers stand as this build wants them; what differed is updated.

    A changed configuration of an existing durable is ignored by a subscriber, so nobody else declares them.
    """
    client = await nats.connect(nats_url, connect_timeout=10, max_reconnect_attempts=5)
    try:
        jetstream = client.jetstream(timeout=10)
        for stream in (
            StreamConfig(
                name=COMMANDS_STREAM,
                subjects=["cmd.>"],
                retention=RetentionPolicy.WORK_QUEUE,
                storage=StorageType.FILE,
                max_age=timedelta(days=7).total_seconds(),
            ),
            StreamConfig(
                name=EVENTS_STREAM,
                subjects=["evt.>"],
                storage=StorageType.FILE,
                max_age=timedelta(days=30).total_seconds(),
            ),
        ):
            try:
                await jetstream.update_stream(stream)
            except NotFoundError:
                await jetstream.add_stream(stream)
        for durable, subject in SERVICES.items():
            await jetstream.add_consumer(COMMANDS_STREAM, _consumer(durable, subject))
    finally:
        await client.close()


def _consumer(durable: str, subject: str) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=durable,
        filter_subject=subject,
        ack_policy=ConsumerAckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_SECONDS,
        max_deliver=MAX_DELIVER,
        max_ack_pending=1000,
    )


class Bus:
    """One process's connection to nats-server."""

    def __init__(self, nats_url: str, commands: Commands, name: str) -> None:
        """Nothing is connected until `start`."""
        self.broker = NatsBroker(
            nats_url, max_reconnect_attempts=-1, reconnect_time_wait=1, name=name, logger=None, graceful_timeout=10
        )
        self._commands = commands
        self._asked: dict[UUID, asyncio.Event] = {}
        self._rings: list[Callable[[], None]] = []
        self._ringing: asyncio.Task[None] | None = None
        self._rung = False

    async def start(self) -> None:
        """Connected and consuming. Raises Unavailable."""
        try:
            self.broker.subscriber(BELL)(self._heard)
            self.broker.subscriber(VERDICTS)(self._told)
            await self.broker.start()
        except (NatsError, OSError) as error:
            raise Unavailable(str(error)) from error

    async def stop(self) -> None:
        """Handlers in flight have ended, or 10 s have passed; the connection is closed."""
        await self.broker.stop()

    async def healthy(self) -> bool:
        """Whether nats-server answers a ping within a second."""
        return await self.broker.ping(1.0)

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
        with suppress(NatsError, OSError, AssertionError):  # a bell may be missed: whoever waits also looks by himself
            await self.broker.publish(text, bell)

    async def _heard(self, text: str) -> None:
        del text
        for wake in self._rings:
            wake()

    async def _told(self, text: str) -> None:
        with suppress(ValueError):
            if waiting := self._asked.get(UUID(text)):
                waiting.set()

    async def ask(self, command: Command, service: str, seen: int, seconds: float = 5.0) -> Verdict:
        """The command is kept and told; its verdict, or `accepted` when none came within `seconds`.

        Raises Unavailable when it could not be kept: then nothing happens. A bus that is down delays it only: whoever
        watches over untold commands tells it again.
        """
        arrived = self._asked[command.command_id] = asyncio.Event()
        try:
            await self._commands.accept(command, service, seen)
            await self._tell(command.command_id, service)
            async with asyncio.timeout(seconds):
                while True:
                    verdict = await self._commands.verdict(command.command_id)
                    if verdict is not None and verdict.status != "accepted":
                        return verdict
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.5):  # the bell may have been missed
                            await arrived.wait()
        except TimeoutError:
            return Verdict(command.command_id, command.account_id, "accepted", None, None, 0)
        except DISCONNECTED as error:
            raise Unavailable(str(error)) from error
        finally:
            del self._asked[command.command_id]

    async def _tell(self, command_id: UUID, service: str) -> None:
        try:
            await self.broker.publish(
                str(command_id),
                SERVICES[service],
                headers=trace_context(),
                stream=COMMANDS_STREAM,
                timeout=PUBLISH_SECONDS,
            )
        except (NatsError, OSError, AssertionError, TimeoutError) as error:
            _log.warning("command.untold", command_id=str(command_id), error=type(error).__name__)

    async def retell(self) -> None:
        """Tell, for ever, every command that has been without a verdict for 30 s."""
        while True:
            try:
                for command_id, service in await self._commands.untold():
                    await self._tell(command_id, service)
            except DISCONNECTED as error:
                _log.warning("retell.waits", error=type(error).__name__)
            await asyncio.sleep(5)

    async def tell(self, job: Job, subject: str, key: str | None = None) -> None:
        """The job is stored by JetStream; `key` drops a repeat within two minutes. Raises Unavailable."""
        headers = {**trace_context(), **({"Nats-Msg-Id": key} if key else {})}
        try:
            await self.broker.publish(
                job.model_dump_json(), subject, headers=headers, stream=COMMANDS_STREAM, timeout=PUBLISH_SECONDS
            )
        except (NatsError, OSError, AssertionError, TimeoutError) as error:
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

    def take(self, service: str, kind: type[J], handle: Callable[[J], Awaitable[None]], workers: int) -> None:
        """Carry out this service's jobs; acknowledged when `handle` returns, delivered again when it raises."""

        async def take_one(text: str) -> None:
            await handle(kind.parse(text))

        self._subscribe(service, take_one, workers)

    def _subscribe(self, service: str, handle: Callable[[str], Awaitable[None]], workers: int) -> None:
        """Consume from the service's durable. What raises is delivered again later, never dropped, never at once."""

        async def consume(text: str, message: NatsMessage) -> None:
            delivered = message.raw_message.metadata.num_delivered
            try:
                with traced((message.headers or {}).get("traceparent")):
                    await handle(text)
            except NotYet as later:
                raise NackMessage(delay=later.seconds) from later
            except Exception as error:
                if delivered >= MAX_DELIVER:
                    _log.exception("message.dead", subject=message.raw_message.subject, delivered=delivered)
                    raise RejectMessage from error  # the row that told it tells it again
                _log.warning("message.failed", subject=message.raw_message.subject, error=repr(error)[:300])
                raise NackMessage(delay=min(30.0, 2.0**delivered)) from error

        self.broker.subscriber(
            SERVICES[service],
            durable=service,
            stream=JStream(COMMANDS_STREAM, declare=False),
            pull_sub=PullSub(batch_size=workers, timeout=1.0),
            max_workers=workers,
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )(consume)
