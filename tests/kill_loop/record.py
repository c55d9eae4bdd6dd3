"""What the checker reads, and nothing else: the log, and what the mail server wrote down before each 250."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from outrider.events import (
    account,
    campaign,
    contact,
    credential,
    delivery,
    engagement,
    enrollment,
    inbound,
    outreach,
)
from outrider.events.message import Event, Recorded
from outrider.events.reading import recorded
from outrider.events.tokens import Keyring, read_message_id

CATEGORIES = (account, campaign, contact, credential, delivery, engagement, enrollment, inbound, outreach)
"""Imported, so that every event type is known."""
EVENTS = """
select position, account_id, stream, version, cause, ordinal, business_at, recorded_at, meta, type, type_version, data
from log.events order by position
"""


@dataclass(frozen=True)
class Letter:
    """A message that the server took."""

    delivery: UUID
    at: datetime
    """Before its 250 was written."""
    recipient: str


@dataclass(frozen=True)
class Sink:
    """The mail server's own record."""

    letters: Sequence[Letter]
    foreign: Sequence[str]
    """Message-IDs that we never signed."""
    refusals: Sequence[str]
    """Recipients that were refused for good, once for each time."""
    came_back: Mapping[str, frozenset[UUID]]
    """By deed (`reply`, `bounce`): the deliveries that were answered so, into a mailbox that is watched."""


def sink(home: Path, hash_key: str) -> Sink:
    """Read the journal; a last line that was cut short was never answered with 250."""
    keys, letters, foreign, refusals = Keyring.parse(hash_key), list[Letter](), list[str](), list[str]()
    by_number: dict[int, UUID] = {}
    back: dict[str, set[UUID]] = {"reply": set(), "bounce": set()}
    for line in (home / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            continue
        entry: dict[str, Any] = json.loads(line)
        if entry["kind"] == "accepted":
            delivery_id = read_message_id(keys, entry["message_id"])
            if delivery_id is None:
                foreign.append(entry["message_id"])
                continue
            by_number[entry["number"]] = delivery_id
            letters.append(Letter(delivery_id, datetime.fromisoformat(entry["at"]), entry["recipient"]))
        elif entry["kind"] == "refused" and entry["line"].startswith("5"):
            refusals.append(entry["recipient"])
        elif entry["kind"] == "answered" and entry["deed"] in back and entry["number"] in by_number:
            back[entry["deed"]].add(by_number[entry["number"]])
    return Sink(letters, foreign, refusals, {deed: frozenset(found) for deed, found in back.items()})


@dataclass
class Counter:
    """How many messages were taken so far, counted line by line as the journal grows."""

    home: Path
    taken: int = 0
    _read: int = 0

    def now(self) -> int:
        """Answer how many."""
        journal = self.home / "journal.jsonl"
        if journal.exists():
            with journal.open("rb") as file:
                file.seek(self._read)
                for line in file:
                    if line.endswith(b"\n"):
                        self._read += len(line)
                        self.taken += line.startswith(b'{"kind": "accepted"')
        return self.taken


async def log(url: str) -> list[Recorded[Event]]:
    """Answer every event, in order."""
    connection = await asyncpg.connect(url)
    try:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        return [recorded(dict(row)) for row in await connection.fetch(EVENTS)]
    finally:
        await connection.close()
