"""What every handler and every to-do works with, and how they wait for what they need."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from outrider.events.clock import Clock
from outrider.events.database import Pool
from outrider.events.drain import Drain
from outrider.events.errors import NotYet
from outrider.events.ids import shard
from outrider.events.log import Log
from outrider.events.projector import Reader

CHUNK: Final = 250
"""Groups that are gathered into one append, or a few: between chunks others have their turn."""
INLINE: Final = 5000
"""Enrollments; what is about more of them is carried out behind the handler's back."""
INLINE_SECONDS: Final = 20.0
"""How long a handler waits for the to-do that it started; after that it comes again (`ack_wait` is 30 s)."""
PACE_SECONDS: Final = 5.0
PACE_EVENTS: Final = 1000
"""By so many may a bulk writer be ahead of the readers."""
_POLL_SECONDS: Final = 0.05
RECORDED = """
select type, count(*) as n, max(position) as last from log.events where shard = $1 and cause = $2 group by type
"""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Desk:
    """The log, the clock, the tables and their readers."""

    log: Log
    clock: Clock
    log_pool: Pool
    tables: Pool
    work: Pool
    facts: Reader
    todos: Reader
    opening_plans: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the only one who may wait, with a connection of `work`, for what the telling has locked."""

    async def fresh(self) -> int:
        """The facts hold all that is recorded now: the position. Raises NotYet where they do not come that far."""
        position = await self.log.last_position()
        if not await self.facts.reach(position):
            raise NotYet(1)
        return position

    async def kept_pace(self) -> None:
        """Our readers are close behind the log, or 10 s have passed: who writes in bulk must not run away from them.

        Everybody's decisions wait for the facts; without this those of other accounts would wait for a whole import.
        """
        position = await self.log.last_position() - PACE_EVENTS
        await self.facts.reach(position, PACE_SECONDS)
        await self.todos.reach(position, PACE_SECONDS)

    async def recorded_by(self, account: UUID, cause: UUID) -> "Tally":
        """What was recorded with this cause, in whichever streams: the same answer for a command carried out again."""
        rows = await self.log_pool.fetch(RECORDED, shard(account), cause)
        return Tally({row["type"]: row["n"] for row in rows}, max((row["last"] for row in rows), default=0))


@dataclass(frozen=True, slots=True)
class Tally:
    """How many events of each type, and the position of the last of all."""

    of: dict[str, int]
    position: int


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """The items in order, at most `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


async def done_inline(
    desk: Desk, drain: Drain, keys: Sequence[str], position: int, is_done: Callable[[], Awaitable[bool]]
) -> None:
    """The to-dos `keys`, which the event at `position` led to, are done, by this process or another.

    What this process has begun goes on when this gives up; if the process ends, the lease gives it to another one.
    Raises NotYet when it takes too long for a command.
    """
    try:
        async with asyncio.timeout(INLINE_SECONDS):
            while not await desk.todos.reach(position):
                pass
            while not await is_done():
                begun = asyncio.create_task(drain.once(*keys))
                _begun.add(begun)
                begun.add_done_callback(_begun.discard)
                if not await asyncio.shield(begun):
                    await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise NotYet(1) from None


async def carried_out(desk: Desk, drain: Drain, key: str, position: int) -> int:
    """The to-do `key` is done: a position at which all that it recorded stands."""

    async def is_over() -> bool:
        return bool(
            await desk.work.fetchval(
                "select true from todos where kind = $1 and key = $2 and done_at is not null", drain.kind, key
            )
        )

    await done_inline(desk, drain, [key], position, is_over)
    return await desk.log.last_position()


_begun: set[asyncio.Task[int]] = set()
