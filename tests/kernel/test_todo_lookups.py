"""To-dos are found by their keys and by their lanes beside any number of others, before any statistics exist."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
import pytest

from outrider.events import todo as kernel_todos
from outrider.events.claims import CLAIM_BY_LANE, LOOK, RENEW
from outrider.events.database import Db
from tests.kernel.todos import KIND, LONG_AGO, put, todo
from tests.support.kernel import Kernel, kernel

OPEN = 8000
ASKED = 30
KEYS = [f"{number:04}" for number in range(ASKED)]


class Explaining:
    """A connection on which every statement is carried out with its plan; it counts what the plan looked at."""

    def __init__(self, k: Kernel) -> None:
        """On that process's to-dos."""
        self._work = k.work
        self.looked_at = 0.0
        """Rows of tables: those that were found, and those that were passed over."""

    async def execute(self, query: str, *values: Any) -> str:
        """It was done."""
        told = await self._work.fetchval(f"explain (analyze, format json) {query}", *values)
        self.looked_at += sum(_rows(node) for node in _nodes(msgspec.json.decode(told)[0]["Plan"]))
        return "done"


def _nodes(plan: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", ()) for node in _nodes(below))]


def _rows(node: Mapping[str, Any]) -> float:
    if node.get("Relation Name") != "todos" or "Scan" not in node["Node Type"]:
        return 0
    return float((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])


async def claimed(k: Kernel, db: Db, lane: UUID) -> None:
    """As a drain that tells by lanes does it."""
    soon = k.clock.real() + timedelta(minutes=1)
    await db.execute(CLAIM_BY_LANE, KIND, k.clock.now(), k.clock.real(), [lane], uuid4(), soon, [ASKED], [ASKED])


async def renewed(k: Kernel, db: Db, lane: UUID) -> None:
    """As a drain renews its leases."""
    del lane
    await db.execute(RENEW, KIND, KEYS, uuid4(), k.clock.real())


async def closed(k: Kernel, db: Db, lane: UUID) -> None:
    """As an event closes what it is the outcome of."""
    del k, lane
    await kernel_todos.close(db, KIND, KEYS)


async def moved(k: Kernel, db: Db, lane: UUID) -> None:
    """As an event moves what is due."""
    del k, lane
    await kernel_todos.move(db, KIND, KEYS, [LONG_AGO] * ASKED)


async def test_a_look_at_many_kinds_looks_at_two_rows_of_each(urls: Mapping[str, str]) -> None:
    async with kernel(urls) as k:
        now, kinds = k.clock.now(), [KIND, "later", "both", "none"]
        for kind, days in ((KIND, (-1,)), ("later", (1,)), ("both", (-1, 1))):
            due = [now + timedelta(days=days[number % len(days)]) for number in range(OPEN)]
            await put(k, *(replace(todo(f"{number}"), kind=kind, due_at=at) for number, at in enumerate(due)))
        explaining = Explaining(k)
        await explaining.execute(LOOK, kinds, now, k.clock.real())
        assert explaining.looked_at <= 2 * len(kinds)


@pytest.mark.parametrize("ordinal", [1, 2])
@pytest.mark.parametrize("work", [claimed, renewed, closed, moved], ids=lambda work: work.__name__)
async def test_who_asks_for_thirty_looks_at_no_more_than_these(
    urls: Mapping[str, str], work: Callable[[Kernel, Db, UUID], Awaitable[None]], ordinal: int
) -> None:
    async with kernel(urls) as k:
        lane = uuid4()
        await put(k, *(todo(f"{number:04}", lane=lane, owner=uuid4(), ordinal=ordinal) for number in range(OPEN)))
        explaining = Explaining(k)
        await work(k, cast("Db", explaining), lane)
        assert ASKED <= explaining.looked_at <= 5 * ASKED
