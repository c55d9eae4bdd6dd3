# pyright: reportUnknownMemberType=false
# nats-py leaves some options without a type.
"""Hearing of events from outside: ``async for item in subscribe(url, "my-durable")``.

For programs of other people, who have this package, a user of nats-server, and nothing else of the product.
"""

import importlib
import json
import pkgutil
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import nats
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

import outrider.events
from outrider.events.message import Event, Json, Recorded, UnknownEvent
from outrider.events.streams import EVENTS_STREAM, subscriber

LOOK_SECONDS: Final = 5.0
"""So long one request waits at nats-server for something new."""
KERNEL: Final = frozenset({"service", "bus", "testing"})
"""Modules that declare no event and bring much."""


async def subscribe(
    nats_url: str, durable: str, *, account_id: UUID | None = None, create: bool = False
) -> AsyncGenerator[Recorded[Event]]:
    """Every event of the account, in order, each as this version of the package declares it; for ever.

    An event is acknowledged when the next one is asked for, so that what a program had in hand when it was killed comes
    again, half a minute later: handle each so that a second time does no harm. While it lives nothing comes twice.
    Whatever becomes of the connection or of nats-server is waited for. `durable` was made by the operator (`outrider
    subscriber create`); with `create` it is made here, by who may do that, for `account_id` or, without one, for all.
    Raises UnknownEvent for an event of a newer version: update the package, and go on with the same durable.
    """
    _declare_all()
    client = await nats.connect(nats_url, max_reconnect_attempts=-1, reconnect_time_wait=1, name=durable)
    last = 0
    try:
        stream = client.jetstream()
        if create:
            await _made(stream, durable, account_id)
        pull = await stream.pull_subscribe_bind(durable=durable, stream=EVENTS_STREAM)
        while True:
            for message in await _next(pull):
                if (item := _read(message)).position > last:
                    yield item
                last = max(last, item.position)
                await message.ack()
    finally:
        await client.close()


async def _next(pull: JetStreamContext.PullSubscription) -> Sequence[Msg]:
    """One event, or none: the durable hands out the next when this one is acknowledged, so that none overtakes."""
    try:
        return await pull.fetch(1, timeout=LOOK_SECONDS)
    except (NatsError, OSError):  # nothing there, or nobody: the client connects again by itself
        return []


async def _made(stream: JetStreamContext, durable: str, account_id: UUID | None) -> None:
    try:
        await stream.consumer_info(EVENTS_STREAM, durable)
    except NotFoundError:
        await stream.add_consumer(EVENTS_STREAM, subscriber(durable, account_id))


def _read(message: Msg) -> Recorded[Event]:
    said: Json = json.loads(message.data)
    return Recorded(
        said["position"],
        UUID(said["account_id"]),
        said["stream"],
        said["version"],
        UUID(said["cause"]),
        said["ordinal"],
        datetime.fromisoformat(said["business_at"]),
        datetime.fromisoformat(said["recorded_at"]),
        Event.load(said["type"], said["type_version"], said["data"]),
    )


def _declare_all() -> None:
    """Every event type of this package is known."""
    for module in pkgutil.iter_modules(outrider.events.__path__):
        if module.name not in KERNEL:
            importlib.import_module(f"outrider.events.{module.name}")


__all__ = ["Event", "Recorded", "UnknownEvent", "subscribe"]
