"""Desks: one a credential, where its connections, its slots, its day and its rest live together."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import uniform
from uuid import UUID

from outrider.events.database import Pool
from outrider.events.delivery import SendStep
from outrider.events.errors import NotYet
from outrider.sender.claiming import Day
from outrider.sender.composing import Mailer
from outrider.sender.letters import Letters
from outrider.sender.quota import day_id, quota_day
from outrider.sender.smtp import Connections

SLOTS = 2
"""Messages, and connections, of a credential at a time."""
WAIT_SECONDS = 2.0
"""How long a job may wait in a worker for a slot; the workers are everybody's."""
MOST_WAITING = 18
LONGEST_AGAIN_SECONDS = 10.0
QUICK_SECONDS, SLOW_SECONDS = 0.2, 30.0
"""What a message is thought to take, at first and at most."""
FIRST_REST_SECONDS = 30
LONGEST_REST_SECONDS = 600
KEPT = 1000


@dataclass(eq=False)
class Line:
    """How a credential reaches its server, as it was read at `version` of its stream."""

    version: int
    mailer: Mailer
    connections: Connections
    refused: bool = False
    """Its server refused the credential itself: this line is not used again, a later version may be."""


@dataclass(eq=False)
class Desk:
    """One credential in this process."""

    credential: UUID
    line: Line
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while claiming: two claims of one credential would only conflict on its day."""
    held_on: date | None = None
    """The UTC day on which its provider takes no more."""
    rests_until: datetime | None = None
    """Business time: its host could not be reached, and every message would meet the same."""
    _failures: int = 0
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _opened: int = 1
    """How many slots there are: one until its server has answered, so that a wrong password is tried once."""
    _waiting: int = 0
    _users: int = 0
    _pace: float = QUICK_SECONDS
    """Seconds that a message takes, as far as is known."""
    _day: Day | None = None

    @property
    def idle(self) -> bool:
        """Nobody is at it."""
        return not self._users

    def day(self, on: date) -> Day:
        """The quota day, known as far as it was read."""
        stream = quota_day.stream(day_id(self.credential, on))
        if self._day is None or self._day.stream != stream:
            self._day = Day(stream)
        return self._day

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[Callable[[], None]]:
        """A slot of the credential for the block, or beyond it where the block calls what it gets: then `give` it back.

        Raises NotYet when none is free within two seconds, or none will be: so many wait for one already.
        """
        self._users += 1
        try:
            await self._take()
        except BaseException:
            self._users -= 1
            raise
        kept = False

        def keep() -> None:
            nonlocal kept
            kept = True

        try:
            yield keep
        finally:
            if not kept:
                self.give()

    async def _take(self) -> None:
        wait = self._pace * (self._waiting + 1) / SLOTS
        again = NotYet(min(LONGEST_AGAIN_SECONDS, wait) * uniform(1, 1.5))  # noqa: S311  # jitter
        if self._waiting and (wait > WAIT_SECONDS or self._waiting >= MOST_WAITING):
            raise again
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            self._pace = min(SLOW_SECONDS, max(WAIT_SECONDS, self._pace * 2))
            raise again from None
        finally:
            self._waiting -= 1

    def give(self, took_seconds: float | None = None) -> None:
        """The slot is free again, after a message that took so long."""
        if took_seconds is not None:
            self._pace = (self._pace + min(SLOW_SECONDS, took_seconds)) / 2
        self._users -= 1
        self._slots.release()

    def reached(self) -> None:
        """Its host let it in: there is nothing to rest for, and every slot may be used."""
        self._failures, self.rests_until = 0, None
        for _ in range(self._opened, SLOTS):
            self._slots.release()
        self._opened = SLOTS

    def missed(self, now: datetime) -> None:
        """Its host could not be reached: it rests for 30 s, then 60, 120 ... up to 10 minutes of business time."""
        if self.rests_until is not None and now < self.rests_until:
            return  # the other slot met the same
        rest = min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2 ** min(self._failures, 10))
        self._failures += 1
        self.rests_until = now + timedelta(seconds=rest)


class Desks:
    """The desks of the credentials used last."""

    def __init__(self, letters: Letters, tables: Pool) -> None:
        """`tables` are the projection."""
        self._letters = letters
        self._tables = tables
        self._desks: OrderedDict[UUID, Desk] = OrderedDict()

    async def at(self, job: SendStep) -> Desk | None:
        """The credential's desk, with a line as new as the projection; None where the credential is gone.

        Raises NotYet where the projection has not seen the credential, and Unsealable.
        """
        version: int | None = await self._tables.fetchval(
            "select version from gates where stream = $1", f"credential-{job.credential_id}"
        )
        if version is None:
            raise NotYet(1)
        desk = self._desks.get(job.credential_id)
        if desk is None or desk.line.version < version:
            mailer = await self._letters.mailer(job.account_id, job.credential_id)
            if mailer is None:
                return None
            desk = self._renewed(job.credential_id, version, mailer)
        self._desks.move_to_end(job.credential_id)
        return desk

    def _renewed(self, credential: UUID, version: int, mailer: Mailer) -> Desk:
        """The desk with a line of at least this version. What is under way on the line before ends on it."""
        desk = self._desks.get(credential)
        if desk is None:
            self._forget_one()
            desk = self._desks[credential] = Desk(credential, Line(version, mailer, Connections(mailer.server, SLOTS)))
        elif desk.line.version < version:
            old = desk.line
            same = old.mailer.server == mailer.server
            desk.line = Line(version, mailer, old.connections if same else Connections(mailer.server, SLOTS))
            desk.rests_until = None
            desk.held_on = desk.held_on if same else None
        return desk

    def _forget_one(self) -> None:
        """Make room. The connections of a forgotten desk are idle, and close by themselves."""
        if len(self._desks) >= KEPT:
            unused = next((credential for credential, desk in self._desks.items() if desk.idle), None)
            if unused is not None:
                del self._desks[unused]

    def connections(self) -> set[Connections]:
        """Those in use from now on."""
        return {desk.line.connections for desk in self._desks.values()}
