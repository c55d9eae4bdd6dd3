"""A projection that notes what it is given, and a log for it to read."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

from outrider.events.account import PlanChanged
from outrider.events.database import Db
from outrider.events.log import Write
from outrider.events.message import Event, Recorded
from outrider.events.projector import Projection
from tests.support.kernel import ACCOUNT, Kernel, changed

SEEN = "create table seen (n int generated always as identity, position bigint not null)"


def seeing(*kinds: type[Event]) -> Projection:
    """A projection that notes the position of each event, in the order in which it is applied."""
    projection = Projection("dispatcher.seen.v1")

    @projection.on(*(kinds or (PlanChanged,)))
    async def note(db: Db, events: Sequence[Recorded[Event]]) -> None:
        await db.execute(
            "insert into seen (position) select position from unnest($1::bigint[]) with ordinality as e (position, n) "
            "order by n",
            [event.position for event in events],
        )

    return projection


async def seen(k: Kernel) -> list[int]:
    """The positions that were applied, in that order."""
    return [row["position"] for row in await k.tables.fetch("select position from seen order by n")]


async def recorded(k: Kernel) -> list[int]:
    """The positions of the log."""
    return [row["position"] for row in await k.pool.fetch("select position from log.events order by position")]


async def append(k: Kernel, times: int = 1, account: UUID = ACCOUNT) -> int:
    """Record so many events, each on a stream of its own; the position of the last."""
    done = await asyncio.gather(
        *(k.log.append(account, Write(f"account-{uuid4()}", 0, [changed(n)], uuid4())) for n in range(times))
    )
    return max(one.position for one in done)
