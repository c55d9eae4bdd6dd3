"""Commands about one contact: the contact and the reservation of its address are written in one append."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from uuid import uuid5

from outrider.dispatcher.contact import (
    Address,
    Contact,
    address,
    change_contact,
    contact,
    forget_contact,
    heed,
    release,
    remove_contact,
    reserve,
)
from outrider.dispatcher.desk import Desk, carried_out
from outrider.dispatcher.erasing import erase, forget_address, forget_people
from outrider.dispatcher.facts import suppressions_of
from outrider.dispatcher.importing import add
from outrider.dispatcher.importing_chunks import Row
from outrider.events import vault
from outrider.events.commands import Answer
from outrider.events.contact import (
    AddContact,
    ChangeContact,
    ContactAdded,
    ContactAlreadyExists,
    ContactChanged,
    ContactDeleted,
    ContactNotFound,
    DeleteContact,
    EraseContact,
)
from outrider.events.drain import Drain
from outrider.events.errors import Conflict, NotYet
from outrider.events.log import Write
from outrider.events.message import Event, Recorded

TRIES: Final = 5
CHANGE_PERSON: Final = """
with staged as (
    delete from log.vault where owner = $1 and name = $2 and account_id = $3 returning value
)
update log.vault v set value = v.value || s.value from staged s
where v.owner = $1 and v.name = 'person' and v.account_id = $3
"""
"""Only while there is a person: who was deleted meanwhile does not come back."""


async def on_add_contact(desk: Desk, command: AddContact) -> Answer:
    """201; where the address has its contact, nothing is kept of the one that was to be added."""
    row = Row(command.contact_id, command.address_key, command.domain_key)
    holder = await add(desk, command.account_id, None, command.command_id, row)
    if holder != command.contact_id:
        await vault.forget(desk.log_pool, [command.contact_id])
        raise ContactAlreadyExists(contact_id=str(holder))
    return Answer({"id": str(command.contact_id)}, 201, await desk.log.last_position())


async def on_change_contact(desk: Desk, command: ChangeContact) -> Answer:
    """200; where the new address has its contact, the old person stands, and nobody where it was deleted meanwhile."""
    staged = f"person-{command.command_id}"
    try:
        await _change(desk, command)
    except (ContactAlreadyExists, ContactNotFound):
        await desk.log_pool.execute("delete from log.vault where owner = $1 and name = $2", command.contact_id, staged)
        raise
    if changed := await vault.get(desk.log_pool, command.account_id, command.contact_id, staged):
        becomes = changed.get("email")
        if becomes is not None:
            await forget_address(desk.log_pool, command.account_id, command.contact_id, becomes)
    await desk.log_pool.execute(CHANGE_PERSON, command.contact_id, staged, command.account_id)
    return Answer({"id": str(command.contact_id)}, 200, await desk.log.last_position())


async def _change(desk: Desk, command: ChangeContact) -> None:
    for _ in range(TRIES):
        history = await desk.log.read_stream(command.account_id, contact.stream(command.contact_id))
        if any(item.cause == command.command_id for item in history):
            return
        state = contact.fold(item.event for item in history)
        events, moved = change_contact(command, state), list[Write]()
        if command.address_key is not None and command.address_key != state.address_key:
            moved, taken = await _taking(desk, command, command.address_key)
            moved += await _leaving(desk, command, state)
            events = [*events, *heed(command.contact_id, state, taken)]
        changed = Write(contact.stream(command.contact_id), len(history), events, command.command_id)
        try:
            await desk.log.append(command.account_id, changed, *moved)
        except Conflict:
            continue
        return
    raise NotYet(0.1)


async def _taking(desk: Desk, command: ChangeContact, key: str) -> tuple[list[Write], Address]:
    """The new address is reserved; and as what it was found. Raises ContactAlreadyExists."""
    stream = address.stream(key)
    history = await desk.log.read_stream(command.account_id, stream)
    state = address.fold(item.event for item in history)
    events = reserve(key, command.contact_id, state)
    return [Write(stream, len(history), events, command.command_id)] if events else [], state


async def _leaving(desk: Desk, command: ChangeContact | DeleteContact | EraseContact, left: Contact) -> list[Write]:
    """The address that it had is free."""
    key = left.address_key
    stream = address.stream(key)
    history = await desk.log.read_stream(command.account_id, stream)
    known = address.fold(item.event for item in history)
    events = release(key, command.contact_id, known, opted_out=left.unsubscribed)
    return [Write(stream, len(history), events, command.command_id)] if events else []


async def on_delete_contact(desk: Desk, drain: Drain, command: DeleteContact) -> Answer:
    """204 when its enrollments have ended and nothing tells who it was."""
    position = await _delete(desk, command)
    position = await carried_out(desk, drain, f"{command.contact_id}:ContactDeleted", position)
    await forget_people(desk.log_pool, command.account_id, [command.contact_id])
    return Answer({"id": str(command.contact_id)}, 204, position)


async def on_erase_contact(desk: Desk, drain: Drain, command: EraseContact) -> Answer:
    """200 when its enrollments have ended, and nothing anywhere tells who it was; asked again, the same."""
    stream = contact.stream(command.contact_id)
    history = await desk.log.read_stream(command.account_id, stream)
    if not history:
        raise ContactNotFound
    if contact.fold(item.event for item in history).status == "present":
        await _delete(desk, command)
        history = await desk.log.read_stream(command.account_id, stream)
    deleted = next(item for item in history if isinstance(item.event, ContactDeleted))
    await carried_out(desk, drain, f"{command.contact_id}:ContactDeleted", deleted.position)
    position = await _forget(desk, command, await _own_addresses(desk, command, history))
    return Answer({"contact_id": str(command.contact_id)}, 200, position)


async def _forget(desk: Desk, command: EraseContact, own: Mapping[str, Address]) -> int:
    """What is kept is removed, and it is recorded how much that was: where, now or when it was asked for first."""
    suppressions = await suppressions_of(desk.tables, command.account_id, list(own))
    removed = await erase(desk.log_pool, command.account_id, command.contact_id, list(own), suppressions)
    suppressed = bool(suppressions) or any(state.opted_out for state in own.values())
    done = await desk.log.transact(
        command.account_id,
        contact,
        command.contact_id,
        partial(forget_contact, command.contact_id, removed, suppressed=suppressed),
        cause=uuid5(command.command_id, "forgotten"),
    )
    return done.position or await desk.log.last_position()


async def _own_addresses(
    desk: Desk, command: EraseContact, history: Sequence[Recorded[Event]]
) -> Mapping[str, Address]:
    """By its key, every address that it had, but for those that are another contact's now."""
    keys = {item.event.address_key for item in history if isinstance(item.event, ContactAdded | ContactChanged)}
    own: dict[str, Address] = {}
    for key in sorted(keys):
        known = await desk.log.read_stream(command.account_id, address.stream(key))
        state = address.fold(item.event for item in known)
        if state.contact_id in {None, command.contact_id}:
            own[key] = state
    return own


async def _delete(desk: Desk, command: DeleteContact | EraseContact) -> int:
    """The position of the deletion, now or when this very command was carried out first."""
    for _ in range(TRIES):
        history = await desk.log.read_stream(command.account_id, contact.stream(command.contact_id))
        if done := [item for item in history if item.cause == command.command_id]:
            return done[-1].position
        state = contact.fold(item.event for item in history)
        gone = remove_contact(command, state)
        writes = [Write(contact.stream(command.contact_id), len(history), gone, command.command_id)]
        writes += await _leaving(desk, command, state)
        try:
            return (await desk.log.append(command.account_id, *writes)).position
        except Conflict:
            continue
    raise NotYet(0.1)
