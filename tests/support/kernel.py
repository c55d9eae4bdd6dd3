"""A log on the test's database under one service's role, and small categories to append to it."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from outrider.events.account import AccountOpened, PlanChanged
from outrider.events.aggregate import Aggregate
from outrider.events.clock import Clock, real_clock
from outrider.events.database import Pool, connect
from outrider.events.log import Log
from outrider.events.message import Event

ACCOUNT = UUID("0190b7a4-0000-7000-8000-000000000001")


@dataclass(frozen=True)
class Counter:
    """How often the plan was changed, and to what at last."""

    opened: bool = False
    changes: int = 0
    limit: int | None = None


def evolve(state: Counter, event: Event) -> Counter:
    """Count."""
    match event:
        case AccountOpened():
            return replace(state, opened=True, limit=event.monthly_limit)
        case PlanChanged():
            return Counter(state.opened, state.changes + 1, event.monthly_limit)
        case _:
            return state


counter = Aggregate("account", Counter(), evolve)


def changed(limit: int) -> PlanChanged:
    """A small event."""
    return PlanChanged(account_id=ACCOUNT, monthly_limit=limit)


@dataclass
class Kernel:
    """One process's view: its pools and its log."""

    pool: Pool
    tables: Pool
    work: Pool
    log: Log
    clock: Clock


@asynccontextmanager
async def kernel(urls: Mapping[str, str], member: str = "dispatcher") -> AsyncGenerator[Kernel]:
    """Connected as the member's login role."""
    url = urls[f"outrider_{member}"]
    pool = await connect(url, "log", size=8)
    tables = await connect(url, member, size=6)
    work = await connect(url, f"{member}_work", size=6)
    clock = real_clock()
    try:
        yield Kernel(pool, tables, work, Log(pool, clock), clock)
    finally:
        for one in (pool, tables, work):
            one.terminate()
