"""To-do `close_account`: an account that is gone sends nothing, and nothing of it is kept but figures."""

from functools import partial
from typing import Final
from uuid import UUID, uuid5

from outrider.dispatcher.campaign import campaign, delete
from outrider.dispatcher.desk import Desk
from outrider.events.campaign import CampaignNotFound, DeleteCampaign
from outrider.events.todo import Todo

CAMPAIGNS: Final = "select campaign_id from campaigns where account_id = $1 and status <> 'deleted'"
FORGET: Final = """
with part as (select owner, name from log.vault where account_id = $1 limit 10000)
delete from log.vault v using part p where v.owner = p.owner and v.name = p.name
"""


async def close_account(desk: Desk, item: Todo) -> None:
    """Its campaigns are deleted, so that no claim passes; then everything in the vault that is the account's is gone.

    Done twice, the second time a while later: what was on its way when the account was closed has ended by then.
    """
    await desk.fresh()
    cause = UUID(item.data["cause"])
    for row in await desk.tables.fetch(CAMPAIGNS, item.account_id):
        found: UUID = row["campaign_id"]
        command = DeleteCampaign(command_id=uuid5(cause, str(found)), account_id=item.account_id, campaign_id=found)
        try:
            await desk.log.transact(
                item.account_id, campaign, found, partial(delete, command), cause=command.command_id
            )
        except CampaignNotFound:
            continue  # deleted since
    while await desk.log_pool.execute(FORGET, item.account_id) != "DELETE 0":
        pass
