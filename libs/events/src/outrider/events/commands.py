"""The commands table beside the log: a command is kept before it is told, and its verdict stands for ever after."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from outrider.events.clock import Clock
from outrider.events.database import Db, Pool, Row, passing
from outrider.events.errors import Conflict, Expired, Failed, NotYet, Refused, TimedOut, Unavailable
from outrider.events.ids import shard
from outrider.events.message import Command, Json, UnknownCommand, UnknownEvent
from outrider.events.telemetry import COMMANDS, logger
from outrider.events.tracing import SpanKind, trace_context, traced

EXPIRY = timedelta(minutes=15)
RETELL = timedelta(seconds=30)
FAILURES = 10
"""So often a handler may raise: with the pauses between deliveries, for three minutes and more."""
NEWER_SECONDS = 3.0
"""A replica of a newer version has so long to take what this one cannot read, while both run side by side."""
OLDER_POLL_SECONDS = 0.05
OLDER_POLLS = 20
DECISIONS = 6
"""So many decisions hold a connection at once. Each needs another one to read and append: the pool must be larger."""
LATER = (Conflict, TimedOut, Unavailable)
"""What a handler raises that is no bug of its own."""
NEWER = (UnknownCommand, UnknownEvent)
"""What it raises where this build is older than the question, or than what is recorded."""
_log = logger(__name__)
INSERT = """
insert into log.commands
    (command_id, account_id, kind, service, target, request, seen, meta, expires_at, asker)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (command_id) do nothing
"""
LOOK = """
select c.status, c.seen, c.target, count(older.command_id) > 0 as waits,
    coalesce(bool_or(older.expires_at < clock_timestamp()), false) as stale
from log.commands c
left join log.commands older on older.target = c.target and older.accepted < c.accepted and older.status = 'accepted'
    and not exists (
        select from unnest($2::text[], $3::text[]) as o (kind, overtakes)
        where o.kind = c.kind and o.overtakes = older.kind
    )
where c.command_id = $1
group by c.command_id
"""
LOCK = """
select command_id, account_id, kind, request, status, meta, created_at, expires_at, failures,
    coalesce(expires_at < clock_timestamp(), false) as expired
from log.commands where command_id = $1 for update skip locked
"""
LOCK_EXPIRED = """
select command_id, account_id, kind, created_at, expires_at
from log.commands
where status = 'accepted' and expires_at < clock_timestamp() and ($1::text is null or target = $1)
order by expires_at
limit $2
for update skip locked
"""
BEGUN = """
select c.command_id
from unnest($1::smallint[], $2::uuid[]) as c (shard, command_id)
where exists (select from log.events e where e.shard = c.shard and e.cause = c.command_id)
"""
DECIDE = """
update log.commands set status = $2, http_status = $3, body_without_people = $4, position = $5,
    decided_at = clock_timestamp()
where command_id = $1
"""
PROLONG = """
update log.commands set expires_at = clock_timestamp() + $2::interval
where command_id = $1 and expires_at < clock_timestamp() + $2::interval / 2
"""
"""Not each time: it comes again every second."""
FAIL = "update log.commands set failures = least(failures + 1, 1000) where command_id = $1"
REJECT = """
update log.commands set status = 'rejected', http_status = $2, body_without_people = $3, decided_at = clock_timestamp()
where command_id = $1
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command led to: an HTTP status and a body without people; the gateway joins those."""

    body: Json
    status: int = 200
    position: int = 0
    """The log position that a reader must have reached to show the effect."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a command stands."""

    command_id: UUID
    account_id: UUID
    status: str
    """accepted, succeeded or rejected."""
    http_status: int | None
    body: Json | None
    position: int


Handler = Callable[[Any], Awaitable[Answer]]
"""Carries out one kind of command; raises Refused. Called again for the same command it gives the same answer."""


