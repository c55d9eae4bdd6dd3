"""The lookout: it rings the drains of a service when something of theirs is due."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from outrider.events.claims import LOOK
from outrider.events.clock import Clock
from outrider.events.database import Pool, heed_cancellation, passing
from outrider.events.drain import Drain
from outrider.events.telemetry import logger

POLL_SECONDS = 1.0
"""Nobody says when a lease or a back-off is over: without a bell it looks this often."""
_log = logger(__name__)


class Lookout:
    """One question about all kinds of to-do, whenever there may be something new and when the next one falls due.

    Most looks find nothing, and a service has many kinds: a claim for each of them would be most of what an idle
    service asks of Postgres, and of what a busy one asks whenever its reader moves.
    """

    def __init__(self, drains: Sequence[Drain], work: Pool, clock: Clock) -> None:
        """`drains` may still grow; those that look for themselves are left to it. `work` has their to-dos."""
        self.failed: BaseException | None = None
        """Why it cannot look at the moment, if it is not a lost database; health shows it."""
        self._drains = drains
        self._work = work
        self._clock = clock
        self._bell = asyncio.Event()

    def ring(self) -> None:
        """Wake it: there may be something due."""
        self._bell.set()

    async def follow(self) -> None:
        """Look for ever, whatever fails; a second later it is tried again. Who has something due is rung just then."""
        while True:
            self._bell.clear()
            seconds = POLL_SECONDS
            try:
                seconds = await self.look()
                self.failed = None
            except Exception as error:  # noqa: BLE001  # nothing would be done any more if it ended
                heed_cancellation()
                if passing(error):
                    _log.warning("lookout.waits", error=repr(error)[:300])
                else:
                    self.failed = error
                    _log.exception("lookout.stuck")
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._bell.wait()

    async def look(self) -> float:
        """Every drain that has something due was rung; in how many real seconds the next falls due, at most one."""
        drains = {drain.kind: drain for drain in self._drains if not drain.looks_itself}
        if not drains:
            return POLL_SECONDS
        rows = await self._work.fetch(LOOK, list(drains), self._clock.now(), self._clock.real())
        for row in rows:
            if row["due"] is not None:
                drains[row["kind"]].ring()
        later = [self._clock.real_seconds_until(row["next"]) for row in rows if row["next"] is not None]
        return min(POLL_SECONDS, *later) if later else POLL_SECONDS
