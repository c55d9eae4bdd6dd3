# pyright: reportUnknownMemberType=false
# nats-py leaves some options without a type.
"""What JetStream keeps: the streams, and each service's durable consumer."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

import nats
from nats.js.api import AckPolicy as ConsumerAckPolicy
from nats.js.api import ConsumerConfig, ConsumerInfo, RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

COMMANDS_STREAM = "COMMANDS"
EVENTS_STREAM = "EVENTS"
SEND_PARTITIONS: Final = 64
SERVICES: Final[Mapping[str, str]] = {
    "dispatcher": "cmd.dispatcher",
    "api": "cmd.api",
    "sender_tests": "cmd.tests",
    "sender_commands": "cmd.sender",
    "reply_watcher": "cmd.reply_watcher",
    **{f"sender-{number}": f"cmd.send.{number}" for number in range(SEND_PARTITIONS)},
}
"""Each durable consumer, of a service or of one line of its work, and the subject that it takes."""
FORMER: Final = ("sender",)
"""Consumers of earlier versions: two of one subject are not allowed."""
STREAMS: Final = (
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
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        max_age=timedelta(days=30).total_seconds(),
    ),
)
STREAM_FIELDS: Final = ("subjects", "retention", "storage", "max_age")
CONSUMER_FIELDS: Final = ("filter_subject", "ack_policy", "ack_wait", "max_deliver", "max_ack_pending")
ACK_WAIT_SECONDS = 30
MAX_DELIVER = 20
PUBLISH_SECONDS: Final = 3.0
"""For JetStream to keep a message."""


async def declare(nats_url: str) -> None:
    """The streams and durable consumers stand as this build wants them; what differed is updated.

    A changed configuration of an existing durable is ignored by a subscriber, so nobody else declares them.
    """
    client = await nats.connect(nats_url, connect_timeout=10, max_reconnect_attempts=5)
    try:
        jetstream = client.jetstream(timeout=10)
        for stream in STREAMS:
            try:
                await jetstream.update_stream(stream)
            except NotFoundError:
                await jetstream.add_stream(stream)
        for durable in FORMER:
            with suppress(NotFoundError):
                await jetstream.delete_consumer(COMMANDS_STREAM, durable)
        await asyncio.gather(*(jetstream.add_consumer(COMMANDS_STREAM, consumer(*one)) for one in SERVICES.items()))
    finally:
        await client.close()


def subscriber(durable: str, account_id: UUID | None) -> ConsumerConfig:
    """How the durable of a subscriber outside is configured: of one account, or of all; one event at a time."""
    return ConsumerConfig(
        durable_name=durable,
        filter_subject=f"evt.{account_id}.>" if account_id else "evt.>",
        ack_policy=ConsumerAckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_SECONDS,
        max_ack_pending=1,
    )


async def declare_subscriber(nats_url: str, durable: str, account_id: UUID) -> None:
    """The durable stands, for events of this account from the oldest that is kept. Raises what nats-server says."""
    client = await nats.connect(nats_url, connect_timeout=10, max_reconnect_attempts=5)
    try:
        await client.jetstream(timeout=10).add_consumer(EVENTS_STREAM, subscriber(durable, account_id))
    finally:
        await client.close()


def consumer(durable: str, subject: str) -> ConsumerConfig:
    """How a service's durable consumer is configured."""
    return ConsumerConfig(
        durable_name=durable,
        filter_subject=subject,
        ack_policy=ConsumerAckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_SECONDS,
        max_deliver=MAX_DELIVER,
        max_ack_pending=1000,
    )


async def differences(nats_url: str) -> Sequence[str]:
    """What of the streams and consumers is not as this build declares it, one sentence each. Changes nothing."""
    client = await nats.connect(nats_url, connect_timeout=10, max_reconnect_attempts=1)
    found: list[str] = []
    try:
        jetstream = client.jetstream(timeout=10)
        for wanted in STREAMS:
            try:
                info = await jetstream.stream_info(str(wanted.name))
            except NotFoundError:
                found.append(f"stream {wanted.name} is not there")
                continue
            found += _differ(f"stream {wanted.name}", wanted, info.config, STREAM_FIELDS)
        if f"stream {COMMANDS_STREAM} is not there" in found:
            return found
        there = {info.name: info.config for info in await _consumers(jetstream)}
        for durable, subject in SERVICES.items():
            if durable not in there:
                found.append(f"consumer {durable} is not there")
            else:
                found += _differ(f"consumer {durable}", consumer(durable, subject), there[durable], CONSUMER_FIELDS)
        found += [f"consumer {name} is nobody's" for name in sorted(there.keys() - SERVICES.keys())]
    finally:
        await client.close()
    return found


async def _consumers(jetstream: JetStreamContext) -> Sequence[ConsumerInfo]:
    """All of COMMANDS: nats-server answers them in pages."""
    found: list[ConsumerInfo] = []
    while page := await jetstream.consumers_info(COMMANDS_STREAM, offset=len(found)):
        found += page
    return found


def _differ(what: str, wanted: object, there: object, names: Sequence[str]) -> Sequence[str]:
    pairs = [(name, getattr(wanted, name), getattr(there, name)) for name in names]
    return [f"{what}: {name} is {now}, not {then}" for name, then, now in pairs if then != now]
