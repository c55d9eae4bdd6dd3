"""Waiting for something to be true, instead of for time to pass."""

import time
from collections.abc import Callable

LOOK_SECONDS = 0.02
SECONDS = 180.0


def wait_until(what: str, condition: Callable[[], bool], seconds: float = SECONDS) -> float:
    """The condition holds; answers after how many seconds. Fails with `what` once the time is over."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + seconds, f"not within {seconds:g} s: {what}"
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - began
