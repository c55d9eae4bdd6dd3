"""Recording: what a message means to whom, in the log exactly once, its words in the vault."""

import asyncio
import hashlib
from collections.abc import Collection
from uuid import UUID, uuid5

from outrider.events.clock import Clock
from outrider.events.database import Pool
from outrider.events.log import Appended, Log, Write
from outrider.events.message import Json
from outrider.events.telemetry import INBOUND, logger
from outrider.events.vault import get
from outrider.reply_watcher.classifying import HumanReply, Verdict, classify
from outrider.reply_watcher.inbound import Match, observe, stream
from outrider.reply_watcher.mail import Mail, parse
from outrider.reply_watcher.matching import Found, Matching

FOUND = """
insert into findings (account_id, message, cause) values ($1, $2, $3)
on conflict (account_id, message) do update set cause = findings.cause
returning cause
"""
KEEP_WORDS = "select log.keep_words($1, 'person', $2, $3, $4)"
"""Only while the person is there: words must not outlive who wrote them."""
_log = logger(__name__)


class Recorder:
    """Records messages that answer us."""

    def __init__(self, log: Log, vault: Pool, work: Pool, clock: Clock, matching: Matching) -> None:
        """`vault` is on the log's database, `work` holds the findings."""
        self._log = log
        self._vault = vault
        self._work = work
        self._clock = clock
        self._matching = matching

    async def record(self, found: Found, name: str, content: bytes) -> int:
        """What the message says about one of ours stands in the log; 1 if this very call recorded it, else 0.

        `name` is `inbound.cause_name` of where it lies now; found again, there or elsewhere, it records nothing.
        """
        account, mail = found.account_id, await asyncio.to_thread(parse, content)
        match = await self._matching.match(found, mail)
        if match is None:
            return 0
        person = await get(self._vault, account, match.contact_id, "person")
        mailed = () if person is None else (str(person.get("email")),)
        verdict, words = await asyncio.to_thread(_understood, mail, mailed)
        stops = not match.suspected or await self._matching.stops_on_suspicion(match.campaign_id)
        events = observe(verdict, match, self._clock.now(), stops_on_suspicion=stops)
        if not events:
            return 0
        cause = await self._cause(account, name, match, mail, content)
        await self._vault.execute(KEEP_WORDS, match.contact_id, f"inbound-{cause}", words, account)
        appended = await self._log.append(account, Write(stream(match), None, events, cause))
        new = isinstance(appended, Appended)
        if new:
            INBOUND.labels(events[0].name).inc()
        _log.info("inbound", kind=events[0].name, enrollment=str(match.enrollment_id), repeated=not new)
        return int(new)

    async def _cause(self, account: UUID, name: str, match: Match, mail: Mail, content: bytes) -> UUID:
        """The cause of the message's record: its first place names it for ever."""
        itself = mail.message_id.encode("utf-8", "replace") or content
        message = hashlib.sha256(match.delivery_id.bytes + itself).digest()
        cause: UUID = await self._work.fetchval(FOUND, account, message, uuid5(account, name))
        return cause


def _understood(mail: Mail, mailed: Collection[str]) -> tuple[Verdict, Json]:
    """What the message is, and what of its words is kept. Raises nothing."""
    try:
        return classify(mail, mailed), {"subject": mail.subject, "snippet": mail.snippet}
    except Exception:  # noqa: BLE001  # it promises not to raise; if it does, whoever answered must not be mailed again
        _log.exception("message.unreadable")
        return HumanReply(mail.subject, ""), {"subject": mail.subject, "snippet": ""}
