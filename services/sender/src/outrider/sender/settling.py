"""To-dos of the sender: a started delivery without an outcome is settled as unknown after a while."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from outrider.events.clock import Clock
from outrider.events.database import Db
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryFailed,
    DeliveryStarted,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
)
from outrider.events.inbound import (
    AutoReplyReceived,
    BounceReceived,
    ComplaintReceived,
    OptOutReceived,
    ReplyReceived,
)
from outrider.events.message import Recorded
from outrider.events.projector import Projection
from outrider.events.todo import Todo, add, close
from outrider.sender.delivery import Lost
from outrider.sender.recording import Records
from outrider.sender.resolving import KIND as ANSWERED

KIND = "settle_started"


def settling(clock: Clock, seconds: float) -> Projection:
    """The reader that adds a to-do for each claim, due `seconds` of real time later, and closes it by its outcome.

    And one for each answer: it proves that the message went out.
    """
    projection = Projection("sender.settling.v1")

    @projection.on(DeliveryStarted)
    async def started(db: Db, events: Sequence[Recorded[DeliveryStarted]]) -> None:
        await add(
            db,
            [
                Todo(
                    KIND,
                    _key(item),
                    item.account_id,
                    clock.to_business(item.recorded_at + timedelta(seconds=seconds)),
                    owner=item.event.delivery_id,
                    data={"claim": str(item.event.claim)},
                    trace=item.trace,
                )
                for item in events
            ],
        )

    @projection.on(EmailSent, EmailBounced, DeliveryDeferred, DeliveryFailed, DeliveryUnknown)
    async def settled(db: Db, events: Sequence[Recorded[Any]]) -> None:
        await close(db, KIND, [_key(item) for item in events])

    @projection.on(ReplyReceived, BounceReceived, AutoReplyReceived, OptOutReceived, ComplaintReceived)
    async def answered(db: Db, events: Sequence[Recorded[Any]]) -> None:
        await add(
            db,
            [
                Todo(
                    ANSWERED,
                    f"{item.event.delivery_id}:{item.position}",
                    item.account_id,
                    item.business_at,
                    owner=item.event.delivery_id,
                    trace=item.trace,
                )
                for item in events
                if item.event.delivery_id is not None and not getattr(item.event, "suspected", False)
            ],
        )

    return projection


def _key(item: Recorded[Any]) -> str:
    return f"{item.event.delivery_id}:{item.event.attempt}"


async def settle_started(records: Records, todo: Todo) -> None:
    """A claim without an outcome for so long: whether it was mailed cannot be known."""
    if todo.owner is not None:
        await records.settle(todo.account_id, todo.owner, UUID(todo.data["claim"]), Lost("no_outcome"))
