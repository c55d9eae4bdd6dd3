"""Send partitions: each is taken from by one replica at a time, so that a credential is in one process.

For speed and politeness only: connections, spacing and back-off of a credential live together, and its claims do not
collide. Two replicas that take from the same partition for a while do no harm: the claim is the only permission.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from uuid import uuid4

from outrider.events.bus import Bus
from outrider.events.database import Pool, heed_cancellation, passing
from outrider.events.delivery import SendStep
from outrider.events.leases import Share
from outrider.events.streams import SEND_PARTITIONS
from outrider.events.taking import Taking
from outrider.events.telemetry import logger

LEASE_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 3.0
WORKERS: Final = 8
"""Jobs of one partition at a time; most of them wait for a slot of their credential."""
_log = logger(__name__)


class Partitions:
    """This replica's partitions."""

    def __init__(self, bus: Bus, log: Pool, send_step: Callable[[SendStep], Awaitable[None]]) -> None:
        """Nothing is taken before `run`."""
        self._share = Share(log, "send", SEND_PARTITIONS, uuid4(), LEASE_SECONDS)
        self._takings: dict[int, Taking] = {
            number: bus.take(f"sender-{number}", SendStep, send_step, WORKERS) for number in range(SEND_PARTITIONS)
        }
        self._mine: set[int] = set()
        self._turn = asyncio.Lock()
        self._stopped = False

    async def run(self) -> None:
        """Take from a fair share of the partitions, for ever; a lost server is waited for."""
        while True:
            try:
                async with self._turn:
                    if not self._stopped:
                        await self._look()
            except Exception as error:
                heed_cancellation()
                if not passing(error):
                    raise
                _log.warning("partitions.wait", error=type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        mine = await self._share.look()
        if surplus := self._mine - mine:
            await self._end(surplus)
            await self._share.give_back(surplus)
        fresh = mine - self._mine
        for number in fresh:
            self._takings[number].start()
        self._mine |= fresh
        if surplus or fresh:
            _log.info("partitions.changed", partitions=len(self._mine))

    async def _end(self, numbers: Iterable[int]) -> None:
        """Nothing more is taken from these."""
        numbers = list(numbers)
        self._mine -= set(numbers)
        await asyncio.gather(*(self._takings[number].stop() for number in numbers))

    async def stop(self) -> None:
        """Nothing more is taken."""
        self._stopped = True
        async with self._turn:
            await self._end(self._mine)

    async def leave(self) -> None:
        """Other replicas may take over now; where the database is gone, when the leases have run out."""
        await self._share.leave()
