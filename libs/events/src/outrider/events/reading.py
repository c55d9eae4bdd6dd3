"""The log as those see it who only read: streams, and what comes after a position."""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from outrider.events.database import Pool, Row
from outrider.events.ids import shard
from outrider.events.message import Event, Recorded

ALL_SHARDS = (0, 64)
"""Lower bound, and upper bound exclusive."""
COLUMNS = (
    "position, account_id, stream, version, cause, ordinal, business_at, recorded_at, meta, type, type_version, data"
)
READ_STREAM = (
    f"select {COLUMNS} from log.events where shard = any($1) and stream = $2 and version > $3 "  # noqa: S608  # constants
    "and ($4::uuid is null or account_id = $4) order by version"
)
READ_STREAMS = (
    f"select {COLUMNS} from log.events where shard = $1 and stream = any($2) and account_id = $3 "  # noqa: S608  # constants
    "order by stream, version"
)
READ_AFTER = """
with found as (
    select position, account_id, stream, version, cause, ordinal, business_at, recorded_at, meta, type, type_version,
        case when type = any($4) then data end as data
    from log.events
    where position > $1 and shard >= $2 and shard < $3
    order by position
    limit $5
), newest as (
    select position, cause from log.events order by position desc limit 1
)
select f.position, f.account_id, f.stream, f.version, f.cause, f.ordinal, f.business_at, f.recorded_at, f.meta, f.type,
    f.type_version, f.data, n.position as end_position, n.cause as end_cause,
    (select count(*) from found) as looked
from newest n
left join found f on f.data is not null or f.position = (select max(position) from found)
order by f.position
"""
"""One statement is one snapshot: what is not among the found up to the newest position is of other shards.

Of what nobody asked for, only the last travels: it says how far was looked.
"""
BEHIND = """
select (select coalesce(max(position), 0) from log.events) - $1::bigint as events,
    (select extract(epoch from clock_timestamp() - recorded_at)::float8
    from log.events where position > $1 order by position limit 1) as seconds
"""
NEXT = """
select position, type from log.events
where position > $1 and shard >= $2 and shard < $3
order by position
limit 1
"""


class Behind(NamedTuple):
    """How much of the log lies after a position."""

    events: int
    seconds: float
    """Since the first of them was recorded."""


class Reading:
    """Read the log."""

    def __init__(self, pool: Pool) -> None:
        """`pool` leads to the log's database."""
        self._pool = pool

    async def read_stream(self, account: UUID | None, stream: str, after: int = 0) -> list[Recorded[Event]]:
        """The events of one stream in order; account None looks through every shard (a signed id names no account)."""
        shards = list(range(64)) if account is None else [shard(account)]
        return [recorded(row) for row in await self._pool.fetch(READ_STREAM, shards, stream, after, account)]

    async def read_streams(self, account: UUID, streams: Sequence[str]) -> dict[str, list[Recorded[Event]]]:
        """The events of many streams, each in order; of those that do not exist nothing."""
        found: dict[str, list[Recorded[Event]]] = {}
        for row in await self._pool.fetch(READ_STREAMS, shard(account), list(streams), account):
            found.setdefault(row["stream"], []).append(recorded(row))
        return found

    async def read_after(
        self, position: int, types: Collection[str], limit: int = 500, shards: tuple[int, int] = ALL_SHARDS
    ) -> tuple[list[Recorded[Event]], int, UUID | None]:
        """The next events of these types, with the position and cause of the event up to which these shards are read.

        At most `limit` events are looked at; with fewer left it is the newest of the log, of whichever shard. Raises
        UnknownEvent for one of these types in a version from the future.
        """
        rows = await self._pool.fetch(READ_AFTER, position, *shards, list(types), limit)
        events = [recorded(row) for row in rows if row["data"] is not None]
        if not rows or rows[0]["end_position"] <= position:
            return events, position, None
        last = rows[-1]
        if last["looked"] < limit or last["position"] is None:
            return events, last["end_position"], last["end_cause"]
        return events, last["position"], last["cause"]

    async def next_after(self, position: int, shards: tuple[int, int] = ALL_SHARDS) -> tuple[int, str] | None:
        """Position and type of the next event, also of one that this build does not know; None at the end."""
        row = await self._pool.fetchrow(NEXT, position, *shards)
        return None if row is None else (row["position"], row["type"])

    async def last_position(self) -> int:
        """The position of the newest event; 0 in an empty log."""
        return int(await self._pool.fetchval("select coalesce(max(position), 0) from log.events") or 0)

    async def behind(self, position: int) -> Behind:
        """How far somebody who stands there is behind."""
        row = await self._pool.fetchrow(BEHIND, position)
        return Behind(max(0, row["events"]), max(0.0, row["seconds"] or 0.0)) if row else Behind(0, 0.0)

    async def cause_at(self, position: int) -> UUID | None:
        """The cause of the event at this position: a checkpoint whose cause is another one belongs to another log."""
        cause: UUID | None = await self._pool.fetchval("select cause from log.events where position = $1", position)
        return cause


def recorded(row: Row) -> Recorded[Event]:
    """Decode one row of the log."""
    return Recorded(
        row["position"],
        row["account_id"],
        row["stream"],
        row["version"],
        row["cause"],
        row["ordinal"],
        row["business_at"],
        row["recorded_at"],
        Event.load(row["type"], row["type_version"], row["data"]),
        row["meta"],
    )
