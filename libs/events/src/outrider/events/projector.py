"""Projections: events in, SQL out. A reader applies each event exactly once, in order, on one replica at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, TypeVar, overload

from outrider.events.database import DISCONNECTED, DOUBTFUL, Db, Pool, Row, heed_cancellation, passing
from outrider.events.log import Log
from outrider.events.message import Event, Recorded
from outrider.events.reading import ALL_SHARDS
from outrider.events.telemetry import logger

E = TypeVar("E", bound=Event)
Apply = Callable[[Db, Sequence[Recorded[E]]], Awaitable[None]]
A = TypeVar("A", bound=Callable[[Db, Any], Awaitable[None]])
BATCH = 500
POLL_SECONDS = 1.0
"""The doorbell is only a hint: without it a reader looks this often."""
PATIENCE = 5
"""So often in a row a handler may fail as if the database were lost while it is not: then it is a bug."""
TAKE = """
select c.shards, c.position, c.cause,
    (select min(o.position) from checkpoints o where o.reader = c.reader and o.shards <> c.shards) as others
from checkpoints c
where c.reader = $1
order by c.position, c.shards
limit 1
for update of c skip locked
"""
"""Of the shard ranges that nobody is at, the one that is furthest behind."""
FIRST = """
insert into checkpoints (reader, shards) select $1, int4range($2, $3)
where not exists (select from checkpoints where reader = $1)
on conflict do nothing
"""
MOVE = "update checkpoints set position = $3, cause = $4 where reader = $1 and shards = $2"
_log = logger(__name__)


class WrongLog(RuntimeError):
    """The checkpoint does not belong to this log: a backup was restored. Nothing is applied until someone decides."""


class Projection:
    """A named set of event handlers. The name is its checkpoint: another shape of tables wants another name."""

    def __init__(self, name: str) -> None:
        """`name` as ``service.what.v1``."""
        self.name = name
        self.handlers: dict[str, Apply[Any]] = {}
        self.apart: dict[str, str] = {}
        """Of event types whose handlers have tables of their own: which."""

    @overload
    def on(self, kind: type[E], /, *, apart: str = "") -> Callable[[Apply[E]], Apply[E]]: ...

    @overload
    def on(self, *kinds: type[Event], apart: str = "") -> Callable[[A], A]: ...

    def on(self, *kinds: type[Event], apart: str = "") -> Callable[[A], A]:
        """Register the handler of runs of these event types; a run holds them in the order of the log.

        Handlers with the same `apart` share tables that no other handler of the projection reads or writes. Their
        events may then be applied after others of the same batch, so that long runs come of types that alternate.
        """

        def register(apply: A) -> A:
            for kind in kinds:
                if kind.name in self.handlers:
                    raise TypeError(f"{self.name} has two handlers for {kind.name}")
                self.handlers[kind.name] = apply
                self.apart[kind.name] = apart
            return apply

        return register

    def join(self, part: "Projection") -> None:
        """Register the handlers of another one."""
        for kind, apply in part.handlers.items():
            self.on(Event.types[kind], apart=part.apart[kind])(apply)

    async def apply(self, db: Db, events: Sequence[Recorded[Event]]) -> None:
        """Give the events to their handlers, in runs as long as the order of what shares tables allows."""
        ordered = sorted(events, key=lambda item: self.apart[item.event.name])
        for handler, run in groupby(ordered, key=lambda item: self.handlers[item.event.name]):
            await handler(db, list(run))


class Reader:
    """One projection at work on one database.

    Its checkpoint is one row, or one for each of the shard ranges that an operator split it into: replicas then apply
    different ranges side by side. The order of an account's events is kept, since an account lies in one range.
    """

    def __init__(self, projection: Projection, log: Log, tables: Pool) -> None:
        """`tables` is a pool whose search path is the schema of the projection; its checkpoint lies there too."""
        self.projection = projection
        self.failed: BaseException | None = None
        """Why it stopped for good."""
        self.trouble = ""
        """The same as a sentence for health: its name, the position and type of the broken event, the kind of error."""
        self.position = 0
        """How far the tables are known to be, by whichever replica, in every shard range."""
        self._log = log
        self._tables = tables
        self._at = (ALL_SHARDS, 0)
        """The shard range that was last locked, and where it stood."""
        self._held = False
        """Whether `catch_up` had one at all: otherwise another replica is at it."""
        self._bell = asyncio.Event()
        self._moved = asyncio.Condition()
        self.then: list[Callable[[], None]] = []
        """Called whenever it moved: to-dos that it filled are looked at."""

    def ring(self) -> None:
        """Wake it: there may be something new."""
        self._bell.set()

    async def catch_up(self, limit: int = BATCH) -> int:
        """Apply the next events in one transaction with the checkpoint.

        Answers by how many positions it moved: 0 when it is up to date, or when another replica is at it. Raises what
        a handler raises (a bug), UnknownEvent (this build is older than the data), WrongLog.
        """
        async with self._tables.acquire() as db, db.transaction():
            row = await self._take(db)
            self._held = row is not None
            if row is None:
                return 0
            shards, position = self._at
            events, last, cause = await self._log.read_after(position, self.projection.handlers, limit, shards)
            await self.projection.apply(db, events)
            if cause is not None:
                await db.execute(MOVE, self.projection.name, row["shards"], last, cause)
        await self._reached(last if row["others"] is None else min(last, row["others"]))
        return last - position

    async def _take(self, db: Db) -> Row | None:
        """Lock the checkpoint, of the shard range that is furthest behind; None while other replicas hold all."""
        row = await db.fetchrow(TAKE, self.projection.name)
        if row is None:
            await db.execute(FIRST, self.projection.name, *ALL_SHARDS)
            row = await db.fetchrow(TAKE, self.projection.name)
        if row is None:
            return None
        position: int = row["position"]
        self._at = ((row["shards"].lower, row["shards"].upper), position)
        # Looked at every time: a server that failed over may have lost its last events while nobody was connected.
        if row["cause"] is not None and await self._log.cause_at(position) != row["cause"]:
            raise WrongLog(f"{self.projection.name} stands at {position}, where this log has another event or none")
        return row

    async def _reached(self, position: int) -> None:
        async with self._moved:
            moved = position > self.position
            self.position = max(self.position, position)
            self._moved.notify_all()
        if moved:
            for wake in self.then:
                wake()

    async def follow(self) -> None:
        """Catch up, then wait for the doorbell or a second, until a bug stops it. A lost database is waited for.

        A batch that fails is applied event by event, so that everything before the broken one is in the tables.
        """
        doubts = one_by_one = 0
        while True:
            self._bell.clear()
            try:
                if await self.catch_up(1 if one_by_one else BATCH):
                    doubts, one_by_one = 0, max(0, one_by_one - 1)
                    continue
                if not self._held:
                    await self.look()
            except Exception as error:  # noqa: BLE001  # whatever it is, health shows it
                heed_cancellation()
                doubts = doubts + 1 if isinstance(error, DOUBTFUL) and await self._answered() else 0
                if passing(error) and doubts < PATIENCE:
                    _log.warning("reader.waits", reader=self.projection.name, error=repr(error)[:300])
                elif one_by_one or isinstance(error, WrongLog):
                    return await self._stop(error)
                else:
                    one_by_one = BATCH
                    _log.warning(
                        "reader.steps", reader=self.projection.name, after=self._at[1], error=type(error).__name__
                    )
                    continue
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._bell.wait()

    async def _stop(self, error: Exception) -> None:
        """Health says where it stopped, and at what; the event is the next after the checkpoint."""
        shards, at = self._at
        broken = None
        if not isinstance(error, WrongLog):
            with suppress(*DISCONNECTED):
                broken = await self._log.next_after(at, shards)
        position, kind = broken or (at, "")
        place = f"{position} ({kind})" if kind else f"{position}"
        self.trouble = f"reader {self.projection.name} stopped at {place}: {type(error).__name__}"
        self.failed = error
        _log.error("reader.stopped", reader=self.projection.name, position=position, type=kind, exc_info=error)

    async def _answered(self) -> bool:
        try:
            await self._tables.fetchval("select 1")
            await self._log.last_position()
        except DISCONNECTED:
            return False
        return True

    async def look(self) -> None:
        """Learn how far another replica has brought the tables."""
        position = await self._tables.fetchval(
            "select min(position) from checkpoints where reader = $1", self.projection.name
        )
        await self._reached(position or 0)

    async def reach(self, position: int, seconds: float = 2.0) -> bool:
        """Whether the tables stand at `position` or later, after at most that many real seconds."""
        if self.position >= position:
            return True
        self.ring()
        try:
            async with asyncio.timeout(seconds):
                while self.position < position:
                    await self._step(position)
        except TimeoutError:
            return False
        return True

    async def _step(self, position: int) -> None:
        """Wait until this process moved, or look at what another replica did."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05), self._moved:
                await self._moved.wait_for(lambda: self.position >= position)
        if self.position < position:
            try:
                await self.look()
            except DISCONNECTED:
                heed_cancellation()
                await asyncio.sleep(0.05)


async def caught_up(reader: Reader) -> int:
    """Apply everything that is recorded now; the position. For tests and rebuilds: nobody else may be at it."""
    while await reader.catch_up():
        pass
    return reader.position
