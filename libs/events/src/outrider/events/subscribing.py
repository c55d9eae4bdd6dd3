# pyright: reportUnknownMemberType=false
# nats-py leaves some options without a type.
"""Hearing of events from outside: ``async for item in subscribe(url, "my-durable")``.

For programs of other people, who have this package, a user of nats-server, and nothing else of the product.
"""

import asyncio
import importlib
import json
import logging
import pkgutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from time import monotonic
from typing import Final
from uuid import UUID

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

import outrider.events
from outrider.events.message import Event, Json, Recorded, UnknownEvent
from outrider.events.streams import EVENTS_STREAM, subscriber

NEXT: Final = f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS_STREAM}."
EXPIRED: Final = "408"
REQUEST_SECONDS: Final = 30.0
"""So long one request stands at nats-server, waiting for something new."""
LOOK_SECONDS: Final = 2.0
"""A connection that was lost meanwhile is noticed so late."""
PAUSE_SECONDS: Final = 1.0
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
    client = await nats.connect(
        nats_url, max_reconnect_attempts=-1, reconnect_time_wait=1, name=durable, error_cb=_noted
    )
    last = 0
    try:
        if create:
            await _made(client.jetstream(), durable, account_id)
        async with aclosing(_messages(client, durable)) as messages:
            async for message in messages:
                if (item := _read(message)).position > last:
                    yield item
                last = max(last, item.position)
                await message.ack()
    finally:
        await client.close()


async def _noted(error: Exception) -> None:
    """One line of it, not a traceback for every attempt to connect."""
    logging.getLogger(__name__).warning("nats: %r", error)


async def _messages(client: Client, durable: str) -> AsyncGenerator[Msg]:
    """The durable's events, one at a time: the next is handed out when this one is acknowledged; none overtakes.

    One request stands at nats-server, and is renewed when it was answered, has ended, or may be lost with its server.
    What comes late comes to the same inbox: `fetch` of nats-py leaves it, and it would lie until `ack_wait`.
    """
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    request = json.dumps({"batch": 1, "expires": int(REQUEST_SECONDS * 1e9)}).encode()
    asked_at, reconnects = -REQUEST_SECONDS - LOOK_SECONDS, -1
    while True:
        try:
            if monotonic() - asked_at > REQUEST_SECONDS + LOOK_SECONDS or reconnects != client.stats["reconnects"]:
                asked_at, reconnects = monotonic(), client.stats["reconnects"]
                await client.publish(NEXT + durable, request, inbox)
            message = await subscription.next_msg(LOOK_SECONDS)
        except TimeoutError:
            continue
        except (NatsError, OSError):  # nobody there: the client connects again by itself
            await asyncio.sleep(PAUSE_SECONDS)
            continue
        reconnects = -1  # it was answered
        status = (message.headers or {}).get("Status")
        if status is None:
            yield message
        elif status != EXPIRED:  # the durable is not there, for example
            await asyncio.sleep(PAUSE_SECONDS)


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
