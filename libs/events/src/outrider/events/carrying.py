# pyright: reportUnknownMemberType=false
# nats-py and FastStream leave some options without a type.
"""How a message from JetStream is carried out, and what it is answered: done, later, or never again."""

from collections.abc import Awaitable, Callable

from faststream.nats import NatsBroker
from nats.aio.msg import Msg

from outrider.events.errors import NotYet
from outrider.events.streams import COMMANDS_STREAM, MAX_DELIVER, PUBLISH_SECONDS
from outrider.events.taking import Ack, Answer, Nak, Term
from outrider.events.telemetry import MESSAGES_DEAD, logger
from outrider.events.tracing import SpanKind, traced

_log = logger(__name__)


class Carrying:
    """The messages of one process."""

    def __init__(self, broker: NatsBroker) -> None:
        """`broker` publishes what is to come again beyond its last delivery."""
        self._broker = broker

    async def carried_out(self, what: str, handle: Callable[[str], Awaitable[None]], message: Msg) -> Answer:
        """How the message is answered. What raises is delivered again later, never dropped, never at once."""
        delivered, subject, text = message.metadata.num_delivered, message.subject, message.data.decode()
        try:
            later = await _handled(what, handle, message)
            if later is None:
                return Ack()
            if delivered < MAX_DELIVER:
                return Nak(later)
            # Patience has no end: the last copy makes room for a fresh one.
            await self._broker.publish(text, subject, stream=COMMANDS_STREAM, timeout=PUBLISH_SECONDS)
        except Exception as error:  # noqa: BLE001  # whatever it is, the message is answered
            if delivered >= MAX_DELIVER:
                MESSAGES_DEAD.labels(what).inc()
                _log.exception("message.dead", subject=subject, delivered=delivered)
                return Term()  # the row that told it tells it again
            _log.warning("message.failed", subject=subject, error=repr(error)[:300])
            return Nak(min(30.0, 2.0**delivered))
        return Ack()


async def _handled(what: str, handle: Callable[[str], Awaitable[None]], message: Msg) -> float | None:
    """None where it is done; else in how many seconds it is to come again."""
    trace, about = (message.headers or {}).get("traceparent"), {"outrider.delivered": message.metadata.num_delivered}
    with traced(trace, f"take {what}", SpanKind.CONSUMER, about) as span:
        try:
            await handle(message.data.decode())
        except NotYet as later:
            span.set_attribute("outrider.later_seconds", later.seconds)
            return later.seconds
    return None
