"""Scanning: one pass over a mailbox. What it finds is recorded before the cursor moves, so a cut pass loses nothing."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from outrider.events.database import Pool
from outrider.events.telemetry import logger
from outrider.events.tokens import Keyring
from outrider.events.tracing import SpanKind, begun
from outrider.reply_watcher.glancing import glance, learnt
from outrider.reply_watcher.imap_answers import Head
from outrider.reply_watcher.imap_session import Opened, Session
from outrider.reply_watcher.imap_values import Mailbox
from outrider.reply_watcher.inbound import cause_name
from outrider.reply_watcher.matching import Found, Matching
from outrider.reply_watcher.recording import Recorder

CHUNK = 25
_log = logger(__name__)
MOVE = """
insert into cursors (mailbox_id, folder, uid_validity, uid) values ($1, $2, $3, $4)
on conflict (mailbox_id, folder) do update
set uid_validity = excluded.uid_validity,
    uid = case
        when cursors.uid_validity = excluded.uid_validity then greatest(cursors.uid, excluded.uid)
        else excluded.uid
    end
"""
"""A replica that was overtaken while it read moves it back as little as one that is ahead skips anything."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One mailbox of one account, shared by the credentials that name it."""

    mailbox_id: UUID
    account_id: UUID
    credentials: tuple[UUID, ...]
    """The one that changed last first."""
    changed: int
    """Position of the last change to one of them."""
    since: datetime
    """Real time: no answer can be older."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One pass over one mailbox."""

    watched: Watched
    mailbox: Mailbox
    own: Collection[str]
    """Folded addresses of those who mail through it."""
    session: Session


class Scanner:
    """Scans mailboxes for what answers us."""

    def __init__(self, work: Pool, keys: Keyring, matching: Matching, recorder: Recorder) -> None:
        """`work` holds the cursors."""
        self._work = work
        self._keys = keys
        self._matching = matching
        self._recorder = recorder

    async def scan(self, scan: Scan) -> int:
        """Everything new in every folder worth scanning is recorded; how many records. Raises MailboxFailed."""
        recorded = 0
        for folder in reversed(await scan.session.folders()):  # the inbox last, so that it is left open for IDLE
            opened = await scan.session.examine(folder)
            if opened is not None:
                recorded += await self._folder(scan, opened)
        return recorded

    async def _folder(self, scan: Scan, opened: Opened) -> int:
        cursor, found = await self._new(scan, opened)
        recorded = 0
        for at in range(0, len(found), CHUNK):
            chunk = found[at : at + CHUNK]
            recorded += await self._chunk(scan, opened, chunk)
            cursor = chunk[-1]
            await self._move(scan, opened, cursor)
        if not cursor:  # read for the first time: what is older than our first use of it is never looked at
            await self._move(scan, opened, max(0, opened.uid_next - 1))
        return recorded

    async def _new(self, scan: Scan, opened: Opened) -> tuple[int, Sequence[int]]:
        """How far the folder was read (0: never, or the server has numbered anew since), and the UIDs to look at."""
        row = await self._work.fetchrow(
            "select uid_validity, uid from cursors where mailbox_id = $1 and folder = $2",
            scan.watched.mailbox_id,
            opened.folder.name,
        )
        if row is not None and row["uid_validity"] == opened.uid_validity:
            return row["uid"], await scan.session.uids_after(row["uid"])
        day = (scan.watched.since.astimezone(UTC) - timedelta(days=1)).date()  # the server's day may be another
        return 0, await scan.session.uids_since(day)

    async def _chunk(self, scan: Scan, opened: Opened, chunk: Sequence[int]) -> int:
        """What answers us among these messages is recorded; how many did."""
        heads = [head async for head in scan.session.headers(chunk)]
        wanted = await self._wanted(scan, heads)
        watched = scan.watched
        place = f"{scan.mailbox.host.lower()}:{scan.mailbox.port}/{scan.mailbox.username}"
        recorded = read = 0
        async for head in scan.session.messages(wanted):
            name = cause_name(place, opened.folder.name, opened.uid_validity, head.uid)
            found = Found(watched.account_id, watched.mailbox_id, watched.credentials, head.thread, head.received_at)
            with begun(None, "inbound", SpanKind.CONSUMER, {"outrider.mailbox_id": str(watched.mailbox_id)}):
                recorded += await self._recorder.record(found, name, head.content)
            read += 1
        if read < len(wanted):
            _log.warning("messages.missing", mailbox=str(watched.mailbox_id), missing=len(wanted) - read)
        return recorded

    async def _wanted(self, scan: Scan, heads: Sequence[Head]) -> Sequence[int]:
        """The UIDs of those whose bodies are worth fetching; the threads that they show are learnt."""
        watched = scan.watched
        # In a thread: a message made to be slow may take a second, and a thousand other mailboxes wait.
        met = await asyncio.to_thread(
            lambda: [glance(self._keys, watched.account_id, head, scan.own) for head in heads]
        )
        await self._matching.learn(watched.mailbox_id, learnt(met))
        known = await self._matching.known(watched.account_id, watched.mailbox_id, watched.credentials, met)
        return [one.uid for one in met if one.is_worth_reading or one.uid in known]

    async def _move(self, scan: Scan, opened: Opened, uid: int) -> None:
        await self._work.execute(MOVE, scan.watched.mailbox_id, opened.folder.name, opened.uid_validity, uid)
