"""Desks: one a credential, where its connections, its slots, its day and its back-off live together."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from outrider.events.errors import NotYet
from outrider.sender.claiming import Day
from outrider.sender.letters import Mailer
from outrider.sender.quota import day_id, quota_day
from outrider.sender.smtp import Connections

CONNECTIONS = 2
SLOT_SECONDS = 2.0


@dataclass(eq=False)
class Desk:
    """One credential in this process."""

    credential: UUID
    mailer: Mailer
    version: int
    """Of the credential's stream when the mailer was read: a later one means other hosts or passwords."""
    connections: Connections = field(init=False)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while claiming: two claims of one credential would only conflict on its day."""
    refused_at: int | None = None
    """The version at which its server refused it: until another one is read it is not tried again."""
    held_on: date | None = None
    """The UTC day on which its provider takes no more."""
    _day: Day | None = None

    def __post_init__(self) -> None:
        """Have no connection yet."""
        self.connections = Connections(self.mailer.server, CONNECTIONS)

    def day(self, on: date) -> Day:
        """The quota day, known as far as it was read."""
        stream = quota_day.stream(day_id(self.credential, on))
        if self._day is None or self._day.stream != stream:
            self._day = Day(stream)
        return self._day

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[Callable[[], None]]:
        """A slot of the credential; the block answers whether it keeps it by calling what it gets.

        Raises NotYet when none is free within two seconds. Who keeps it releases it with `slots.release`.
        """
        try:
            async with asyncio.timeout(SLOT_SECONDS):
                await self.slots.acquire()
        except TimeoutError:
            raise NotYet(SLOT_SECONDS) from None
        kept = False

        def keep() -> None:
            nonlocal kept
            kept = True

        try:
            yield keep
        finally:
            if not kept:
                self.slots.release()
