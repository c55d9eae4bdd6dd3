"""How often and how long a delivery is tried: pure."""

from datetime import timedelta
from typing import Final

DELAYS_SECONDS: Final = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""Behind the first attempt, the second ...: 27.6 hours until the eighth and last."""
ATTEMPTS: Final = len(DELAYS_SECONDS) + 1
JITTER: Final = 0.1
"""Of a delay, up or down: endpoints that failed together do not come back together."""
GIVES_UP: Final = timedelta(days=5)
"""An endpoint that has only failed for so long is disabled."""
GONE: Final = 410
TROUBLED: Final = 5
"""After so many failures in a row an endpoint gets one delivery at a time, and rests between them."""
LONGEST_REST_SECONDS: Final = 60


def delay_seconds(attempts: int, lot: float) -> float | None:
    """Seconds until the next attempt when so many were made; None: that was the last. `lot` is drawn from 0..1."""
    if attempts >= ATTEMPTS:
        return None
    return DELAYS_SECONDS[attempts - 1] * (1 - JITTER + 2 * JITTER * lot)


def rest_seconds(failures: int) -> int:
    """Seconds for which an endpoint is left alone after so many failures in a row: 0, then 2, 4 ... 60."""
    return min(LONGEST_REST_SECONDS, 2 ** min(10, failures - TROUBLED + 1)) if failures >= TROUBLED else 0
