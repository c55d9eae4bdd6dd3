"""Commands about the do-not-contact list."""

from functools import partial

from outrider.dispatcher.contact import address, suppress, unsuppress
from outrider.dispatcher.desk import Desk
from outrider.events import vault
from outrider.events.commands import Answer
from outrider.events.contact import SuppressAddress, UnsuppressAddress


async def on_suppress(desk: Desk, command: SuppressAddress) -> Answer:
    """201; 200 with the suppression that stands already, and nothing is kept of the one that was to be added."""
    done = await desk.log.transact(
        command.account_id, address, command.address_key, partial(suppress, command), cause=command.command_id
    )
    if done.events:
        return Answer({"id": str(command.suppression_id)}, 201, done.position)
    await vault.forget(desk.log_pool, [command.suppression_id])
    return Answer({"id": str(next(iter(done.state.suppressions)))}, 200, await desk.log.last_position())


async def on_unsuppress(desk: Desk, command: UnsuppressAddress) -> Answer:
    """204; nothing tells any more what it was about."""
    done = await desk.log.transact(
        command.account_id, address, command.address_key, partial(unsuppress, command), cause=command.command_id
    )
    await vault.forget(desk.log_pool, [command.suppression_id])
    return Answer({"id": str(command.suppression_id)}, 204, done.position)
