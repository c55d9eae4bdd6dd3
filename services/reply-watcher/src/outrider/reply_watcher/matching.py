"""Matching: to which message of ours an inbound one belongs.

By our own signed Message-IDs; then by Gmail's thread; then, as a suspicion, by who sent it and its subject.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from outrider.events.database import Pool, Row
from outrider.events.delivery import DeliveryStarted
from outrider.events.log import Log
from outrider.events.rendering import BadTemplate, CannotRender, compile_step, merge_of
from outrider.events.tokens import Keyring, find_own_ids
from outrider.events.vault import get
from outrider.reply_watcher.glancing import Glance, forges, sender_key, subject_matches
from outrider.reply_watcher.inbound import Match
from outrider.reply_watcher.mail import Mail

SKEW: Final = timedelta(minutes=10)
"""By so much may a mail server's clock be behind ours: an answer is never older than what it answers."""
COLUMNS: Final = (
    "d.delivery_id, d.account_id, d.enrollment_id, d.campaign_id, d.contact_id, d.credential_id, d.position, "
    "d.template_version, d.started_at"
)
ONE: Final = f"select {COLUMNS} from deliveries d where d.delivery_id = $1"  # noqa: S608  # a constant
SOME: Final = f"select {COLUMNS} from deliveries d where d.delivery_id = any($1) order by d.started_at desc"  # noqa: S608  # the same
MAILED: Final = f"""
select {COLUMNS}
from contacts c
join deliveries d using (contact_id)
where c.account_id = $1 and c.address_key = $2 and d.credential_id = any($3)
order by d.started_at desc
limit 20
"""  # noqa: S608  # the same
KNOWN: Final = """
select distinct c.address_key
from contacts c
where c.account_id = $1 and c.address_key = any($2)
    and exists (select from deliveries d where d.contact_id = c.contact_id and d.credential_id = any($3))
"""
THREADS: Final = "select thread, delivery_id from threads where mailbox_id = $1 and thread = any($2)"
LEARN: Final = """
insert into threads (mailbox_id, thread, delivery_id) select $1, * from unnest($2::text[], $3::uuid[])
on conflict do nothing
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a message was found."""

    account_id: UUID
    mailbox_id: UUID
    credentials: tuple[UUID, ...]
    """Those that mail through the mailbox."""
    thread: str
    """Gmail's, else empty."""
    received_at: datetime | None
    """When the server took it in."""


class Matching:
    """Looks deliveries up."""

    def __init__(self, keys: Keyring, tables: Pool, work: Pool, log: Log, vault: Pool) -> None:
        """`tables` are the projection of `projections.watching`, `work` holds the threads."""
        self._keys = keys
        self._tables = tables
        self._work = work
        self._log = log
        self._vault = vault

    async def learn(self, mailbox: UUID, threads: Sequence[tuple[str, UUID]]) -> None:
        """These messages of ours lie in these threads of the mailbox."""
        if threads:
            await self._work.execute(LEARN, mailbox, [one for one, _ in threads], [one for _, one in threads])

    async def known(
        self, account: UUID, mailbox: UUID, credentials: Collection[UUID], met: Sequence[Glance]
    ) -> set[int]:
        """The UIDs of those that lie in a thread of ours, or come from somebody whom these credentials mailed."""
        others = [one for one in met if one.kind == "other"]
        threads, senders = {one.thread for one in others} - {""}, {one.sender_key for one in others} - {None}
        ours: set[str] = set()
        if threads:
            ours = {row["thread"] for row in await self._work.fetch(THREADS, mailbox, list(threads))}
        people: set[str] = set()
        if senders:
            rows = await self._tables.fetch(KNOWN, account, list(senders), list(credentials))
            people = {row["address_key"] for row in rows}
        return {one.uid for one in others if one.thread in ours or one.sender_key in people}

    async def match(self, found: Found, mail: Mail) -> Match | None:
        """The delivery of this account that the message belongs to; None where there is none.

        An id that we never signed, or that another account's message bears, matches nothing, and keeps what is weaker
        than an id from matching.
        """
        for candidate in mail.candidates:
            for delivery in find_own_ids(self._keys, candidate):
                sent = await self._delivery(delivery)
                if sent is not None and sent[0] == found.account_id:
                    return sent[1]
        if forges(self._keys, mail) or any(find_own_ids(self._keys, one) for one in mail.candidates):
            return None
        key = sender_key(self._keys, found.account_id, mail)
        rows = await self._tables.fetch(MAILED, found.account_id, key, list(found.credentials))  # nobody has no key
        mailed = [row for row in rows if found.received_at is None or row["started_at"] <= found.received_at + SKEW]
        return await self._in_thread(found, mailed) or await self._suspected(found, mail, mailed)

    async def _in_thread(self, found: Found, mailed: Sequence[Row]) -> Match | None:
        """The last message of ours in the thread; of several people's the sender's own."""
        if not found.thread:
            return None
        rows = await self._work.fetch(THREADS, found.mailbox_id, [found.thread])
        there = await self._tables.fetch(SOME, [row["delivery_id"] for row in rows])
        there = [row for row in there if row["account_id"] == found.account_id]
        if len({row["enrollment_id"] for row in there}) > 1:
            theirs = {row["delivery_id"] for row in mailed}
            there = [row for row in there if row["delivery_id"] in theirs]
        return _match(there[0]) if len({row["enrollment_id"] for row in there}) == 1 else None

    async def _suspected(self, found: Found, mail: Mail, mailed: Sequence[Row]) -> Match | None:
        """The last message to whoever sent this one whose subject it has."""
        for row in mailed:
            if subject_matches(mail.subject, await self._subject(found.account_id, row)):
                return replace(_match(row), suspected=True)
        return None

    async def _subject(self, account: UUID, sent: Row) -> str:
        """The subject under which it went out, as far as the person and the text are still known; else empty."""
        name = f"template-{sent['position']}-{sent['template_version']}"
        text = await get(self._vault, account, sent["campaign_id"], name)
        person = await get(self._vault, account, sent["contact_id"], "person")
        if text is None or person is None:
            return ""
        try:
            return compile_step(text["subject"], "").render(merge_of(person, None)).subject
        except (BadTemplate, CannotRender):
            return ""

    async def stops_on_suspicion(self, campaign: UUID) -> bool:
        """Whether the campaign wants a suspected reply to stop the enrollment."""
        said = await self._tables.fetchval(
            "select stop_on_suspected_reply from campaigns where campaign_id = $1", campaign
        )
        return said is not False

    async def _delivery(self, delivery: UUID) -> tuple[UUID, Match] | None:
        row = await self._tables.fetchrow(ONE, delivery)
        if row is not None:
            return row["account_id"], _match(row)
        # The signature is ours, so the delivery exists: this projection is behind, and the log knows it already.
        for item in await self._log.read_stream(None, f"delivery-{delivery}"):
            if isinstance(item.event, DeliveryStarted):
                event = item.event
                return item.account_id, Match(
                    delivery,
                    event.enrollment_id,
                    event.campaign_id,
                    event.contact_id,
                    event.credential_id,
                    event.position,
                )
        return None


def _match(row: Row) -> Match:
    return Match(
        row["delivery_id"],
        row["enrollment_id"],
        row["campaign_id"],
        row["contact_id"],
        row["credential_id"],
        row["position"],
    )
