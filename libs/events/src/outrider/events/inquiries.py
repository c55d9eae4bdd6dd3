# pyright: reportUnknownMemberType=false
# FastStream leaves some options without a type.
"""Questions that lead to no fact: asked and answered over core NATS, never kept."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from faststream.nats import NatsBroker

from outrider.events.message import Message
from outrider.events.taking import LOST
from outrider.events.telemetry import logger

UNANSWERED: tuple[type[Exception], ...] = (*LOST, TimeoutError)
AT_ONCE = 16
"""In one process; others wait."""
_log = logger(__name__)


class Inquiry(Message):
    """A question about something of an account."""

    account_id: UUID
    subject_id: UUID


class Inquiries:
    """Those of one process, over its connection."""

    def __init__(self, broker: NatsBroker) -> None:
        """Nothing is asked or answered before the broker has started."""
        self._broker = broker

    async def ask(self, what: str, inquiry: Inquiry, seconds: float) -> str | None:
        """What one of those who `answer` this says; None where none did in time."""
        try:
            said = await self._broker.request(inquiry.model_dump_json(), f"ask.{what}", timeout=seconds)
        except UNANSWERED as error:
            _log.warning("inquiry.unanswered", what=what, error=type(error).__name__)
            return None
        return said.body.decode("utf-8", "replace")

    def answer(self, what: str, handle: Callable[[Inquiry], Awaitable[str]]) -> None:
        """Answer them, one replica each; one that cannot is answered by nobody."""

        async def reply(text: str) -> str:
            return await handle(Inquiry.model_validate_json(text))

        self._broker.subscriber(f"ask.{what}", queue=what, max_workers=AT_ONCE)(reply)
