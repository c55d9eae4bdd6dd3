"""From the log to NATS: every event, in order, at least once and then never again.

It knows no event: what a newer version wrote is published like everything else.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from uuid import uuid4

import msgspec

from outrider.events import leases
from outrider.events.database import Pool, Row
from outrider.events.errors import Unavailable
from outrider.events.log import Log
from outrider.events.publication import Place, Publication, Publishable
from outrider.events.telemetry import READER_LAG, READER_LAG_SECONDS, RELAYED, logger

LEASE: Final = "api.relay"
LEASE_SECONDS: Final = 10.0
RENEW_SECONDS: Final = 3.0
WAIT_SECONDS: Final = 1.0
BATCH: Final = 500
AFTER: Final = """
select position, account_id, stream, version, type, type_version, cause, ordinal, business_at, recorded_at,
    data::text as data
from log.events
where position > $1
order by position
limit $2
"""
KEPT: Final = """
select coalesce(min(position) - 1, (select coalesce(max(position), 0) from log.events))
from log.events where recorded_at > clock_timestamp() - interval '30 days'
"""
"""Where nothing is left of what was published, it begins with what a subscriber could still expect to find."""
EPOCH: Final = "select coalesce(max(epoch), 0) from log.restores"
AHEAD: Final = "EVENTS is ahead of this log: a backup was restored, and `outrider restore` was not run to its end"
_log = logger(__name__)


class Relay:
    """One replica: at work while it has the lease, else waiting for it."""

    def __init__(self, log: Log, pool: Pool, publication: Publication) -> None:
        """`pool` leads to the log's database."""
        self._log = log
        self._pool = pool
        self._publication = publication
        self._me = uuid4()
        self._bell = asyncio.Event()
        self._held_at = 0.0
        self._place: Place | None = None
        """How far it is, while it is this replica's turn."""
        self._epoch = 0
        self._stopped = False

    def ring(self) -> None:
        """There may be something new."""
        self._bell.set()

    async def run(self) -> None:
        """Relay for ever, whenever it is this replica's turn. Raises Unavailable, after which it may be run again."""
        while not self._stopped:
            if await self._held():
                _log.info("relay.begins")
                await self._relay()
            await asyncio.sleep(WAIT_SECONDS)

    async def measure(self) -> None:
        """The gauges say how far the publication is behind the log, at the replica whose turn it is."""
        if self._place is None or time.monotonic() - self._held_at > LEASE_SECONDS:
            for gauge in (READER_LAG, READER_LAG_SECONDS):
                with suppress(KeyError):
                    gauge.remove(LEASE)
            return
        behind = await self._log.behind(self._place.position)
        READER_LAG.labels(LEASE).set(behind.events)
        READER_LAG_SECONDS.labels(LEASE).set(behind.seconds)

    async def stop(self) -> None:
        """Another replica may go on at once."""
        self._stopped = True
        await leases.release(self._pool, LEASE, self._me)

    async def _relay(self) -> None:
        place = await self._begin()
        while await self._held():
            self._place = place
            self._bell.clear()
            rows = await self._pool.fetch(AFTER, place.position, BATCH)
            if rows:
                place = await self._publication.publish([_publishable(row, self._epoch) for row in rows], place)
                _count(rows)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_SECONDS):
                    await self._bell.wait()

    async def _begin(self) -> Place:
        """Behind what was published last, by whomever; in an empty stream with what is as young as it keeps."""
        place = await self._publication.last()
        self._epoch = await self._pool.fetchval(EPOCH)
        if place.position > await self._log.last_position():
            raise Unavailable(AHEAD)  # what is recorded now would be taken for published, as far as that
        if place.position:
            return place
        return Place(await self._pool.fetchval(KEPT), place.sequence)

    async def _held(self) -> bool:
        """Whether the lease is this replica's. It is for peace only: the stream refuses whoever comes second."""
        now = time.monotonic()
        if now - self._held_at < RENEW_SECONDS:
            return True
        if self._stopped or not await leases.take(self._pool, LEASE, self._me, LEASE_SECONDS):
            return False
        self._held_at = now
        return True


def _publishable(row: Row, epoch: int) -> Publishable:
    category = row["stream"].partition("-")[0]
    payload = {**row, "data": msgspec.Raw(row["data"].encode())}
    return Publishable(
        row["position"], f"evt.{row['account_id']}.{category}.{row['type']}", msgspec.json.encode(payload), epoch
    )


def _count(rows: Sequence[Row]) -> None:
    """By category, never by account: labels are to stay few."""
    for row in rows:
        RELAYED.labels(row["stream"].partition("-")[0]).inc()
