"""To-dos `import_chunk` and `delete_import`: people of the vault become contacts, and go again."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final
from uuid import UUID, uuid5

from outrider.dispatcher.contact import (
    Address,
    Contact,
    Import,
    add_contact,
    address,
    complete_import,
    contact,
    contact_import,
    delete_contact,
    release,
)
from outrider.dispatcher.desk import CHUNK, Desk
from outrider.dispatcher.erasing import forget_people
from outrider.dispatcher.importing_chunks import Chunk, Row, add_chunk
from outrider.events import database, todo, vault
from outrider.events.errors import Conflict
from outrider.events.log import Write
from outrider.events.message import Event
from outrider.events.todo import Todo

TRIES: Final = 5
TO_DELETE: Final = """
select contact_id, address_key, version, added, unsubscribed from contacts
where import_id = $1 and account_id = $2 and added > $3
order by added
limit $4
"""
"""Also who is deleted: an attempt before this one may have been killed before it forgot them."""


def chunk_key(import_id: UUID, chunk: int) -> str:
    """The key of the to-do that adds this chunk."""
    return f"{import_id}:{chunk}"


async def import_state(desk: Desk, account_id: UUID, import_id: UUID) -> Import:
    """The import, as its stream has it now."""
    history = await desk.log.read_stream(account_id, contact_import.stream(import_id))
    return contact_import.fold(found.event for found in history)


async def import_chunk(desk: Desk, item: Todo) -> None:
    """Its people are contacts, or counted as duplicates; the next chunk is to be added, or the import is complete."""
    import_id, chunk, cause = UUID(item.key.partition(":")[0]), int(item.data["chunk"]), UUID(item.data["cause"])
    history = await desk.log.read_stream(item.account_id, contact_import.stream(import_id))
    state = contact_import.fold(found.event for found in history)
    if state.status != "processing":
        return
    if not await add_chunk(desk, Chunk(item.account_id, import_id, f"rows-{chunk}", cause, len(history))):
        return
    await desk.kept_pace()
    if chunk + 1 < state.chunks:
        following = Todo(
            item.kind,
            chunk_key(import_id, chunk + 1),
            item.account_id,
            desk.clock.now(),
            owner=import_id,
            data={"chunk": chunk + 1, "cause": str(cause)},
            trace=item.trace,
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


async def add(desk: Desk, account: UUID, import_id: UUID | None, cause: UUID, row: Row) -> UUID:
    """The contact that holds the address: this one, or the one that has it already."""
    state, version = Address(), 0
    for _ in range(TRIES):
        if state.contact_id is not None:
            return state.contact_id
        *added, reserved = add_contact(row.contact_id, import_id, row.address_key, state, row.domain_key)
        try:
            await desk.log.append(
                account,
                Write(contact.stream(row.contact_id), 0, added, cause),
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
    after = 0
    while rows := await desk.tables.fetch(TO_DELETE, import_id, item.account_id, after, CHUNK):
        await asyncio.gather(*(_delete(desk, item.account_id, cause, row) for row in rows))
        await forget_people(desk.log_pool, item.account_id, [row["contact_id"] for row in rows])
        await desk.kept_pace()
        after = rows[-1]["added"]
    await vault.forget(desk.log_pool, [import_id])


async def _delete(desk: Desk, account: UUID, cause: UUID, row: database.Row) -> None:
    """As most stand: the address was reserved once, and nothing else. Otherwise each stream by itself."""
    contact_id, key, version = row["contact_id"], row["address_key"], row["version"]
    gone: Sequence[Event] = delete_contact(contact_id, Contact("present", key))
    freed: Sequence[Event] = release(key, contact_id, Address(contact_id), opted_out=row["unsubscribed"])
    try:
        await desk.log.append(
            account,
            Write(contact.stream(contact_id), version, gone, cause),
            Write(address.stream(key), 1, freed, cause),
        )
    except Conflict:
        done = await desk.log.transact(account, contact, contact_id, partial(delete_contact, contact_id), cause=cause)
        free = partial(release, key, contact_id, opted_out=done.state.unsubscribed)
        await desk.log.transact(account, address, key, free, cause=cause)
