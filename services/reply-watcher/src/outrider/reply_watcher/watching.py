"""Watching: one task a mailbox, on one replica at a time; IDLE only rings, a scan does the work."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

from outrider.events.database import DISCONNECTED, Pool
from outrider.events.leases import release, take
from outrider.events.service import Settings
from outrider.events.telemetry import logger
from outrider.events.vault import Opener, Unsealable, get
from outrider.reply_watcher.imap_session import Session
from outrider.reply_watcher.imap_values import AuthFailed, Mailbox, MailboxFailed, backoff_seconds
from outrider.reply_watcher.scanning import Scanner, Watched, newest

LEASE_SECONDS = 30.0
LOOK_SECONDS = 1.0
REFUSED_SECONDS = 600.0
"""A mailbox that refuses its password is tried again this late, or at once when the credential changes."""
_log = logger(__name__)


class Watchers:
    """Watches every mailbox of its projection that no other replica watches."""

    def __init__(self, settings: Settings, log: Pool, tables: Pool, scanner: Scanner) -> None:
        """`log` is on the log's database, `tables` on the projection."""
        self._settings = settings
        self._log = log
        self._tables = tables
        self._scanner = scanner
        self._opener = Opener(settings.seal_private_key)
        self._me = uuid4()
        self._tasks: dict[UUID, tuple[Watched, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Keep one task for each mailbox, for ever; a changed credential gets a new one."""
        try:
            while True:
                with suppress(*DISCONNECTED):
                    await self._keep(await self._mailboxes())
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Nobody watches any more; other replicas may take over at once."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for _, task in tasks:
            task.cancel()
        await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)
        with suppress(*DISCONNECTED):
            for watched, _ in tasks:
                await release(self._log, _lease(watched), self._me)

    async def _mailboxes(self) -> dict[UUID, Watched]:
        rows = await self._tables.fetch("select mailbox_id, account_id, credential_id, version, since from mailboxes")
        return newest(
            [
                Watched(row["mailbox_id"], row["account_id"], row["credential_id"], row["version"], row["since"])
                for row in rows
            ]
        )

    async def _keep(self, wanted: dict[UUID, Watched]) -> None:
        for mailbox, (watched, task) in list(self._tasks.items()):
            if wanted.get(mailbox) != watched or task.done():
                task.cancel()
                del self._tasks[mailbox]
        for mailbox, watched in wanted.items():
            if mailbox not in self._tasks:
                self._tasks[mailbox] = watched, asyncio.create_task(self._watch(watched), name=f"watch {mailbox}")

    async def _watch(self, watched: Watched) -> None:
        """Sessions one after the other, with back-off between those that fail."""
        failures = 0
        while True:
            try:
                if not await take(self._log, _lease(watched), self._me, LEASE_SECONDS):
                    await asyncio.sleep(random.uniform(1, 5))  # noqa: S311  # jitter
                    continue
                mailbox = await self._mailbox(watched)
                if mailbox is None:
                    return
                await self._session(watched, mailbox)
                failures = 0
            except AuthFailed as failed:
                _log.warning("mailbox.refused", mailbox=str(watched.mailbox_id), credential=str(watched.credential_id))
                del failed
                await self._rest(watched, REFUSED_SECONDS)
            except MailboxFailed as failed:
                failures += 1
                _log.warning("mailbox.failed", mailbox=str(watched.mailbox_id), kind=type(failed).__name__)
                await self._rest(watched, backoff_seconds(failures))
            except DISCONNECTED as lost:
                _log.warning("mailbox.waits", mailbox=str(watched.mailbox_id), error=type(lost).__name__)
                await asyncio.sleep(1)
            except Exception:  # noqa: BLE001  # one mailbox's bug must not end the watch over it
                _log.exception("mailbox.bug", mailbox=str(watched.mailbox_id))
                failures += 1
                await asyncio.sleep(backoff_seconds(failures))

    async def _session(self, watched: Watched, mailbox: Mailbox) -> None:
        """Scan, wait for the bell or the poll, scan again; until the lease is lost or the session fails."""
        async with await Session.open(mailbox) as session:
            while await take(self._log, _lease(watched), self._me, LEASE_SECONDS):
                await self._scanner.scan(watched, mailbox, session)
                await self._wait(watched, session)

    async def _wait(self, watched: Watched, session: Session) -> None:
        """Until something came or the poll is due, with the lease kept."""
        left = self._settings.imap_poll_seconds * random.uniform(0.9, 1.1)  # noqa: S311  # jitter
        while left > 0 and not await session.wait(min(left, LEASE_SECONDS / 3)):
            left -= LEASE_SECONDS / 3
            if not await take(self._log, _lease(watched), self._me, LEASE_SECONDS):
                return

    async def _rest(self, watched: Watched, seconds: float) -> None:
        """Leave the mailbox alone, and let no other replica hammer it meanwhile."""
        with suppress(*DISCONNECTED):
            await take(self._log, _lease(watched), self._me, seconds)
        await asyncio.sleep(seconds)

    async def _mailbox(self, watched: Watched) -> Mailbox | None:
        """Where it is and how to get in; None where the credential is gone."""
        about = await get(self._log, watched.account_id, watched.credential_id, "server")
        sealed = await get(self._log, watched.account_id, watched.credential_id, "secrets")
        if about is None or sealed is None or not about.get("imap_host"):
            return None
        try:
            secrets = self._opener.open(watched.credential_id, sealed)
        except Unsealable:
            _log.exception("mailbox.unsealable", credential=str(watched.credential_id))
            return None
        authorities = self._settings.trust_ca
        return Mailbox(
            about["imap_host"],
            about["imap_port"],
            about["imap_username"],
            secrets["imap_password"],
            about["imap_security"],
            self._settings.allow_insecure_hosts,
            Path(authorities) if authorities else None,
        )


def _lease(watched: Watched) -> str:
    return f"mailbox-{watched.mailbox_id}"
