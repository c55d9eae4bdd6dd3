"""How fast webhooks and the live stream tell what is recorded; the events lie in the log as the sender writes them."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
import nats
from nats.aio.client import Client

from outrider.api.webhooks import signing
from outrider.api.webhooks.delivering import PLACES
from outrider.api.webhooks.posting import Poster
from outrider.events.bus import BELL
from outrider.events.clock import real_clock
from outrider.events.database import connect
from outrider.events.delivery import EmailSent
from outrider.events.ids import new_id
from outrider.events.log import Log, Write
from tests.support.receiver import Heard, Receiver, receiving
from tests.support.story import Story

CHUNK: Final = 250
BATCH: Final = 100
"""Streams that are opened at once."""
GAP_SECONDS: Final = 0.05
SECONDS: Final = 600.0
KIBIBYTE: Final = 1024


@dataclass
class Figures:
    """What was measured."""

    events: int
    endpoints: int
    deliveries_per_second: float = 0.0
    """Of a backlog, by one process."""
    plain_posts_per_second: float = 0.0
    """The same client and bodies, signed, so many at once, and nothing of the product around them."""
    latency_p50_seconds: float = 0.0
    latency_p99_seconds: float = 0.0
    """From the append to the first attempt, of an event every 50 ms."""
    streams: int = 0
    stream_kibibytes: float = 0.0
    """Of the gateway, by each open stream."""
    gateway_mebibytes: float = 0.0
    """With all of them open."""
    stream_p99_seconds: float = 0.0
    """From the append of one event until that many of all streams had it."""


@dataclass
class Arrivals:
    """When each event came first, by its position; in order."""

    at: dict[int, float] = field(default_factory=dict[int, float])
    requests: int = 0
    first: float = 0.0
    last: float = 0.0

    def take(self, heard: Heard) -> int:
        """One request came."""
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.requests += 1
        self.at.setdefault(heard.payload["data"]["position"], self.last)
        return 200


@dataclass(frozen=True)
class Sending:
    """What the sender does: it appends, and rings."""

    log: Log
    account: UUID
    bell: Client

    async def record(self, number: int) -> int:
        """So many mails were accepted; the position of the last."""
        now = datetime.now(UTC)
        writes: list[Write] = []
        for _ in range(number):
            ids = {f"{name}_id": new_id() for name in ("delivery", "enrollment", "contact", "campaign", "credential")}
            said = {**ids, "position": 1, "attempt": 1, "planned_at": now, "sent_at": now, "status_code": "250"}
            writes.append(Write(f"delivery-{ids['delivery_id']}", 0, [EmailSent.model_validate(said)], new_id()))
        verdict = await self.log.append(self.account, *writes)
        await self.bell.publish(BELL, headers={"content-type": "text/plain"})
        return verdict.position


async def measured(story: Story, events: int, endpoints: int, streams: int) -> Figures:
    """All of it, one after the other."""
    found = Figures(events, endpoints)
    pool = await connect(story.system.site.role_urls()["outrider_sender"], "log", size=2)
    bell = await nats.connect(story.system.site.nats_url)
    sending = Sending(Log(pool, real_clock()), UUID(story.account_id), bell)
    async with receiving() as receiver:
        paths = [f"/{number}" for number in range(endpoints)]
        await asyncio.to_thread(_register, story, [receiver.url(path) for path in paths])
        await _backlog(found, sending, receiver)
        await _latency(found, sending, receiver)
        await _plain(found, receiver, receiver.heard[-1].body)
    await _streams(found, sending, story, streams)
    await bell.close()
    await pool.close()
    return found


def _register(story: Story, urls: Sequence[str]) -> None:
    for url in urls:
        body = {"webhook": {"url": url, "event_filters": ["enrollment.sent"]}}
        story.client.post("/webhooks", body)


async def _backlog(found: Figures, sending: Sending, receiver: Receiver) -> None:
    arrivals = Arrivals()
    receiver.answer = arrivals.take
    for _ in range(0, found.events, CHUNK):
        await sending.record(CHUNK)
    wanted = found.events * found.endpoints
    await receiver.until(lambda: arrivals.requests >= wanted, SECONDS)
    found.deliveries_per_second = wanted / (arrivals.last - arrivals.first)


async def _latency(found: Figures, sending: Sending, receiver: Receiver) -> None:
    arrivals, recorded = Arrivals(), dict[int, float]()
    receiver.answer = arrivals.take
    for _ in range(found.events // 10):
        position = await sending.record(1)
        recorded[position] = time.monotonic()
        await asyncio.sleep(GAP_SECONDS)
    await receiver.until(lambda: recorded.keys() <= arrivals.at.keys(), SECONDS)
    seconds = sorted(max(0.0, arrivals.at[position] - at) for position, at in recorded.items())
    found.latency_p50_seconds, found.latency_p99_seconds = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]


async def _plain(found: Figures, receiver: Receiver, body: bytes) -> None:
    secret, left = signing.new_secret(), iter(range(found.events))
    receiver.answer = lambda _: 200
    poster = Poster(inside=True)

    async def post() -> None:
        for _ in left:
            headers = {"content-type": "application/json"} | dict(
                signing.headers([secret], str(new_id()), datetime.now(UTC), body)
            )
            await poster.post(receiver.url("/plain"), headers, body)

    began = time.monotonic()
    await asyncio.gather(*(post() for _ in range(PLACES)))
    found.plain_posts_per_second = found.events / (time.monotonic() - began)
    await poster.close()


async def _streams(found: Figures, sending: Sending, story: Story, number: int) -> None:
    pid = story.system.machine.pid("api")
    before = _resident(pid)
    open_ones: list[asyncio.StreamReader] = []
    writers: list[asyncio.StreamWriter] = []
    for _ in range(0, number, BATCH):
        for reader, writer in await asyncio.gather(*(_opened(story) for _ in range(BATCH))):
            open_ones.append(reader)
            writers.append(writer)
    found.streams, found.gateway_mebibytes = len(open_ones), _resident(pid) / KIBIBYTE
    found.stream_kibibytes = (_resident(pid) - before) / len(open_ones)
    came = [asyncio.create_task(_told(reader)) for reader in open_ones]
    await sending.record(1)
    began = time.monotonic()
    seconds = sorted(at - began for at in await asyncio.gather(*came))
    found.stream_p99_seconds = seconds[len(seconds) * 99 // 100]
    for writer in writers:
        writer.close()


async def _opened(story: Story) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream from now on; its greeting was read."""
    port = int(story.system.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer {story.client.key}"
    writer.write(f"{head}\r\n\r\n".encode())
    await reader.readuntil(b"retry:")
    return reader, writer


async def _told(reader: asyncio.StreamReader) -> float:
    """When the next event came."""
    await reader.readuntil(b"\ndata:")
    return time.monotonic()


def _resident(pid: int) -> float:
    """KiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(float(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def as_json(found: Figures) -> str:
    """The figures, rounded."""
    figures = msgspec.to_builtins(found)
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    return msgspec.json.encode(rounded).decode()
