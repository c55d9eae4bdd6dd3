"""What is used of today's limits, as figures: sums and a few shares, however many mail accounts there are."""

from datetime import UTC
from typing import Final

from outrider.dispatcher.desk import Desk
from outrider.events.telemetry import QUOTA_CREDENTIALS, QUOTA_MESSAGES

TODAY: Final = """
select coalesce(sum(d.counted), 0)::bigint as used, coalesce(sum(c.daily_limit), 0)::bigint as limit_of_all,
    count(*) filter (where d.held) as held,
    count(*) filter (where not d.held and d.counted >= c.daily_limit) as every,
    count(*) filter (where not d.held and d.counted < c.daily_limit and d.counted * 10 >= c.daily_limit * 9)
        as under_100,
    count(*) filter (where not d.held and d.counted * 10 < c.daily_limit * 9 and d.counted * 2 >= c.daily_limit)
        as under_90,
    count(*) filter (where not d.held and d.counted * 2 < c.daily_limit) as under_50
from (select credential_id, counted, held from credential_days where day = $1 limit 10000) d
join credentials c on c.credential_id = d.credential_id
"""
"""Of up to 10,000 mail accounts that have sent today: what it costs does not grow with what there is."""
SHARES: Final = {
    "under_50": "under_50",
    "under_90": "under_90",
    "under_100": "under_100",
    "every": "all",
    "held": "held",
}


async def measure_quota(desk: Desk) -> None:
    """The gauges say how the mail accounts stand that have sent today (UTC)."""
    row = await desk.tables.fetchrow(TODAY, desk.clock.now().astimezone(UTC).date())
    if row is None:
        return
    QUOTA_MESSAGES.labels("used").set(row["used"])
    QUOTA_MESSAGES.labels("limit").set(row["limit_of_all"])
    for column, share in SHARES.items():
        QUOTA_CREDENTIALS.labels(share).set(row[column])
