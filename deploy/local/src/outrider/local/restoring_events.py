# pyright: reportUnknownMemberType=false
# nats-py leaves some options without a type.
"""What a backup does not have and NATS still has: events of the stream EVENTS, brought back into the log as they were.

The relay publishes the log in order, without gap, so behind the newest event of the backup lies all that followed it.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext

from outrider.events.database import Pool, UniqueViolation
from outrider.events.ids import shard
from outrider.events.publication import POSITION
from outrider.events.streams import COMMANDS_STREAM, EVENTS_STREAM, declare
from outrider.local.errors import Failed

BATCH: Final = 500
SECONDS: Final = 30.0
LAST: Final = "select position, cause from log.events order by position desc limit 1"
PUT: Final = """
insert into log.events (shard, position, account_id, stream, version, type, type_version, data, cause, ordinal,
    business_at, recorded_at, meta)
overriding system value
select n.shard, n.position, n.account_id, n.stream, n.version, n.type, n.type_version, n.data, n.cause, n.ordinal,
    n.business_at, n.recorded_at, '{}'
from unnest($1::smallint[], $2::bigint[], $3::uuid[], $4::text[], $5::int[], $6::text[], $7::smallint[], $8::jsonb[],
    $9::uuid[], $10::int[], $11::timestamptz[], $12::timestamptz[]) as n (shard, position, account_id, stream, version,
    type, type_version, data, cause, ordinal, business_at, recorded_at)
order by n.position
"""
"""Not by append_groups, which decides where an event belongs: these have been recorded once, and have their place."""
OTHER_WAY: Final = "`--without-events` leaves the stream alone, and takes what was due since for mailed or unknown"
Tell = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True)
class Kept:
    """What NATS has."""

    position: int
    """Of its newest event; 0 where it has none."""
    brought_back: int


@dataclass(frozen=True, slots=True)
class _Span:
    """Of the stream, by sequence."""

    first: int
    last: int


@asynccontextmanager
async def jetstream(nats_url: str) -> AsyncGenerator[JetStreamContext]:
    """The product's streams, declared where they were lost too. Raises Failed."""
    try:
        await declare(nats_url)
        client = await nats.connect(nats_url, connect_timeout=10, max_reconnect_attempts=5)
    except Exception as error:
        raise Failed(f"nats-server does not answer: {error}") from error
    try:
        yield client.jetstream(timeout=SECONDS)
    finally:
        await client.close()


async def purge_commands(stream: JetStreamContext) -> None:
    """Nothing that was told after the backup reaches a service."""
    await stream.purge_stream(COMMANDS_STREAM)


async def bring_back(owner: Pool, stream: JetStreamContext, tell: Tell, *, leave: bool) -> Kept:
    """The log has every event that the stream has behind it; with `leave` it stays as it is.

    Can be killed and run again. Raises Failed where what the stream has does not follow what the log has.
    """
    state = (await stream.stream_info(EVENTS_STREAM)).state
    if not state.messages:
        return Kept(0, 0)
    span = _Span(state.first_seq, state.last_seq)
    newest = (await _message(stream, span.last))[0]
    last = await owner.fetchrow(LAST)
    known = last["position"] if last else 0
    if leave or newest <= known:
        return Kept(newest, 0)
    begin = await _first_after(stream, span, known)
    if last is not None:
        await _follows(stream, span, begin, known, last["cause"])
    count, total = 0, span.last - begin + 1
    async for messages in _from(stream, begin, total):
        await _put(owner, messages)
        count += len(messages)
        tell("events brought back", count, total)
    return Kept(newest, count)


async def _follows(stream: JetStreamContext, span: _Span, begin: int, known: int, cause: UUID) -> None:
    if begin == span.first:
        raise Failed(
            f"EVENTS begins behind the end of this backup ({known}), and what lies between is lost. {OTHER_WAY}"
        )
    position, said = await _message(stream, begin - 1)
    if position != known or UUID(said["cause"]) != cause:
        raise Failed(f"this log has gone on by itself after the backup, at or before {known}. {OTHER_WAY}")


async def _first_after(stream: JetStreamContext, span: _Span, position: int) -> int:
    """The sequence of the first message behind this position: positions rise with sequences."""
    low, high = span.first, span.last
    while low < high:
        middle = (low + high) // 2
        if (await _message(stream, middle))[0] > position:
            high = middle
        else:
            low = middle + 1
    return low


async def _message(stream: JetStreamContext, sequence: int) -> tuple[int, dict[str, Any]]:
    message = await stream.get_msg(EVENTS_STREAM, sequence)
    headers = cast("Mapping[str, str] | None", message.headers) or {}
    return int(headers[POSITION]), cast("dict[str, Any]", json.loads(message.data or b"{}"))


async def _from(stream: JetStreamContext, begin: int, total: int) -> AsyncGenerator[Sequence[dict[str, Any]]]:
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=begin, ack_policy=AckPolicy.NONE
    )
    subscription = await stream.pull_subscribe("evt.>", stream=EVENTS_STREAM, config=config)
    while total > 0:
        messages = await subscription.fetch(min(BATCH, total), timeout=SECONDS)
        total -= len(messages)
        yield [json.loads(message.data) for message in messages]
    await subscription.unsubscribe()


async def _put(owner: Pool, events: Sequence[dict[str, Any]]) -> None:
    try:
        await owner.execute(
            PUT,
            [shard(UUID(one["account_id"])) for one in events],
            [one["position"] for one in events],
            [one["account_id"] for one in events],
            [one["stream"] for one in events],
            [one["version"] for one in events],
            [one["type"] for one in events],
            [one["type_version"] for one in events],
            [one["data"] for one in events],
            [one["cause"] for one in events],
            [one["ordinal"] for one in events],
            [datetime.fromisoformat(one["business_at"]) for one in events],
            [datetime.fromisoformat(one["recorded_at"]) for one in events],
        )
    except UniqueViolation as error:
        raise Failed(f"what EVENTS has does not fit behind this log: {error}. {OTHER_WAY}") from error
