"""Watching: one task a mailbox, on one replica at a time; IDLE only rings, a scan does the work."""

import asyncio
import random
from collections.abc import Collection, Sequence
from time import monotonic
from typing import NoReturn
from uuid import UUID, uuid4

from outrider.events.database import Pool, Row, heed_cancellation, passing
from outrider.events.leases import release, take_all
from outrider.events.telemetry import MAILBOX_AGE_SECONDS, MAILBOX_STATES, logger
from outrider.reply_watcher.access import Access
from outrider.reply_watcher.imap_values import AuthFailed, MailboxFailed, backoff_seconds, refused_seconds
from outrider.reply_watcher.scanning import Scan, Scanner, Watched

LEASE_SECONDS = 20.0
LOOK_SECONDS = 1.0
BEGUN_AT_ONCE = 50
"""New watches a look: a thousand log-ins in one second would be turned away."""
LATE_SECONDS = 600.0
"""A mailbox whose last good scan is longer ago is late."""
LULL_SECONDS = 0.2
"""Between a ring and the scan: what comes in a burst is read at once, and a bell that never stops costs little."""
HELD = "select name from log.leases where name = any($1) and holder <> $2 and until > clock_timestamp()"
MAILBOXES = "select mailbox_id, account_id, credential_id, changed, since from mailboxes where mailbox_id is not null"
_log = logger(__name__)


class Watch:
    """The watch over one mailbox, for as long as this replica has its lease."""

    def __init__(self, watched: Watched, access: Access, scanner: Scanner, poll_seconds: float) -> None:
        """Scan at the bell, and every `poll_seconds` without one."""
        self._watched = watched
        self._access = access
        self._scanner = scanner
        self._poll_seconds = poll_seconds
        self._failures = 0
        """Since the last scan that went well."""
        self.scanned_at = monotonic()
        """When that was, or when this watch began."""
        self.refused = False
        """Whether the log-in was refused since: that waits for its owner."""

    async def run(self) -> None:
        """Sessions one after the other, with back-off between those that fail, for ever."""
        while True:
            seconds = await self._session()
            await asyncio.sleep(seconds)

    async def _session(self) -> float:
        """Scan, wait for the bell or the poll, scan again, until it fails; seconds to leave the mailbox alone."""
        mailbox_id = str(self._watched.mailbox_id)
        try:
            await self._scans()
        except MailboxFailed as failed:
            heed_cancellation()
            self._failures += 1
            self.refused = isinstance(failed, AuthFailed)
            wait = refused_seconds if isinstance(failed, AuthFailed) else backoff_seconds
            seconds = wait(self._failures)
            _log.warning("mailbox.failed", mailbox=mailbox_id, kind=type(failed).__name__, again_seconds=seconds)
            return seconds
        except Exception as error:  # noqa: BLE001  # one mailbox's bug must not end the watch over it
            heed_cancellation()
            if passing(error):
                _log.warning("mailbox.waits", mailbox=mailbox_id, error=type(error).__name__)
                return LOOK_SECONDS
            self._failures += 1
            _log.exception("mailbox.bug", mailbox=mailbox_id)
            return backoff_seconds(self._failures)

    async def _scans(self) -> NoReturn:
        """Whatever ends it is an error."""
        mailbox, session = await self._access.enter(self._watched)
        async with session:
            scan = Scan(self._watched, mailbox, await self._access.own_addresses(self._watched), session)
            while True:
                await self._scanner.scan(scan)
                self._failures, self.refused, self.scanned_at = 0, False, monotonic()
                await session.wait(self._poll_seconds * random.uniform(0.9, 1.1))  # noqa: S311  # jitter
                await asyncio.sleep(LULL_SECONDS)


