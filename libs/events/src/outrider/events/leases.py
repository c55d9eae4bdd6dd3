"""Leases: who of several replicas is at something. For speed and politeness only; never a permission to send."""

from datetime import timedelta
from uuid import UUID

from outrider.events.database import Pool

TAKE = """
insert into log.leases (name, holder, until) values ($1, $2, clock_timestamp() + $3::interval)
on conflict (name) do update set holder = excluded.holder, until = excluded.until
where leases.holder = excluded.holder or leases.until < clock_timestamp()
returning true
"""


async def take(log: Pool, name: str, holder: UUID, seconds: float) -> bool:
    """Whether `holder` has the lease for so many real seconds from now; one that it holds is renewed."""
    return bool(await log.fetchval(TAKE, name, holder, timedelta(seconds=seconds)))


async def release(log: Pool, name: str, holder: UUID) -> None:
    """Anybody may take the lease now, if `holder` had it."""
    await log.execute("delete from log.leases where name = $1 and holder = $2", name, holder)
