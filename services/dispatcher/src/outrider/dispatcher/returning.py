"""Returning: somebody is away until a day, and the next step waits for the working day after it. Pure."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from outrider.dispatcher.retiming import OpenEnrollment, OpenStep

LONGEST: Final = timedelta(days=180)
"""A day of return that is further away is taken for a misreading."""
_SATURDAY: Final = 5


def working_day_after(day: date) -> date:
    """The next day from Monday to Friday."""
    following = day + timedelta(days=1)
    while following.weekday() >= _SATURDAY:
        following += timedelta(days=1)
    return following


def after_return(row: OpenEnrollment, returns_on: date, now: datetime) -> OpenEnrollment:
    """The next step leaves on the working day after the return, at its hour; those behind it keep their delays.

    Nothing moves to an earlier time, nor for a day that is over or too far away.
    """
    if not row.steps or not now.date() <= returns_on <= (now + LONGEST).date():
        return row
    at = datetime.combine(working_day_after(returns_on), row.steps[0].planned_at.astimezone(UTC).time(), tzinfo=UTC)
    steps = list[OpenStep]()
    for step in row.steps:
        at = max(at, step.planned_at) if not steps else max(at + timedelta(seconds=step.delay_seconds), step.planned_at)
        steps.append(replace(step, planned_at=at))
    return replace(row, steps=tuple(steps))
