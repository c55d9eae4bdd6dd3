"""Scanning: one pass over a mailbox. What it finds is recorded before the cursor moves, so a cut pass loses nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from outrider.events.clock import Clock
from outrider.events.database import Pool
from outrider.events.log import Log, Write
from outrider.events.telemetry import logger
from outrider.events.tokens import Keyring, read_message_id
from outrider.events.vault import Entry, put
from outrider.reply_watcher.classifying import classify, concerns
from outrider.reply_watcher.imap_answers import Head
from outrider.reply_watcher.imap_session import Opened, Session
from outrider.reply_watcher.imap_values import Mailbox
from outrider.reply_watcher.inbound import cause_name, observe, stream
from outrider.reply_watcher.mail import parse
from outrider.reply_watcher.matching import Matching

CHUNK = 25
_log = logger(__name__)
MOVE = """
insert into cursors (mailbox_id, folder, uid_validity, uid) values ($1, $2, $3, $4)
on conflict (mailbox_id, folder) do update set uid_validity = excluded.uid_validity, uid = excluded.uid
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """One mailbox of one account, shared by the credentials that name it."""

    mailbox_id: UUID
    account_id: UUID
    credential_id: UUID
    """The newest of them: its password is used."""
    version: int
    since: datetime


class Scanner:
    """Scans mailboxes for what answers us."""

    def __init__(self, log: Log, vault: Pool, work: Pool, clock: Clock, keys: Keyring, matching: Matching) -> None:  # noqa: PLR0913, PLR0917  # its ports
        """`vault` is on the log's database, `work` holds the cursors."""
        self._log = log
        self._vault = vault
        self._work = work
        self._clock = clock
        self._keys = keys
        self._matching = matching

    async def scan(self, watched: Watched, mailbox: Mailbox, session: Session) -> int:
        """Everything new in every folder worth scanning is recorded; how many records. Raises MailboxFailed."""
        recorded = 0
        for folder in reversed(await session.folders()):  # the inbox last, so that it is the one left open for IDLE
            opened = await session.examine(folder)
            if opened is not None:
                recorded += await self._folder(watched, mailbox, session, opened)
        return recorded

    async def _folder(self, watched: Watched, mailbox: Mailbox, session: Session, opened: Opened) -> int:
        name = opened.folder.name
        row = await self._work.fetchrow(
            "select uid_validity, uid from cursors where mailbox_id = $1 and folder = $2", watched.mailbox_id, name
        )
        last = 0
        if row is not None and row["uid_validity"] == opened.uid_validity:
            last = row["uid"]
            found = await session.uids_after(last)
        else:  # never read, or the server has numbered anew: nothing older than our first use of it can answer us
            found = await session.uids_since((watched.since.astimezone(UTC) - timedelta(days=1)).date())
        recorded = 0
        for at in range(0, len(found), CHUNK):
            chunk = found[at : at + CHUNK]
            wanted = [head.uid async for head in session.headers(chunk) if self._worth_reading(head)]
            async for head in session.messages(wanted):
                recorded += await self._record(watched, mailbox, opened, head)
            last = max(last, *chunk)
            await self._work.execute(MOVE, watched.mailbox_id, name, opened.uid_validity, last)
        if not found and row is None:
            await self._work.execute(MOVE, watched.mailbox_id, name, opened.uid_validity, last)
        return recorded

    def _worth_reading(self, head: Head) -> bool:
        """Whether the body is fetched: it names a message of ours, or comes from a program."""
        mail = parse(head.content)
        if read_message_id(self._keys, mail.message_id) is not None:
            return False  # our own copy
        return bool(mail.candidates) or concerns(mail)

    async def _record(self, watched: Watched, mailbox: Mailbox, opened: Opened, head: Head) -> int:
        """Whether the message was recorded in this pass (1) or not (0)."""
        mail = parse(head.content)
        match = await self._matching.match(watched.account_id, mail.candidates)
        if match is None:
            return 0
        events = observe(classify(mail), match, self._clock.now())
        if not events:
            return 0
        place = f"{mailbox.host.lower()}:{mailbox.port}/{mailbox.username}"
        name = cause_name(place, opened.folder.name, opened.uid_validity, head.uid)
        cause = uuid5(watched.account_id, name)
        words = {"subject": mail.subject, "snippet": mail.snippet}
        await put(self._vault, [Entry(match.contact_id, f"inbound-{cause}", watched.account_id, "contact", words)])
        verdict = await self._log.append(watched.account_id, Write(stream(match), None, events, cause))
        _log.info("inbound", kind=events[0].name, enrollment=str(match.enrollment_id), verdict=type(verdict).__name__)
        return 1


def newest(rows: Sequence[Watched]) -> dict[UUID, Watched]:
    """One watch a mailbox: of the credentials that name it the one that changed last."""
    found: dict[UUID, Watched] = {}
    for row in sorted(rows, key=lambda row: row.since):
        found[row.mailbox_id] = row
    return found
