"""Drains: each carries out one kind of to-do, in any number of processes side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from outrider.events.claims import CLAIM, CLAIM_BY_LANE, FIELDS, LOCK_LANES, NEXT, NOT_DONE, RENEW, Places, kept
from outrider.events.clock import Clock
from outrider.events.database import Pool, Row, heed_cancellation, passing
from outrider.events.errors import NotYet
from outrider.events.telemetry import TODOS, logger
from outrider.events.todo import Todo, todo_of
from outrider.events.tracing import SpanKind, follows

TRIES = 20
POLL_SECONDS = 1.0
AGAIN_SECONDS = 2.0
"""After so many real seconds a row comes again whose work met a lost database."""
_log = logger(__name__)

Do = Callable[[Sequence[Todo]], Awaitable[None]]
Lanes = Callable[[], Awaitable[Mapping[UUID, Places]]]
"""Per lane how many may be told now."""


class Drain:
    """One kind of to-do at work."""

    def __init__(  # noqa: PLR0913  # each is one rule of the kind
        self,
        kind: str,
        do: Do,
        work: Pool,
        clock: Clock,
        *,
        batch: int = 50,
        lease_seconds: float = 30,
        again_seconds: float | None = None,
        lanes: Lanes | None = None,
    ) -> None:
        """`do` gets up to `batch` rows and must be safe to run twice.

        Without `again_seconds` a row is done when `do` returns. With it the row was only told: an event closes it, and
        without that event it comes due again after so many real seconds.
        """
        self.kind = kind
        self.failed: BaseException | None = None
        """Why nothing can be claimed at the moment, if it is not a lost database; health shows it."""
        self._do = do
        self._work = work
        self._clock = clock
        self._batch = batch
        self._lease = timedelta(seconds=lease_seconds)
        self._again = None if again_seconds is None else timedelta(seconds=again_seconds)
        self._lanes = lanes
        self.looks_itself = lanes is not None
        """Otherwise it has to be rung when something falls due: by a Lookout."""
        self._me = uuid4()
        self._bell = asyncio.Event()

    def ring(self) -> None:
        """Wake it: there may be something due."""
        self._bell.set()

    async def once(self, *keys: str) -> int:
        """Claim what is due (or only these keys) and carry it out; how many rows were claimed.

        Rows that cannot be carried out together are carried out one by one, so that only the guilty is sent back.
        """
        todos = await self._claim_keys(keys) if keys else await self._claim()
        if todos:
            claimed = [todo.key for todo in todos]
            async with kept(self._work, self._clock, self.kind, claimed, self._me, self._lease):
                await self._carry_out(todos)
        return len(todos)

    async def _carry_out(self, todos: Sequence[Todo]) -> None:
        try:
            await self._traced(todos)
        except NotYet as later:
            await self._postpone(todos, later.seconds, None)
        except Exception as error:  # noqa: BLE001  # whatever the work raises, its row says so
            heed_cancellation()
            if passing(error):
                _log.warning("todo.waits", kind=self.kind, error=repr(error)[:300])
                await self._postpone(todos, AGAIN_SECONDS, None)
            elif len(todos) > 1:
                for todo in todos:
                    await self._carry_out([todo])
            else:
                await self._fail(todos[0], error)
        else:
            await self._finish(todos)

    async def _traced(self, todos: Sequence[Todo]) -> None:
        """They are carried out, in a trace that is linked to what led to each."""
        about = {"outrider.todos": len(todos)}
        with follows(f"todo {self.kind}", [todo.trace for todo in todos], SpanKind.INTERNAL, about) as span:
            try:
                return await self._do(todos)
            except NotYet as later:
                span.set_attribute("outrider.later_seconds", later.seconds)
                postponed = later
        raise postponed

    async def _fail(self, todo: Todo, error: Exception) -> None:
        dead = todo.attempts + 1 >= TRIES
        _log.exception("todo.dead" if dead else "todo.failed", kind=self.kind, key=todo.key, attempts=todo.attempts + 1)
        await self._postpone([todo], min(3600.0, 5.0 * 2**todo.attempts), f"{type(error).__name__}: {error}")

    async def _claim(self) -> list[Todo]:
        real = self._clock.real()
        until = real + self._lease
        if self._lanes is None:
            rows = await self._work.fetch(CLAIM, self.kind, self._clock.now(), real, self._batch, self._me, until)
        else:
            rows = await self._claim_by_lane(self._lanes, real, until)
        return [todo_of(row) for row in rows]

    async def _claim_by_lane(self, lanes: Lanes, real: datetime, until: datetime) -> Sequence[Row]:
        """One process at a time: what another one claims meanwhile would fill the same places."""
        async with self._work.acquire() as db, db.transaction():
            await db.execute(LOCK_LANES, self.kind)
            free = {lane: places for lane, places in (await lanes()).items() if places.every > 0}
            every = [min(places.every, self._batch) for places in free.values()]
            firsts = [min(places.firsts, self._batch) for places in free.values()]
            now = self._clock.now()
            return await db.fetch(CLAIM_BY_LANE, self.kind, now, real, list(free), self._me, until, every, firsts)

    async def _claim_keys(self, keys: Sequence[str]) -> list[Todo]:
        real = self._clock.real()
        rows = await self._work.fetch(
            f"update todos set leased_by = $3, not_before = $4 where kind = $1 and key = any($2) and {NOT_DONE} "  # noqa: S608  # constants
            f"and dead_at is null and not held and (not_before is null or not_before <= $5) returning {FIELDS}",
            self.kind,
            list(keys),
            self._me,
            real + self._lease,
            real,
        )
        return [todo_of(row) for row in rows]

    async def _finish(self, todos: Sequence[Todo]) -> None:
        TODOS.labels(self.kind, "told" if self._again else "done").inc(len(todos))
        keys = [todo.key for todo in todos]
        if self._again is None:
            await self._work.execute(
                f"update todos set done_at = clock_timestamp() where kind = $1 and key = any($2) and leased_by = $3 "  # noqa: S608  # constants
                f"and {NOT_DONE}",
                self.kind,
                keys,
                self._me,
            )
        else:
            await self._work.execute(RENEW, self.kind, keys, self._me, self._clock.real() + self._again)

    async def _postpone(self, todos: Sequence[Todo], seconds: float, error: str | None) -> None:
        """Give them back for later; after 20 failures a row is dead until someone retries it."""
        TODOS.labels(self.kind, "failed" if error else "later").inc(len(todos))
        await self._work.execute(
            "update todos set leased_by = null, attempts = attempts + $6, error = coalesce($5, error), "  # noqa: S608  # constants
            "not_before = case when not_before is not null then $4::timestamptz end, "
            "dead_at = case when attempts + $6 >= $7 then clock_timestamp() end "
            f"where kind = $1 and key = any($2) and leased_by = $3 and {NOT_DONE}",
            self.kind,
            [todo.key for todo in todos],
            self._me,
            self._clock.real() + timedelta(seconds=seconds),
            error,
            1 if error else 0,
            TRIES,
        )

    async def follow(self) -> None:
        """Drain for ever, whenever it is rung, whatever fails: then it is tried again a second later."""
        while True:
            self._bell.clear()
            seconds: float | None = POLL_SECONDS
            try:
                if await self.once():
                    self.failed = None
                    continue
                seconds = await self._next_look()
                self.failed = None
            except Exception as error:  # noqa: BLE001  # a drain that ended would leave everything undone
                heed_cancellation()
                if passing(error):
                    _log.warning("todo.waits", kind=self.kind, error=repr(error)[:300])
                else:
                    self.failed = error
                    _log.exception("todo.stuck", kind=self.kind)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._bell.wait()

    async def _next_look(self) -> float | None:
        """In how many real seconds it looks again without being rung; None: a Lookout rings.

        Where lanes are told no cheap question tells whether something can be claimed: before it in the order of time
        lies everything that was told and is not settled. So it tries, every second or when the next row falls due.
        """
        if self._lanes is None:
            return None
        later = await self._work.fetchval(NEXT, self.kind, self._clock.now())
        return POLL_SECONDS if later is None else min(POLL_SECONDS, self._clock.real_seconds_until(later))


def each(do: Callable[[Todo], Awaitable[None]]) -> Do:
    """Carry out a claimed batch one by one; use with ``batch=1`` where one failure must not send back the others."""

    async def do_each(todos: Sequence[Todo]) -> None:
        for todo in todos:
            await do(todo)

    return do_each
