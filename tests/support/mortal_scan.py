"""Processes that scan or watch a mailbox and are killed: what is left is what a crash leaves."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from outrider.events.log import Log
from outrider.local.keys import Keys
from outrider.reply_watcher.imap_session import Opened
from outrider.reply_watcher.matching import Found, Matching
from outrider.reply_watcher.recording import Recorder
from outrider.reply_watcher.scanning import Scan, Scanner
from tests.support.inbox import Inbox
from tests.support.kernel import kernel

Point = Literal["fetched", "recorded", "moved"]
POINTS: tuple[Point, ...] = ("fetched", "recorded", "moved")
"""A message is fetched and not recorded; recorded, and the cursor stands before it; the cursor has moved."""


@dataclass(frozen=True)
class Errand:
    """All that a process of its own needs to know."""

    urls: Mapping[str, str]
    port: int
    keys: Keys
    mailbox: UUID
    point: Point
    times: int
    """It dies when it comes there for this time; 0: not by itself."""


@dataclass
class _Fate:
    errand: Errand
    met: int = 0

    def meets(self, point: Point) -> None:
        """Die here, as kill -9 has it, if this is the point."""
        self.met += point == self.errand.point
        if point == self.errand.point and self.met == self.errand.times:
            os.kill(os.getpid(), signal.SIGKILL)


class _MortalRecorder(Recorder):
    fate: _Fate

    async def record(self, found: Found, name: str, content: bytes) -> int:
        self.fate.meets("fetched")
        recorded = await super().record(found, name, content)
        self.fate.meets("recorded")
        return recorded


class _MortalScanner(Scanner):
    fate: _Fate

    async def _move(self, scan: Scan, opened: Opened, uid: int) -> None:
        await super()._move(scan, opened, uid)
        self.fate.meets("moved")


@dataclass
class _Server:
    port: int


@dataclass
class MortalInbox(Inbox):
    """An inbox whose scan ends at the point."""

    fate: _Fate = field(kw_only=True)

    @property
    def scanner(self) -> Scanner:
        """As a process makes it, but mortal."""
        k = self.watcher
        matching = Matching(self.keyring, k.tables, k.work, k.log, k.pool)
        recorder = _MortalRecorder(Log(k.pool, k.clock), k.pool, k.work, k.clock, matching)
        scanner = _MortalScanner(k.work, self.keyring, matching, recorder)
        recorder.fate = scanner.fate = self.fate
        return scanner


def scan(errand: Errand) -> None:
    """Scan once, unless it is killed before."""
    asyncio.run(_scan(errand))


def watch(errand: Errand) -> None:
    """Watch as a replica does, until it is killed."""
    asyncio.run(_watch(errand))


async def _scan(errand: Errand) -> None:
    async with _mortal(errand) as box:
        await box.scan()


async def _watch(errand: Errand) -> None:
    async with _mortal(errand) as box:
        await box.watchers().run()


@asynccontextmanager
async def _mortal(errand: Errand) -> AsyncGenerator[MortalInbox]:
    async with kernel(errand.urls, "reply_watcher") as watcher:
        box = MortalInbox(_Server(errand.port), watcher, {}, errand.keys, fate=_Fate(errand))  # type: ignore[arg-type]  # its port is all that is needed
        box.mailbox = errand.mailbox
        yield box
