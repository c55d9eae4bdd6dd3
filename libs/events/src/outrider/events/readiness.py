"""What keeps a process from being ready: its database, what is missing there, the clocks, and its lag at the start."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from outrider.events.clock import Clock
from outrider.events.database import PASSING, Forbidden, Pool, known_migrations
from outrider.events.log import Log
from outrider.events.projector import Reader

SECONDS: Final = 2.0
SKEW_SECONDS = 2.0
"""By so much the machine's clock may differ from that of Postgres: leases hold times of both."""
LONGEST_START_SECONDS = 300.0
"""After so long a process that started is ready however far its readers are behind."""
SILENT: Final = "the database does not answer"
STATE: Final = """
select clock_timestamp() as now, array(
    select known.schema || ' ' || known.file
    from unnest($1::text[], $2::text[]) with ordinality as known (schema, file, place)
    where not exists (select from migrations m where m.schema = known.schema and m.file = known.file)
    order by known.place
) as missing
"""


class _State(NamedTuple):
    now: datetime | None
    """None where it does not say."""
    missing: Sequence[str]


class Readiness:
    """Of one process. Every answer is the truth of the moment: a backup may be restored while it runs."""

    def __init__(self, log: Log, pool: Pool, clock: Clock, readers: Sequence[Reader], start_lag_seconds: float) -> None:
        """`pool` leads to the log's database; of its `readers` whoever starts must not be further behind than that."""
        self._log, self._pool, self._clock, self._readers = log, pool, clock, readers
        self._start_lag_seconds = start_lag_seconds
        self._schemas, self._files = zip(*known_migrations(), strict=True)
        self._started_at: float | None = None
        """When it was first asked with the schema complete."""
        self._caught_up = not start_lag_seconds

    async def trouble(self) -> Sequence[str]:
        """One sentence for each thing."""
        try:
            async with asyncio.timeout(SECONDS):
                state = await self._state()
                return [*_of_schema(state), *self._of_clocks(state), *([] if state.missing else await self._lag())]
        except PASSING:
            return [SILENT]

    async def older(self) -> str:
        """Why nothing can be begun yet, or "" where the database has all that this build knows; newer ones do too."""
        try:
            async with asyncio.timeout(SECONDS):
                return "".join(_of_schema(await self._state()))
        except PASSING:
            return SILENT

    async def _state(self) -> _State:
        try:
            row = await self._pool.fetchrow(STATE, self._schemas, self._files)
        except Forbidden:  # from before any service might look
            return _State(None, ["log schema/101_known_migrations.sql"])
        return _State(row["now"], row["missing"]) if row else _State(None, [])

    def _of_clocks(self, state: _State) -> Sequence[str]:
        skew = abs((state.now - self._clock.real()).total_seconds()) if state.now else 0.0
        return [f"this machine's clock is {skew:.1f} s off the database's"] if skew > SKEW_SECONDS else []

    async def _lag(self) -> Sequence[str]:
        """Which readers keep a process that starts from being ready; once it was, none ever does again.

        All replicas of a service share their tables. Lag therefore says nothing of one of them: it makes all unready at
        once, or none. One big import would take the whole gateway off the network, pixels and unsubscribe links
        included, though each replica answers as well as any other could (and says `Outrider-Read-Behind`). What a lag
        that lasts is owed is an alert. At the start it is another matter: a roll-out goes on only when the new process
        is ready, so its readers have to show that they come along before an old one is ended. And not for ever: where
        everything starts at once on a long backlog, somebody has to answer.
        """
        now = asyncio.get_running_loop().time()
        if self._started_at is None:
            self._started_at = now
        if self._caught_up or now > self._started_at + LONGEST_START_SECONDS:
            self._caught_up = True
            return []
        found: list[str] = []
        for reader in self._readers:
            await reader.look()
            seconds = (await self._log.behind(reader.position)).seconds
            if seconds > self._start_lag_seconds and reader.failed is None:
                found.append(f"reader {reader.projection.name} is {seconds:.0f} s behind at the start of this process")
        self._caught_up = not found
        return found


def _of_schema(state: _State) -> Sequence[str]:
    if not state.missing:
        return []
    more = f" and {len(state.missing) - 1} more" if len(state.missing) > 1 else ""
    return [f"the database is older than this build: run `outrider migrate` ({state.missing[0]}{more})"]