class Watchers:
    """Watches every mailbox of its projection that no other replica watches."""

    def __init__(self, log: Pool, tables: Pool, access: Access, scanner: Scanner, poll_seconds: float) -> None:
        """`log` is on the log's database, `tables` on the projection."""
        self._log = log
        self._tables = tables
        self._access = access
        self._scanner = scanner
        self._poll_seconds = poll_seconds
        self._me = uuid4()
        self._tasks: dict[UUID, tuple[Watched, asyncio.Task[None]]] = {}
        self._watches: dict[UUID, Watch] = {}
        self._renewed = 0.0
        self._stopped = False

    async def run(self) -> None:
        """Keep one task for each mailbox until `stop`; a changed credential gets a new one."""
        try:
            while not self._stopped:
                try:
                    await self._look()
                except Exception as error:
                    heed_cancellation()
                    if not passing(error):
                        raise
                    _log.warning("mailboxes.wait", error=type(error).__name__)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._end(list(self._tasks))

    async def stop(self) -> None:
        """Nobody watches any more; other replicas may take over at once."""
        self._stopped = True
        await self._end(list(self._tasks))

    async def measure(self) -> None:
        """The gauges say how the mailboxes stand that this process watches; `_look` counts those of nobody."""
        now, watches = monotonic(), [self._watches[one] for one in self._tasks]
        ages = [now - watch.scanned_at for watch in watches if not watch.refused]
        MAILBOX_STATES.labels("watched").set(len(watches))
        MAILBOX_STATES.labels("refused").set(len(watches) - len(ages))
        MAILBOX_STATES.labels("late").set(sum(age > LATE_SECONDS for age in ages))
        MAILBOX_AGE_SECONDS.set(max(ages, default=0.0))

    async def _look(self) -> None:
        """The watches are those that should be, as far as other replicas leave them to this one."""
        wanted = shared(await self._tables.fetch(MAILBOXES))
        await self._end(
            [one for one, (watched, task) in self._tasks.items() if wanted.get(one) != watched or task.done()]
        )
        await self._renew()
        free = [watched for mailbox, watched in wanted.items() if mailbox not in self._tasks]
        rows = await self._log.fetch(HELD, [_lease(watched.mailbox_id) for watched in free], self._me)
        held = {str(row["name"]) for row in rows}
        nobodys = [watched for watched in free if _lease(watched.mailbox_id) not in held]
        next_ones = nobodys[:BEGUN_AT_ONCE]
        MAILBOX_STATES.labels("unwatched").set(len(nobodys) - len(next_ones))
        mine = await self._take([watched.mailbox_id for watched in next_ones])
        for watched in next_ones:
            if watched.mailbox_id in mine and not self._stopped:
                watch = Watch(watched, self._access, self._scanner, self._poll_seconds)
                task = asyncio.create_task(watch.run(), name=f"watch {watched.mailbox_id}")
                self._tasks[watched.mailbox_id] = watched, task
                self._watches[watched.mailbox_id] = watch

    async def _take(self, mailboxes: Collection[UUID]) -> Collection[UUID]:
        """Those of these whose lease is ours for the next while."""
        names = {_lease(mailbox): mailbox for mailbox in mailboxes}
        taken = await take_all(self._log, names, self._me, LEASE_SECONDS) if names else ()
        return {names[name] for name in taken}

    async def _renew(self) -> None:
        """The leases stand for a while; a watch whose lease another replica has is over."""
        now = asyncio.get_running_loop().time()
        if now < self._renewed + LEASE_SECONDS / 4:
            return
        mine = await self._take(list(self._tasks))
        self._renewed = now
        await self._end([one for one in self._tasks if one not in mine])

    async def _end(self, mailboxes: Collection[UUID]) -> None:
        """These watches are over, and their leases free."""
        tasks = [self._tasks.pop(mailbox)[1] for mailbox in mailboxes if mailbox in self._tasks]
        for mailbox in mailboxes:
            self._watches.pop(mailbox, None)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for mailbox in mailboxes:
            try:
                await release(self._log, _lease(mailbox), self._me)
            except Exception as error:
                heed_cancellation()
                if not passing(error):
                    raise
                return  # the leases run out by themselves


def shared(rows: Sequence[Row]) -> dict[UUID, Watched]:
    """One watch a mailbox, whichever credentials name it."""
    found: dict[UUID, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (-row["changed"], row["credential_id"])):
        found.setdefault(row["mailbox_id"], []).append(row)
    return {
        mailbox: Watched(
            mailbox,
            those[0]["account_id"],
            tuple(row["credential_id"] for row in those),
            those[0]["changed"],
            min(row["since"] for row in those),
        )
        for mailbox, those in found.items()
    }


def _lease(mailbox: UUID) -> str:
    return f"mailbox-{mailbox}"
