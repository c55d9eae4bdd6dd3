"""How rows of to-dos are added, claimed by one of many workers, and kept by it while it is at them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from outrider.events.clock import Clock
from outrider.events.database import PASSING, Pool, heed_cancellation


class Places(NamedTuple):
    """How many to-dos of a lane may be told now."""

    every: int
    firsts: int
    """Of these, at most so many whose ordinal is 1 (or 0); those after it go before them."""


RENEWALS = 180
"""Of 10 s each with the usual lease: what is at it for longer than half an hour hangs, and another one may try."""
NOT_DONE = "coalesce(done_at, 'infinity') = 'infinity'"
"""`done_at is null`, in words that fit no index of what is open: rows whose kind and key are given are found by these.

With statistics that are young, or older than a burst, the planner holds an index of what is open for as good as the
primary key, takes it by its kind alone, and looks at everything that is open for each row that it is asked for. For
the same reason a join with a list of keys also says `key = any(...)`.
"""
FIELDS = "kind, key, account_id, owner, scope, lane, ordinal, due_at, data, attempts, trace"
ADD = """
insert into todos (kind, key, account_id, owner, scope, lane, ordinal, due_at, data, held, trace)
select * from unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::bigint[],
    $8::timestamptz[], $9::jsonb[], $10::boolean[], $11::text[])
on conflict (kind, key) do nothing
"""
CLAIM = f"""
with due as (
    select kind, key from todos t
    where kind = $1 and done_at is null and dead_at is null and not held and due_at <= $2
        and (not_before is null or not_before <= $3)
    order by due_at
    limit $4
    for update skip locked
)
update todos t set leased_by = $5, not_before = $6
from due where t.kind = due.kind and t.key = due.key
returning {", ".join("t." + name for name in FIELDS.split(", "))}
"""  # noqa: S608  # constants
OPEN_IN_LANE = """
select x.kind, x.key, x.due_at from todos x
where x.lane = f.lane and x.kind = $1 and x.done_at is null and x.dead_at is null and not x.held
    and x.due_at <= $2 and (x.not_before is null or x.not_before <= $3)
    and (x.owner is null or x.ordinal = (
        select min(e.ordinal) from todos e where e.owner = x.owner and e.kind = x.kind and e.done_at is null
    ))
"""
CLAIM_BY_LANE = f"""
with due as materialized (  -- the shape leaves the planner no choice: with young statistics a join took seconds
    select t.kind, t.key
    from unnest($4::uuid[], $7::int[], $8::int[]) as f (lane, places, firsts)
    cross join lateral (
        (select y.kind, y.key, 0 as turn from ({OPEN_IN_LANE} and x.ordinal > 1 order by x.due_at limit f.places) y)
        union all
        (select z.kind, z.key, 1 from ({OPEN_IN_LANE} and x.ordinal <= 1 order by x.due_at limit f.firsts) z)
        order by turn
        limit f.places
    ) t
),
locked as materialized (
    select t.kind, t.key
    from due
    cross join lateral (
        select x.kind, x.key from todos x
        where x.kind = due.kind and x.key = due.key and {NOT_DONE} and x.dead_at is null and not x.held
            and (x.not_before is null or x.not_before <= $3)
        for update skip locked  -- looks again at a row that somebody changed meanwhile
    ) t
)
update todos t set leased_by = $5, not_before = $6
from locked l where t.kind = l.kind and t.key = l.key
returning {", ".join("t." + name for name in FIELDS.split(", "))}
"""  # noqa: S608  # constants
LOCK_LANES = "select pg_advisory_xact_lock(hashtextextended(current_schema() || $1, 0))"
"""Whoever counts what is told, and claims what there is room for, is alone at it."""
NEXT = """
select min(due_at) from todos
where kind = $1 and done_at is null and dead_at is null and not held and due_at > $2
"""
LOOK = """
select k.kind,
    (
        select x.due_at from todos x
        where x.kind = k.kind and x.done_at is null and x.dead_at is null and not x.held and x.due_at <= $2
            and (x.not_before is null or x.not_before <= $3)
        order by x.due_at limit 1
    ) as due,
    (
        select x.due_at from todos x
        where x.kind = k.kind and x.done_at is null and x.dead_at is null and not x.held and x.due_at > $2
        order by x.due_at limit 1
    ) as next
from unnest($1::text[]) as k (kind)
"""
"""Of each kind: what can be claimed, if anything, and what falls due next. In the order of an index: `exists` might
read all rows."""
RENEW = f"""
update todos set not_before = greatest(not_before, $4)
where kind = $1 and key = any($2) and leased_by = $3 and {NOT_DONE} and not_before is not null
"""  # noqa: S608  # constants


@asynccontextmanager
async def kept(  # noqa: PLR0913, PLR0917  # whose lease, of what, for how long
    work: Pool, clock: Clock, kind: str, keys: Sequence[str], holder: UUID, lease: timedelta
) -> AsyncGenerator[None]:
    """While the block runs the holder's lease is renewed, so that nobody begins again what is only slow."""

    async def renew() -> None:
        for _ in range(RENEWALS):
            await asyncio.sleep(max(1.0, lease.total_seconds() / 3))
            try:
                await work.execute(RENEW, kind, keys, holder, clock.real() + lease)
            except PASSING:  # a lost database: the lease may end meanwhile, and what is done twice is safe
                heed_cancellation()

    renewing = asyncio.create_task(renew(), name=f"todo.{kind}.lease")
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
