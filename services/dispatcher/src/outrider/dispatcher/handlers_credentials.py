"""Commands about a campaign's credentials. What the vault has of one that is refused or removed is kept no more."""

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from outrider.dispatcher.credential import Credential, add, change, credential, reenable, remove
from outrider.dispatcher.desk import Desk
from outrider.dispatcher.dispatching import campaign_state
from outrider.events import vault
from outrider.events.campaign import CampaignNotFound
from outrider.events.commands import Answer
from outrider.events.credential import (
    AddCredential,
    ChangeCredential,
    CredentialCommand,
    ReenableCredential,
    RemoveCredential,
    SmtpCredentialNotFound,
)
from outrider.events.message import Event


async def on_add_credential(desk: Desk, command: AddCredential) -> Answer:
    """201: the campaign may mail through it."""
    new = command.credential
    try:
        position = await _decided(desk, command, new.credential_id, partial(add, command.campaign_id, new))
    except CampaignNotFound:
        await vault.forget(desk.log_pool, [new.credential_id])
        raise
    return Answer({"id": str(new.credential_id)}, 201, position)


async def on_change_credential(desk: Desk, command: ChangeCredential) -> Answer:
    """200."""
    changed = command.credential.credential_id
    try:
        position = await _decided(desk, command, changed, partial(change, command))
    except CampaignNotFound:
        await vault.forget(desk.log_pool, [changed])
        raise
    except SmtpCredentialNotFound:
        await _keep_address(desk, changed)
        raise
    return Answer({"id": str(changed)}, 200, position)


async def on_remove_credential(desk: Desk, command: RemoveCredential) -> Answer:
    """204: nothing more is mailed through it, and its secrets are gone."""
    gone = command.credential_id
    position = await _decided(desk, command, gone, partial(remove, gone))
    await _keep_address(desk, gone)
    return Answer({"id": str(gone)}, 204, position)


async def on_reenable(desk: Desk, command: ReenableCredential) -> Answer:
    """200, also when it was not disabled."""
    position = await _decided(desk, command, command.credential_id, partial(reenable, command))
    return Answer({"id": str(command.credential_id), "status": "enabled"}, 200, position)


async def _keep_address(desk: Desk, gone: UUID) -> None:
    """Only its from address stays, until its campaign goes: the Message-IDs of what it mailed end with its domain."""
    await vault.keep_only(desk.log_pool, gone, "server", "from_email")


async def _decided(
    desk: Desk, command: CredentialCommand, which: UUID, decide: Callable[[Credential], Sequence[Event]]
) -> int:
    """The position of what was decided. Raises CampaignNotFound, and what `decide` raises."""
    if not (await campaign_state(desk, command.account_id, command.campaign_id)).exists:
        raise CampaignNotFound
    done = await desk.log.transact(command.account_id, credential, which, decide, cause=command.command_id)
    return done.position
