"""The one clock: business time for what people see and plan, real time for leases, time-outs and polls."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from outrider.events.database import Pool


@dataclass(frozen=True, slots=True)
class Clock:
    """``now = virtual + (real - started) * speed``: the same in every process, and after restarts."""

    started: datetime
    virtual: datetime
    speed: float

    def now(self) -> datetime:
        """Business time, aware UTC: schedules, days, windows."""
        return self.virtual + (self.real() - self.started) * self.speed

    def real(self) -> datetime:
        """Real time, aware UTC: leases, time-outs, polls, expiries."""
        return datetime.now(UTC)

    def real_seconds_until(self, business: datetime) -> float:
        """Real seconds until that business time; 0.0 if it has passed."""
        return max(0.0, (business - self.now()).total_seconds() / self.speed)

    def to_business(self, real: datetime) -> datetime:
        """What the business clock shows at that real time."""
        return self.virtual + (real - self.started) * self.speed

    def to_real(self, business: datetime) -> datetime:
        """The real time at which the business clock shows `business`."""
        return self.started + timedelta(seconds=(business - self.virtual).total_seconds() / self.speed)


def real_clock() -> Clock:
    """A clock whose business time is real time, as in production."""
    now = datetime.now(UTC)
    return Clock(now, now, 1.0)


async def read_clock(log: Pool) -> Clock:
    """The clock whose anchor `migrate` wrote. Raises LookupError where it has not run."""
    row = await log.fetchrow("select started, virtual, speed from log.clock")
    if row is None:
        raise LookupError("the database has no clock: run `outrider migrate` first")
    return Clock(row["started"], row["virtual"], row["speed"])
