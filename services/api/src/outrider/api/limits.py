"""How often a key may ask: a token bucket in each process."""

import math
import time
from collections.abc import Callable
from uuid import UUID

from outrider.api.problems import RateLimited

MOST_BUCKETS = 10_000


class RateLimit:
    """So many requests a minute and key, all of them at once if they were saved up."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        """0 is no limit."""
        self._per_minute = per_minute
        self._now = now
        self._buckets: dict[UUID, tuple[float, float]] = {}

    def take(self, key: UUID) -> None:
        """One request of the key is counted. Raises RateLimited with the seconds to wait."""
        if not self._per_minute:
            return
        now = self._now()
        left, at = self._buckets.pop(key, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - at) * self._per_minute / 60)
        self._buckets[key] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if len(self._buckets) > MOST_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        if left < 1:
            raise RateLimited(retry_after=math.ceil((1 - left) * 60 / self._per_minute))
