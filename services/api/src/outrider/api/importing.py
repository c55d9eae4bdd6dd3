"""Sorting the rows of an import: who is taken, who is there twice, who cannot be taken and why."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from outrider.api.bodies_contacts import Person, zones
from outrider.api.gateway import Call
from outrider.events import vault
from outrider.events.ids import BadAddress, address_key, domain_key, domain_of, new_id, parse_address
from outrider.events.message import Json
from outrider.events.vault import Entry

CHUNK_ROWS: Final = 1000
ROWS_KEPT: Final = timedelta(hours=24)
"""Real time: by then they are contacts, or the import is to be made again."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What became of the rows of a body."""

    good: Sequence[Json]
    """contact_id, address_key, domain_key and person, each address once."""
    skipped: int
    rejects: Sequence[Json]
    """line (from 1), email and reason."""


async def sort_rows(key: bytes, account_id: UUID, rows: Sequence[Person]) -> Rows:
    """Taken, skipped and rejected add up to the rows. Beside the event loop: there may be a million."""
    return await asyncio.to_thread(_sort, key, account_id, rows)


def _sort(key: bytes, account_id: UUID, rows: Sequence[Person]) -> Rows:
    good: dict[str, Json] = {}
    rejects: list[Json] = []
    for line, row in enumerate(rows, 1):
        try:
            address = parse_address(row.email)
        except BadAddress as bad:
            rejects.append({"line": line, "email": row.email, "reason": f"email {bad.reason}"})
            continue
        if row.timezone is not None and row.timezone not in zones():
            rejects.append({"line": line, "email": row.email, "reason": "timezone is not in the IANA database"})
            continue
        known = address_key(key, account_id, address)
        if known not in good:
            person = {**row.model_dump(), "email": address, "custom": row.custom or {}}
            domain = domain_key(key, account_id, domain_of(address))
            good[known] = {
                "contact_id": str(new_id()),
                "address_key": known,
                "domain_key": domain,
                "person": person,
            }
    return Rows(list(good.values()), len(rows) - len(good) - len(rejects), rejects)


async def store(call: Call, import_id: UUID, name: str, rows: Rows) -> int:
    """Name, rows and rejects lie in the vault under the import; in how many chunks the rows lie."""
    pool, account = call.gateway.log_pool, call.account_id
    until = call.gateway.clock.real() + ROWS_KEPT
    entries = [Entry(import_id, "name", account, "import", {"name": name})]
    if rows.rejects:
        entries.append(Entry(import_id, "rejects", account, "import", {"rows": list(rows.rejects)}, until))
    await vault.put(pool, entries)
    starts = range(0, len(rows.good), CHUNK_ROWS)
    for number, start in enumerate(starts):
        chunk = {"rows": list(rows.good[start : start + CHUNK_ROWS])}
        await vault.put(pool, [Entry(import_id, f"rows-{number}", account, "import", chunk, until)])
    return len(starts)
