"""To-dos of no meaning, and drains that note what they were given."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from outrider.events.claims import Places
from outrider.events.database import Row
from outrider.events.drain import Drain
from outrider.events.todo import Todo, add
from tests.support.kernel import ACCOUNT, Kernel

KIND = "note_it"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def todo(
    key: str, *, owner: UUID | None = None, scope: UUID | None = None, lane: UUID | None = None, ordinal: int = 0
) -> Todo:
    """Work that has been due for long."""
    return Todo(KIND, key, ACCOUNT, LONG_AGO, owner, scope, lane, ordinal)


async def put(k: Kernel, *todos: Todo) -> None:
    """These stand."""
    async with k.work.acquire() as db:
        await add(db, todos)


async def row(k: Kernel, key: str) -> Row:
    """How the to-do stands."""
    found = await k.work.fetchrow(
        "select due_at, held, attempts, not_before, done_at, dead_at, error from todos where kind = $1 and key = $2",
        KIND,
        key,
    )
    assert found is not None
    return found


async def come_round(k: Kernel) -> None:
    """Every lease and back-off is over."""
    await k.work.execute("update todos set not_before = not_before - interval '2 hours' where not_before is not null")


async def let_pass(k: Kernel, business: timedelta) -> None:
    """Everything is due so much earlier: as if business time had passed."""
    await k.work.execute("update todos set due_at = due_at - $1::interval", business)


@dataclass
class Notes:
    """What drains were given, in order; `fails` raises for these keys, and `until` is waited for."""

    keys: list[str] = field(default_factory=list[str])
    fails: dict[str, Exception] = field(default_factory=dict[str, Exception])
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    until: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Nothing is waited for."""
        self.until.set()

    async def do(self, todos: Sequence[Todo]) -> None:
        """Note them, or fail."""
        self.begun.set()
        await self.until.wait()
        for one in todos:
            if failure := self.fails.get(one.key):
                raise failure
        self.keys += [one.key for one in todos]

    def drain(self, k: Kernel, lanes: Mapping[UUID, int] | None = None, **options: Any) -> Drain:
        """A drain that does this, on the pools of that process."""

        async def free() -> Mapping[UUID, Places]:
            return {lane: Places(every, every) for lane, every in (lanes or {}).items()}

        return Drain(KIND, self.do, k.work, k.clock, lanes=free if lanes is not None else None, **options)


async def emptied(drain: Drain) -> int:
    """Nothing is due any more; how many rows were claimed."""
    total = 0
    while claimed := await drain.once():
        total += claimed
    return total


def fresh(count: int) -> list[UUID]:
    """So many ids."""
    return [uuid4() for _ in range(count)]
