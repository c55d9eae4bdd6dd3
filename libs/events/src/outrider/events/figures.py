"""What a process shows of its readers and to-dos, for health and metrics: measured when somebody asks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from outrider.events.clock import Clock
from outrider.events.database import Pool, heed_cancellation, passing
from outrider.events.drain import Drain
from outrider.events.log import Log
from outrider.events.projector import Reader
from outrider.events.telemetry import (
    READER_LAG,
    READER_LAG_SECONDS,
    READER_STOPPED,
    TODOS_DEAD,
    TODOS_DUE,
    TODOS_LATE_SECONDS,
    logger,
)

SECONDS = 2.0
MORE_SECONDS = 10.0
"""What a service measures beside is at most so old: a probe asks more often."""
GAUGES = (READER_LAG, READER_LAG_SECONDS, TODOS_DEAD, TODOS_DUE, TODOS_LATE_SECONDS)
DUE = """
select k.kind, count(d.due_at) as due,
    coalesce(extract(epoch from $2::timestamptz - min(d.due_at)), 0)::float8 as late_seconds
from unnest($1::text[]) as k (kind)
left join lateral (
    select t.due_at from todos t
    where t.kind = k.kind and t.done_at is null and t.dead_at is null and not t.held and t.due_at <= $2
        and (t.not_before is null or t.not_before <= $3)
    order by t.due_at
    limit 10000
) d on true
group by k.kind
order by k.kind
"""
DEAD = """
select k.kind, count(t.kind) as dead
from unnest($1::text[]) as k (kind)
left join todos t on t.kind = k.kind and t.dead_at is not null and t.done_at is null
group by k.kind
"""
_log = logger(__name__)
Figures = Mapping[str, Sequence[Mapping[str, str | int | float]]]


class Gauging:
    """The figures of one process."""

    def __init__(  # noqa: PLR0913, PLR0917  # what there is to measure
        self,
        log: Log,
        work: Pool,
        clock: Clock,
        readers: Sequence[Reader],
        drains: Sequence[Drain],
        more: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        """`work` is the schema whose to-dos are drained; `more` are the service's own figures."""
        self._log = log
        self._work = work
        self._clock = clock
        self._readers = readers
        self._drains = drains
        self._more = more
        self._measured_at = -MORE_SECONDS

    async def measure(self) -> Figures:
        """Each reader's lag and each kind's due to-dos, in the metrics too; nothing where they cannot be had.

        Whoever asks whether a process is ready gets an answer also then.
        """
        for reader in self._readers:
            READER_STOPPED.labels(reader.projection.name).set(reader.failed is not None)
        try:
            async with asyncio.timeout(SECONDS):
                await self._measure_more()
                return {"readers": [await self._lag(one) for one in self._readers], "todos": await self._due()}
        except Exception as error:  # noqa: BLE001  # a bug in a figure makes nobody unready
            heed_cancellation()
            if not passing(error):
                _log.exception("figures.failed")
            for gauge in GAUGES:
                gauge.clear()
            return {}

    async def _measure_more(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._measured_at >= MORE_SECONDS:
            for measure in self._more:
                await measure()
            self._measured_at = now

    async def _lag(self, reader: Reader) -> Mapping[str, str | int | float]:
        """Compare where the tables are, whoever brought them there, with the log."""
        name = reader.projection.name
        await reader.look()
        behind = await self._log.behind(reader.position)
        READER_LAG.labels(name).set(behind.events)
        READER_LAG_SECONDS.labels(name).set(behind.seconds)
        return {
            "reader": name,
            "position": reader.position,
            "lag_events": behind.events,
            "lag_seconds": round(behind.seconds, 3),
        }

    async def _due(self) -> Sequence[Mapping[str, str | int | float]]:
        kinds = [drain.kind for drain in self._drains]
        if not kinds:
            return []  # a service without to-dos has no schema of them
        rows = await self._work.fetch(DUE, kinds, self._clock.now(), self._clock.real())
        for row in rows:
            TODOS_DUE.labels(row["kind"]).set(row["due"])
            TODOS_LATE_SECONDS.labels(row["kind"]).set(row["late_seconds"])
        for row in await self._work.fetch(DEAD, kinds):
            TODOS_DEAD.labels(row["kind"]).set(row["dead"])
        return [{**row, "late_seconds": round(row["late_seconds"], 3)} for row in rows]