class Commands:
    """Accept, look up, carry out."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """`pool` is on the log's database."""
        self._pool = pool
        self._clock = clock
        self._decided = asyncio.Condition()
        self._room = asyncio.Semaphore(DECISIONS)

    async def accept(self, command: Command, service: str, seen: int, asker: UUID | None = None) -> None:
        """The command is kept: it will be carried out or refused, whatever happens to the bus. Twice is once."""
        await self._pool.execute(
            INSERT,
            command.command_id,
            command.account_id,
            command.kind,
            service,
            command.target,
            command.model_dump_json(),
            seen,
            trace_context(),
            self._clock.real() + EXPIRY if command.expires else None,
            asker,
        )

    async def verdict(self, command_id: UUID) -> Verdict | None:
        """How it stands; None where no such command was accepted."""
        row = await self._pool.fetchrow(
            "select command_id, account_id, status, http_status, body_without_people, position "
            "from log.commands where command_id = $1",
            command_id,
        )
        return None if row is None else _verdict(row)

    async def untold(self, limit: int = 100) -> Sequence[tuple[UUID, str]]:
        """Commands without a verdict that were told 30 s ago or longer, marked as told now: (id, service)."""
        rows = await self._pool.fetch(
            "update log.commands set told_at = clock_timestamp() where command_id in (select command_id from "
            "log.commands where status = 'accepted' and told_at < clock_timestamp() - $1::interval "
            "order by told_at limit $2 for update skip locked) returning command_id, service",
            RETELL,
            limit,
        )
        return [(row["command_id"], row["service"]) for row in rows]

    async def expire(self, target: str | None = None, limit: int = 100) -> Sequence[UUID]:
        """What waited for longer than it may is rejected for good: which they were; of one target only, if asked for.

        Left alone is what somebody is deciding just now, and what had been recorded when its decider was killed: that
        one is carried out once more, and answered with what was recorded.
        """
        async with self._pool.acquire() as db, db.transaction():
            rows = await db.fetch(LOCK_EXPIRED, target, limit)
            begun = await _begun(db, rows)  # after the locks: nobody can begin now
            rejected = [row for row in rows if row["command_id"] not in begun]
            for row in rejected:
                refusal = _expired(row)
                await db.execute(REJECT, row["command_id"], refusal.status, refusal.problem())
        for row in rejected:
            COMMANDS.labels(row["kind"], str(Expired.status)).inc()
            _log.info("command", kind=row["kind"], command_id=str(row["command_id"]), status=Expired.status)
        return [row["command_id"] for row in rejected]

    async def carry_out(
        self,
        command_id: UUID,
        handlers: Mapping[str, Handler],
        reach: Callable[[int], Awaitable[bool]],
    ) -> bool:
        """The command has a verdict, now or before. Whether it got it in this call.

        The row is locked from before the decision until after it, so two deliveries never decide side by side. One that
        comes too late, or whose handler raised too often, is rejected instead. Raises NotYet while another delivery is
        at it, an older command of the same target is undecided, the reader has not seen what the caller saw, or only a
        newer version can decide. None of those waits for it with a connection in its hands: the one at it needs more.
        """
        seen = await self._after_older(command_id)
        if seen is None:
            _log.info("command.repeated", command_id=str(command_id), repeated=True)
            return False
        if not await reach(seen):
            raise NotYet(1)
        try:
            await self._decide(command_id, handlers)
        except NotYet as later:
            if later.for_long:
                await self._pool.execute(PROLONG, command_id, EXPIRY)
            raise
        except LATER:
            raise
        except NEWER as error:
            _log.warning("command.left_to_a_newer_version", command_id=str(command_id), reason=str(error))
            raise NotYet(NEWER_SECONDS) from error
        except Exception as error:
            if not passing(error):
                await self._pool.execute(FAIL, command_id)
            raise
        async with self._decided:
            self._decided.notify_all()
        return True

    async def _decide(self, command_id: UUID, handlers: Mapping[str, Handler]) -> None:
        """The command has its verdict. Raises NotYet where somebody else is at it, and what its handler raises."""
        async with self._room, self._pool.acquire() as db, db.transaction():
            row = await db.fetchrow(LOCK, command_id)
            if row is None or row["status"] != "accepted":
                raise NotYet(1)
            about = {"outrider.command_id": str(command_id), "outrider.account_id": str(row["account_id"])}
            name, trace = f"decide {row['kind']}", row["meta"].get("traceparent")
            with traced(trace, name, SpanKind.INTERNAL, about) as span:
                refusal = _too_late(row)
                if refusal is not None and not await _begun(db, [row]):
                    status, answer = "rejected", Answer(refusal.problem(), refusal.status)
                else:
                    status, answer = await _carried_out(row, handlers)
                await db.execute(DECIDE, command_id, status, answer.status, answer.body, answer.position)
                COMMANDS.labels(row["kind"], str(answer.status)).inc()
                span.set_attribute("outrider.status", answer.status)
                _log.info("command", kind=row["kind"], command_id=str(command_id), status=answer.status)

    async def _after_older(self, command_id: UUID) -> int | None:
        """Return what its caller saw once no older command of the same target is undecided; None if it has a verdict.

        Raises NotYet after a second. Holds no connection while it waits: those who wait must not starve the one that
        they wait for.
        """
        for _ in range(OLDER_POLLS):
            row = await self._pool.fetchrow(LOOK, command_id, *_overtaking())
            if row is None or row["status"] != "accepted":
                return None
            if not row["waits"]:
                return int(row["seen"])
            if row["stale"] and await self.expire(row["target"]):
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(OLDER_POLL_SECONDS), self._decided:
                    await self._decided.wait()
        raise NotYet(1)


async def _carried_out(row: Row, handlers: Mapping[str, Handler]) -> tuple[str, Answer]:
    command = Command.load(row["kind"], row["request"])
    try:
        return "succeeded", await handlers[row["kind"]](command)
    except Refused as refusal:
        return "rejected", Answer(refusal.problem(), refusal.status, refusal.position)


async def _begun(db: Db, rows: Sequence[Row]) -> set[UUID]:
    """Which of these have recorded something already; their rows are locked."""
    found = await db.fetch(BEGUN, [shard(row["account_id"]) for row in rows], [row["command_id"] for row in rows])
    return {row["command_id"] for row in found}


def _overtaking() -> tuple[list[str], list[str]]:
    """Which kinds overtake which."""
    pairs = [(kind.__name__, other) for kind in Command.kinds.values() for other in sorted(kind.overtakes)]
    return [kind for kind, _ in pairs], [other for _, other in pairs]


def _too_late(row: Row) -> Refused | None:
    """Why it is not to be carried out any more, unless it has begun."""
    if row["expired"]:
        return _expired(row)
    if row["failures"] >= FAILURES:
        return Failed(command_id=str(row["command_id"]), failures=row["failures"])
    return None


def _expired(row: Row) -> Expired:
    return Expired(
        command_id=str(row["command_id"]), accepted_at=_zulu(row["created_at"]), expired_at=_zulu(row["expires_at"])
    )


def _zulu(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _verdict(row: Row) -> Verdict:
    return Verdict(
        row["command_id"],
        row["account_id"],
        row["status"],
        row["http_status"],
        row["body_without_people"],
        row["position"] or 0,
    )
