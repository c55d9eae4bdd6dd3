"""To-dos `import_chunk` and `delete_import`: people of the vault become contacts, and go again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID, uuid5

from outrider.dispatcher.contact import (
    Address,
    Contact,
    add_contact,
    address,
    complete_import,
    contact,
    contact_import,
    delete_contact,
    release,
)
from outrider.dispatcher.desk import Desk, chunks
from outrider.events import todo, vault
from outrider.events.errors import Conflict
from outrider.events.log import Write
from outrider.events.message import Event, Json
from outrider.events.todo import Todo
from outrider.events.vault import Entry

TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A person of an import."""

    contact_id: UUID
    address_key: str
    person: Json
    domain_key: str | None = None


def chunk_key(import_id: UUID, chunk: int) -> str:
    """The key of the to-do that adds this chunk."""
    return f"{import_id}:{chunk}"


async def import_chunk(desk: Desk, item: Todo) -> None:
    """Its people are contacts, or counted as duplicates; the next chunk is to be added, or the import is complete."""
    import_id, chunk, cause = UUID(item.key.partition(":")[0]), int(item.data["chunk"]), UUID(item.data["cause"])
    state = contact_import.fold(
        found.event for found in await desk.log.read_stream(item.account_id, contact_import.stream(import_id))
    )
    if state.status != "processing":
        return
    await _add_people(desk, item.account_id, import_id, cause, await _people(desk, item.account_id, import_id, chunk))
    if chunk + 1 < state.chunks:
        following = Todo(
            item.kind,
            chunk_key(import_id, chunk + 1),
            item.account_id,
            item.due_at,
            owner=import_id,
            data={"chunk": chunk + 1, "cause": str(cause)},
        )
        async with desk.work.acquire() as db:
            await todo.add(db, [following])
        return
    added = (await desk.recorded_by(item.account_id, cause)).of.get("ContactAdded", 0)
    await desk.log.transact(
        item.account_id,
        contact_import,
        import_id,
        partial(complete_import, import_id, added),
        cause=uuid5(cause, "completed"),
    )
    await desk.log_pool.execute("delete from log.vault where owner = $1 and name like 'rows-%'", import_id)


async def _people(desk: Desk, account: UUID, import_id: UUID, chunk: int) -> list[Row]:
    found = await vault.get(desk.log_pool, account, import_id, f"rows-{chunk}") or {"rows": []}
    return [
        Row(UUID(row["contact_id"]), row["address_key"], row["person"], row.get("domain_key")) for row in found["rows"]
    ]


async def _add_people(desk: Desk, account: UUID, import_id: UUID, cause: UUID, rows: Sequence[Row]) -> None:
    for part in chunks(rows):
        await vault.put(
            desk.log_pool, [Entry(row.contact_id, "person", account, "contact", row.person) for row in part]
        )
        holders = await asyncio.gather(*(add(desk, account, import_id, cause, row) for row in part))
        await vault.forget(
            desk.log_pool,
            [row.contact_id for row, holder in zip(part, holders, strict=True) if holder != row.contact_id],
        )


async def add(desk: Desk, account: UUID, import_id: UUID | None, cause: UUID, row: Row) -> UUID:
    """The contact that holds the address: this one, or the one that has it already."""
    state, version = Address(), 0
    for _ in range(TRIES):
        if state.contact_id is not None:
            return state.contact_id
        added, reserved = add_contact(row.contact_id, import_id, row.address_key, state, row.domain_key)
        try:
            await desk.log.append(
                account,
                Write(contact.stream(row.contact_id), 0, [added], cause),
                Write(address.stream(row.address_key), version, [reserved], cause),
            )
        except Conflict:
            history = await desk.log.read_stream(account, address.stream(row.address_key))
            state, version = address.fold(item.event for item in history), len(history)
            continue
        return row.contact_id
    raise Conflict([address.stream(row.address_key)])


async def delete_import(desk: Desk, item: Todo) -> None:
    """Its contacts are deleted and nothing that tells who they were is kept; their enrollments end one by one."""
    await desk.fresh()
    import_id, cause = UUID(item.key), UUID(item.data["cause"])
    rows = await desk.tables.fetch(
        "select contact_id, address_key, version from contacts "
        "where import_id = $1 and account_id = $2 and not deleted order by added",
        import_id,
        item.account_id,
    )
    for part in chunks(rows):
        await asyncio.gather(
            *(
                _delete(desk, item.account_id, cause, row["contact_id"], row["address_key"], row["version"])
                for row in part
            )
        )
        await vault.forget(desk.log_pool, [row["contact_id"] for row in part])
    await vault.forget(desk.log_pool, [import_id])


async def _delete(desk: Desk, account: UUID, cause: UUID, contact_id: UUID, key: str, version: int) -> None:  # noqa: PLR0913, PLR0917  # a row of the query
    """As most stand: the address was reserved once, and nothing else. Otherwise each stream by itself."""
    gone: Sequence[Event] = delete_contact(contact_id, Contact("present", key))
    freed: Sequence[Event] = release(key, contact_id, Address(contact_id))
    try:
        await desk.log.append(
            account,
            Write(contact.stream(contact_id), version, gone, cause),
            Write(address.stream(key), 1, freed, cause),
        )
    except Conflict:
        await desk.log.transact(account, contact, contact_id, partial(delete_contact, contact_id), cause=cause)
        await desk.log.transact(account, address, key, partial(release, key, contact_id), cause=cause)
