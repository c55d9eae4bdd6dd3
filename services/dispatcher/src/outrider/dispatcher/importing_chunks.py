"""A chunk of an import, as it lies in the vault, becomes contacts: 250 in one append, the people without a detour.

Whoever is there already is looked up first; who comes in between is told by the append.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from outrider.dispatcher.contact import Address, add_contact, address, contact, contact_import
from outrider.dispatcher.desk import Desk, chunks
from outrider.events import vault
from outrider.events.errors import Conflict
from outrider.events.log import Expect, Write

TRIES: Final = 5
ROWS: Final = """
select (r ->> 'contact_id')::uuid as contact_id, r ->> 'address_key' as address_key, r ->> 'domain_key' as domain_key
from log.vault v, jsonb_array_elements(v.value -> 'rows') as r
where v.owner = $1 and v.name = $2 and v.account_id = $3
"""
PUT_PEOPLE: Final = """
insert into log.vault (owner, name, account_id, kind, value)
select (r ->> 'contact_id')::uuid, 'person', v.account_id, 'contact', r -> 'person'
from log.vault v, jsonb_array_elements(v.value -> 'rows') as r
where v.owner = $1 and v.name = $2 and v.account_id = $3 and (r ->> 'contact_id')::uuid = any($4)
on conflict (owner, name) do nothing
"""
"""Who was changed since an attempt before this one stays as changed."""


@dataclass(frozen=True, slots=True)
class Row:
    """A person of an import, by keys."""

    contact_id: UUID
    address_key: str
    domain_key: str | None = None

    @property
    def streams(self) -> tuple[str, str]:
        """Of the contact, and of the address that it reserves."""
        return contact.stream(self.contact_id), address.stream(self.address_key)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Which chunk, of an import that stands where it was read."""

    account_id: UUID
    import_id: UUID
    name: str
    """In the vault."""
    cause: UUID
    version: int
    """Of the import's stream."""


async def add_chunk(desk: Desk, chunk: Chunk) -> bool:
    """Its people are contacts, but for those whose address has its contact; False where the import was deleted."""
    found = await desk.log_pool.fetch(ROWS, chunk.import_id, chunk.name, chunk.account_id)
    rows = [Row(row["contact_id"], row["address_key"], row["domain_key"]) for row in found]
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.address_key, row)
    for part in chunks(list(first.values())):  # one after the other: who stands first in the list is enrolled first
        if not await _add(desk, chunk, part):
            return False
    return True


async def _add(desk: Desk, chunk: Chunk, rows: Sequence[Row]) -> bool:
    stand = await _stand(desk, chunk.account_id, rows)
    fresh = [row for row in rows if stand[row.address_key][0].contact_id is None]
    await desk.log_pool.execute(
        PUT_PEOPLE, chunk.import_id, chunk.name, chunk.account_id, [row.contact_id for row in fresh]
    )
    left, moved = fresh, set[str]()
    for _ in range(TRIES):
        if moved:
            stand = await _stand(desk, chunk.account_id, left)
            left = [row for row in left if not _is_settled(row, stand, moved)]
        moved = await _append(desk, chunk, left, stand)
        if not moved:
            await _forget_others(desk, chunk, fresh, left)
            return True
        if contact_import.stream(chunk.import_id) in moved:
            await vault.forget(desk.log_pool, [row.contact_id for row in left])
            return False
    raise Conflict(sorted(moved))


async def _stand(desk: Desk, account: UUID, rows: Sequence[Row]) -> Mapping[str, tuple[Address, int]]:
    """Each address as it stands, with the version of its stream."""
    found = await desk.log.read_streams(account, [address.stream(row.address_key) for row in rows])
    histories = {row.address_key: found.get(address.stream(row.address_key), []) for row in rows}
    return {key: (address.fold(item.event for item in history), len(history)) for key, history in histories.items()}


def _is_settled(row: Row, stand: Mapping[str, tuple[Address, int]], moved: Collection[str]) -> bool:
    """Whether nothing is left to be done: the address has its contact, or this one was added before."""
    return stand[row.address_key][0].contact_id is not None or contact.stream(row.contact_id) in moved


async def _append(desk: Desk, chunk: Chunk, rows: Sequence[Row], stand: Mapping[str, tuple[Address, int]]) -> set[str]:
    """All of them are added, or none: the streams that moved meanwhile."""
    writes: list[Write] = []
    for row in rows:
        state, version = stand[row.address_key]
        *added, reserved = add_contact(row.contact_id, chunk.import_id, row.address_key, state, row.domain_key)
        people, addresses = row.streams
        writes += [Write(people, 0, added, chunk.cause), Write(addresses, version, [reserved], chunk.cause)]
    if writes:
        try:
            expected = Expect(contact_import.stream(chunk.import_id), chunk.version)
            await desk.log.append(chunk.account_id, *writes, expected)
        except Conflict as conflict:
            return set(conflict.streams)
    return set()


async def _forget_others(desk: Desk, chunk: Chunk, fresh: Sequence[Row], added: Sequence[Row]) -> None:
    """Of who was put into the vault and is no contact, nothing is kept."""
    kept = {row.contact_id for row in added}
    if others := [row for row in fresh if row.contact_id not in kept]:
        found = await desk.log.read_streams(chunk.account_id, [contact.stream(row.contact_id) for row in others])
        states = {
            row.contact_id: contact.fold(item.event for item in found.get(contact.stream(row.contact_id), []))
            for row in others
        }
        gone = [contact_id for contact_id, state in states.items() if state.status != "present"]
        await vault.forget(desk.log_pool, gone)
