"""Leases: who of several replicas is at something. For speed and politeness only; never a permission to send."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from uuid import UUID

from outrider.events.database import Pool

TAKE = """
insert into log.leases (name, holder, until) values ($1, $2, clock_timestamp() + $3::interval)
on conflict (name) do update set holder = excluded.holder, until = excluded.until
where leases.holder = excluded.holder or leases.until < clock_timestamp()
returning true
"""
TAKE_ALL = """
insert into log.leases (name, holder, until)
select name, $2, clock_timestamp() + $3::interval from unnest($1::text[]) as name order by name
on conflict (name) do update set holder = excluded.holder, until = excluded.until
where leases.holder = excluded.holder or leases.until < clock_timestamp()
returning name
"""
HELD = "select name, holder from log.leases where name = any($1) and until >= clock_timestamp()"
ALIVE = "select count(*) from log.leases where starts_with(name, $1) and until >= clock_timestamp()"


async def take(log: Pool, name: str, holder: UUID, seconds: float) -> bool:
    """Whether `holder` has the lease for so many real seconds from now; one that it holds is renewed."""
    return bool(await log.fetchval(TAKE, name, holder, timedelta(seconds=seconds)))


async def take_all(log: Pool, names: Collection[str], holder: UUID, seconds: float) -> frozenset[str]:
    """Those of these leases that `holder` has for so many real seconds from now: one statement for thousands."""
    rows = await log.fetch(TAKE_ALL, list(names), holder, timedelta(seconds=seconds))
    return frozenset(str(row["name"]) for row in rows)


async def release(log: Pool, name: str, holder: UUID) -> None:
    """Anybody may take the lease now, if `holder` had it."""
    await log.execute("delete from log.leases where name = $1 and holder = $2", name, holder)


class Share:
    """One replica's fair share of a fixed set of names: of 64 names, two replicas have 32 each.

    A replica that ended gives its names back; those of one that was killed are free when its leases have run out.
    """

    def __init__(self, log: Pool, kind: str, number: int, holder: UUID, seconds: float) -> None:
        """The names are ``<kind>-0`` .. ``<kind>-<number - 1>``; a lease holds for so many real seconds."""
        self._log = log
        self._kind = kind
        self._number = number
        self._me = holder
        self._seconds = seconds

    async def look(self) -> frozenset[int]:
        """The numbers that are this replica's for the next while.

        Those that it had and that are not among them are to be given back once they are not used any more here.
        """
        await take(self._log, f"{self._kind}.replica.{self._me}", self._me, self._seconds)
        replicas: int = await self._log.fetchval(ALIVE, f"{self._kind}.replica.")
        fair = -(-self._number // max(1, replicas))
        held = {row["name"]: row["holder"] for row in await self._log.fetch(HELD, self._names(range(self._number)))}
        mine = [number for number in range(self._number) if held.get(self._name(number)) == self._me]
        free = [number for number in range(self._number) if self._name(number) not in held]
        wanted = self._names([*mine[:fair], *free[: max(0, fair - len(mine))]])
        rows = await self._log.fetch(TAKE_ALL, wanted, self._me, timedelta(seconds=self._seconds))
        got = {row["name"] for row in rows}
        return frozenset(number for number in range(self._number) if self._name(number) in got)

    async def give_back(self, numbers: Iterable[int]) -> None:
        """Others may have these now."""
        await self._log.execute(
            "delete from log.leases where name = any($1) and holder = $2", self._names(numbers), self._me
        )

    async def leave(self) -> None:
        """Others may have everything that was this replica's."""
        await self.give_back(range(self._number))
        await release(self._log, f"{self._kind}.replica.{self._me}", self._me)

    def _name(self, number: int) -> str:
        return f"{self._kind}-{number}"

    def _names(self, numbers: Iterable[int]) -> list[str]:
        return [self._name(number) for number in numbers]
