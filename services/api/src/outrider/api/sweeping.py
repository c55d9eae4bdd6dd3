"""Sweeping: what the vault keeps for a while only (the people of an import, its rejects) is gone when that is over.

So are Idempotency-Keys.
"""

import asyncio
from typing import Final

from outrider.api import idempotency
from outrider.events.clock import Clock
from outrider.events.database import Pool, heed_cancellation, passing
from outrider.events.telemetry import logger
from outrider.events.vault import sweep

SWEEP_SECONDS: Final = 60.0
_log = logger(__name__)


async def sweep_for_ever(log: Pool, clock: Clock) -> None:
    """Now, and every minute of real time, everything that has expired is gone. Any number of replicas may do it."""
    while True:
        try:
            if swept := await sweep(log, clock.real()):
                _log.info("vault.swept", values=swept)
            await idempotency.sweep(log, clock.real())
        except Exception as error:  # noqa: BLE001  # a loop that ended would keep people longer than was said
            heed_cancellation()
            _log.warning("sweep.waits" if passing(error) else "sweep.failed", error=type(error).__name__)
        await asyncio.sleep(SWEEP_SECONDS)
