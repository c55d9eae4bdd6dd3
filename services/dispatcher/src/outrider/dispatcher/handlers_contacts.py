"""Commands about one contact: the contact and the reservation of its address are written in one append."""

from typing import Final

from outrider.dispatcher.contact import address, change_contact, contact, release, remove_contact, reserve
from outrider.dispatcher.desk import Desk, carried_out
from outrider.dispatcher.importing import Row, add
from outrider.events import vault
from outrider.events.commands import Answer
from outrider.events.contact import AddContact, ChangeContact, ContactAlreadyExists, DeleteContact
from outrider.events.errors import Conflict, NotYet
from outrider.events.log import Write
from outrider.events.todo import Drain

TRIES: Final = 5
REPLACE_PERSON: Final = """
with staged as (
    delete from log.vault where owner = $1 and name = $2 and account_id = $3 returning value
)
update log.vault v set value = s.value from staged s
where v.owner = $1 and v.name = 'person' and v.account_id = $3
"""
"""Only while there is a person: who was deleted meanwhile does not come back."""


async def on_add_contact(desk: Desk, command: AddContact) -> Answer:
    """201; where the address has its contact, nothing is kept of the one that was to be added."""
    row = Row(command.contact_id, command.address_key, {}, command.domain_key)
    holder = await add(desk, command.account_id, None, command.command_id, row)
    if holder != command.contact_id:
        await vault.forget(desk.log_pool, [command.contact_id])
        raise ContactAlreadyExists(contact_id=str(holder))
    return Answer({"id": str(command.contact_id)}, 201, await desk.log.last_position())


async def on_change_contact(desk: Desk, command: ChangeContact) -> Answer:
    """200; where the new address has its contact, the old person stands."""
    staged = f"person-{command.command_id}"
    try:
        await _change(desk, command)
    except ContactAlreadyExists:
        await desk.log_pool.execute("delete from log.vault where owner = $1 and name = $2", command.contact_id, staged)
        raise
    await desk.log_pool.execute(REPLACE_PERSON, command.contact_id, staged, command.account_id)
    return Answer({"id": str(command.contact_id)}, 200, await desk.log.last_position())


async def _change(desk: Desk, command: ChangeContact) -> None:
    for _ in range(TRIES):
        history = await desk.log.read_stream(command.account_id, contact.stream(command.contact_id))
        if any(item.cause == command.command_id for item in history):
            return
        state = contact.fold(item.event for item in history)
        writes = [
            Write(contact.stream(command.contact_id), len(history), change_contact(command, state), command.command_id)
        ]
        if command.address_key != state.address_key:
            writes += await _taking(desk, command)
            writes += await _leaving(desk, command, state.address_key)
        try:
            await desk.log.append(command.account_id, *writes)
        except Conflict:
            continue
        return
    raise NotYet(0.1)


async def _taking(desk: Desk, command: ChangeContact) -> list[Write]:
    """The new address is reserved. Raises ContactAlreadyExists."""
    stream = address.stream(command.address_key)
    history = await desk.log.read_stream(command.account_id, stream)
    events = reserve(command.address_key, command.contact_id, address.fold(item.event for item in history))
    return [Write(stream, len(history), events, command.command_id)] if events else []


async def _leaving(desk: Desk, command: ChangeContact | DeleteContact, key: str) -> list[Write]:
    """The address that it had is free."""
    stream = address.stream(key)
    history = await desk.log.read_stream(command.account_id, stream)
    events = release(key, command.contact_id, address.fold(item.event for item in history))
    return [Write(stream, len(history), events, command.command_id)] if events else []


async def on_delete_contact(desk: Desk, drain: Drain, command: DeleteContact) -> Answer:
    """204 when its enrollments have ended and nothing tells who it was."""
    position = await _delete(desk, command)
    position = await carried_out(desk, drain, f"{command.contact_id}:ContactDeleted", position)
    await vault.forget(desk.log_pool, [command.contact_id])
    return Answer({"id": str(command.contact_id)}, 204, position)


async def _delete(desk: Desk, command: DeleteContact) -> int:
    """The position of the deletion, now or when this very command was carried out first."""
    for _ in range(TRIES):
        history = await desk.log.read_stream(command.account_id, contact.stream(command.contact_id))
        if done := [item for item in history if item.cause == command.command_id]:
            return done[-1].position
        state = contact.fold(item.event for item in history)
        gone = remove_contact(command, state)
        writes = [Write(contact.stream(command.contact_id), len(history), gone, command.command_id)]
        writes += await _leaving(desk, command, state.address_key)
        try:
            return (await desk.log.append(command.account_id, *writes)).position
        except Conflict:
            continue
    raise NotYet(0.1)
