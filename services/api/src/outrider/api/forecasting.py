"""Forecast: how many messages are planned for each day, and how many the daily limits allow."""

import re
from datetime import UTC, date, timedelta
from typing import Final

from litestar import Response, get

from outrider.api import queries_campaigns as queries
from outrider.api.answers_campaigns import Forecast
from outrider.api.describing import Query, tells
from outrider.api.gateway import Asked
from outrider.events.errors import ValidationFailed
from outrider.events.message import Json

DAYS: Final = 7
MOST_DAYS: Final = 90
PLANNED: Final = """
select (greatest(p.at, $2) at time zone 'UTC')::date as day, p.step_position, count(*) as scheduled
from planned_steps p
where p.campaign_id = $1 and p.open and p.at < $3
group by 1, 2
order by 1, 2
"""
"""What is overdue goes out today."""
CAPACITY: Final = """
select coalesce(sum(daily_limit), 0)
from credentials
where campaign_id = $1 and removed_at is null and disabled_at is null
"""


@get(
    "/campaigns/{campaign_id:str}/send_forecast",
    opt=tells(
        Forecast,
        query=[Query("days", "From today on.", {"type": "integer", "minimum": 1, "maximum": 90, "default": 7})],
    ),
)
async def send_forecast(request: Asked, campaign_id: str) -> Response[bytes]:
    """A row for each UTC day from today on: what the planner has put there, and what its accounts may send a day."""
    call = request.user
    campaign = (await queries.find(call, campaign_id))["campaign_id"]
    days = _days(call.options("days").get("days"))
    now = call.gateway.clock.now().astimezone(UTC)
    end = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)
    by_day: dict[date, dict[str, int]] = {}
    for row in await call.gateway.tables.fetch(PLANNED, campaign, now, end):
        by_day.setdefault(row["day"], {})[str(row["step_position"])] = row["scheduled"]
    capacity: int = await call.gateway.tables.fetchval(CAPACITY, campaign)
    dates = [now.date() + timedelta(days=number) for number in range(days)]
    return call.answer({"timezone": "UTC", "days": [_row(one, by_day.get(one, {}), capacity) for one in dates]})


def _row(day: date, by_step: dict[str, int], capacity: int) -> Json:
    return {"date": day, "scheduled": sum(by_step.values()), "by_step": by_step, "capacity": capacity}


def _days(value: str | None) -> int:
    if value is None:
        return DAYS
    if not re.fullmatch(r"[0-9]{1,2}", value) or not 1 <= int(value) <= MOST_DAYS:
        raise ValidationFailed([{"field": "days", "message": f"must be a number from 1 to {MOST_DAYS}"}])
    return int(value)


ROUTES = (send_forecast,)
