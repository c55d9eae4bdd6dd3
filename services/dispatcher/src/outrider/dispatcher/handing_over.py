"""To-do `replace_credentials`: open steps of a credential that is not coming back go to those that are left.

The times are made by `respacing`, to which the event leads.
"""

from functools import partial
from uuid import UUID, uuid5

from outrider.dispatcher.credential import credential, replace_by
from outrider.dispatcher.desk import Desk
from outrider.events.todo import Todo

GONE = """
select distinct s.credential_id from steps s
join credentials c on c.credential_id = s.credential_id and not c.usable
where s.campaign_id = $1 and s.state = 'open'
"""
USABLE = "select credential_id from credentials where campaign_id = $1 and usable order by credential_id"


async def replace_credentials(desk: Desk, item: Todo) -> None:
    """Each that is gone and has something open is replaced by every usable one of its campaign, if there is any."""
    await desk.fresh()
    campaign_id = UUID(item.key.partition(":")[0])
    usable = [row["credential_id"] for row in await desk.tables.fetch(USABLE, campaign_id)]
    for row in await desk.tables.fetch(GONE, campaign_id):
        gone: UUID = row["credential_id"]
        decide = partial(replace_by, gone, usable)
        cause = uuid5(gone, f"{item.kind}:{item.key}")
        await desk.log.transact(item.account_id, credential, gone, decide, cause=cause)
