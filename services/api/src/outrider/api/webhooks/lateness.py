"""How late webhooks are, as a figure: since when something is due that nothing but us holds up."""

from typing import Final

from outrider.events.clock import Clock
from outrider.events.database import Pool
from outrider.events.telemetry import WEBHOOK_LATE_SECONDS

LATE: Final = """
select coalesce(max(extract(epoch from $1::timestamptz - first.due_at)), 0)::float8
from (select webhook_id from endpoints where enabled and consecutive_failures = 0 limit 1000) p
cross join lateral (
    select t.due_at
    from (
        select o.due_at, o.owner, o.ordinal, o.kind from todos o
        where o.lane = p.webhook_id and o.kind = 'deliver_webhook' and o.done_at is null and o.dead_at is null
            and not o.held and o.due_at <= $1 and (o.not_before is null or o.not_before <= $2)
        order by o.due_at
        limit 20
    ) t
    where t.owner is null or t.ordinal = (
        select min(e.ordinal) from todos e where e.owner = t.owner and e.kind = t.kind and e.done_at is null
    )
    order by t.due_at
    limit 1
) first
"""
"""Of up to 1,000 endpoints, and of each the first 20 that are due: what it costs does not grow with what there is."""


async def measure_lateness(work: Pool, clock: Clock) -> None:
    """The gauge says so. Endpoints that fail are asked less often on purpose, and do not count."""
    WEBHOOK_LATE_SECONDS.set(await work.fetchval(LATE, clock.now(), clock.real()))
