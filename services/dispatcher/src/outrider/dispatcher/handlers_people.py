"""Commands about accounts, imports and contacts."""

from functools import partial

from outrider.dispatcher.account import account, change_plan, close_account, issue_key, open_account, revoke_key
from outrider.dispatcher.contact import contact, contact_import, delete_import, fail_import, start_import, unsubscribe
from outrider.dispatcher.desk import Desk, carried_out, done_inline
from outrider.dispatcher.importing import chunk_key, import_state
from outrider.events.account import ChangePlan, CloseAccount, IssueApiKey, OpenAccount, RevokeApiKey
from outrider.events.commands import Answer
from outrider.events.contact import (
    ContactImportNotFound,
    DeleteImport,
    FailImport,
    ImportCompleted,
    ImportContacts,
    UnsubscribeContact,
)
from outrider.events.drain import Drain

INLINE_ROWS = 5000
"""An import of more rows is answered before it is carried out."""


async def on_open_account(desk: Desk, command: OpenAccount) -> Answer:
    """201 with the account."""
    done = await desk.log.transact(
        command.account_id, account, command.account_id, partial(open_account, command), cause=command.command_id
    )
    body = {"id": str(command.account_id), "monthly_limit": done.state.monthly_limit}
    return Answer(body, 201, done.position)


async def on_change_plan(desk: Desk, command: ChangePlan) -> Answer:
    """200 with the limit that holds."""
    done = await desk.log.transact(
        command.account_id, account, command.account_id, partial(change_plan, command), cause=command.command_id
    )
    return Answer({"id": str(command.account_id), "monthly_limit": command.monthly_limit}, 200, done.position)


async def on_close_account(desk: Desk, drain: Drain, command: CloseAccount) -> Answer:
    """204 when its keys open nothing, its campaigns are gone and its people forgotten."""
    done = await desk.log.transact(
        command.account_id, account, command.account_id, partial(close_account, command), cause=command.command_id
    )
    position = await carried_out(desk, drain, f"{command.account_id}:0", done.position)
    return Answer({"id": str(command.account_id)}, 204, position)


async def on_issue_key(desk: Desk, command: IssueApiKey) -> Answer:
    """201 with the key's id and prefix."""
    done = await desk.log.transact(
        command.account_id, account, command.account_id, partial(issue_key, command), cause=command.command_id
    )
    return Answer({"id": str(command.key_id), "prefix": command.key_prefix}, 201, done.position)


async def on_revoke_key(desk: Desk, command: RevokeApiKey) -> Answer:
    """204."""
    done = await desk.log.transact(
        command.account_id, account, command.account_id, partial(revoke_key, command), cause=command.command_id
    )
    return Answer({"id": str(command.key_id)}, 204, done.position)


async def on_import_contacts(desk: Desk, drain: Drain, command: ImportContacts) -> Answer:
    """201 with the figures when they are all contacts; 202 for a large import, which goes on by itself."""
    done = await desk.log.transact(
        command.account_id, contact_import, command.import_id, partial(start_import, command), cause=command.command_id
    )
    if command.rows + command.skipped + command.rejected > INLINE_ROWS:
        return Answer({"id": str(command.import_id), "status": "processing"}, 202, done.position)

    async def is_over() -> bool:
        return (await import_state(desk, command.account_id, command.import_id)).status in {"completed", "deleted"}

    keys = [chunk_key(command.import_id, chunk) for chunk in range(command.chunks)]
    await done_inline(desk, drain, keys, done.position, is_over)
    return await _import_answer(desk, command)


async def on_fail_import(desk: Desk, command: FailImport) -> Answer:
    """200 with the status that holds."""
    done = await desk.log.transact(
        command.account_id, contact_import, command.import_id, partial(fail_import, command), cause=command.command_id
    )
    return Answer({"id": str(command.import_id), "status": done.state.status}, 200, done.position)


async def _import_answer(desk: Desk, command: ImportContacts) -> Answer:
    history = await desk.log.read_stream(command.account_id, contact_import.stream(command.import_id))
    for item in history:
        if isinstance(item.event, ImportCompleted):
            body = {
                "id": str(command.import_id),
                "record_count": item.event.record_count,
                "skipped": item.event.skipped,
                "rejected": item.event.rejected,
            }
            return Answer(body, 201, item.position)
    raise ContactImportNotFound


async def on_delete_import(desk: Desk, drain: Drain, command: DeleteImport) -> Answer:
    """204 when its contacts are gone."""
    done = await desk.log.transact(
        command.account_id, contact_import, command.import_id, partial(delete_import, command), cause=command.command_id
    )
    position = await carried_out(desk, drain, str(command.import_id), done.position)
    return Answer({"id": str(command.import_id)}, 204, position)


async def on_unsubscribe(desk: Desk, drain: Drain, command: UnsubscribeContact) -> Answer:
    """200 when every enrollment of the contact has ended."""
    done = await desk.log.transact(
        command.account_id, contact, command.contact_id, partial(unsubscribe, command), cause=command.command_id
    )
    position = done.position
    if done.events:
        key = f"{command.contact_id}:ContactUnsubscribed:{done.position}"
        position = await carried_out(desk, drain, key, done.position)
    return Answer({"id": str(command.contact_id), "status": "unsubscribed"}, 200, position)
