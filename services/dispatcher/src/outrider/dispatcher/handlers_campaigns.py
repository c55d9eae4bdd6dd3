"""Commands about a campaign as a whole."""

import asyncio
from functools import partial
from typing import Final

from outrider.dispatcher import facts
from outrider.dispatcher.campaign import campaign, change, create, delete, pause, resume
from outrider.dispatcher.credential import Credential, add, credential
from outrider.dispatcher.desk import Desk, done_inline
from outrider.dispatcher.handlers_outreaches import with_outreach
from outrider.events import vault
from outrider.events.campaign import (
    ChangeCampaign,
    CreateCampaign,
    DeleteCampaign,
    PauseCampaign,
    ResumeCampaign,
)
from outrider.events.commands import Answer
from outrider.events.drain import Drain
from outrider.events.log import Write
from outrider.events.outreach import OutreachNotFound

FLIGHT_SECONDS: Final = 4.5
"""How long a pause waits for what was claimed before it; with its way there and back 5 s."""
_POLL_SECONDS: Final = 0.05


async def on_create_campaign(desk: Desk, command: CreateCampaign) -> Answer:
    """201: the campaign and its credentials stand together; of one that is refused nothing is kept."""
    added = [
        Write(credential.stream(new.credential_id), 0, add(command.campaign_id, new, Credential()), command.command_id)
        for new in command.credentials
    ]
    try:
        _, position = await with_outreach(desk, command, partial(create, command), added)
    except OutreachNotFound:
        await vault.forget(desk.log_pool, [command.campaign_id, *(new.credential_id for new in command.credentials)])
        raise
    return Answer({"id": str(command.campaign_id), "status": "pending"}, 201, position)


async def on_change_campaign(desk: Desk, command: ChangeCampaign) -> Answer:
    """200."""
    state, position = await with_outreach(desk, command, partial(change, command))
    return Answer({"id": str(command.campaign_id), "status": state.status}, 200, position)


async def on_delete_campaign(desk: Desk, drain: Drain, command: DeleteCampaign) -> Answer:
    """204 when its enrollments have ended and its secrets are gone."""
    _, position = await with_outreach(desk, command, partial(delete, command))
    key = str(command.campaign_id)

    async def is_over() -> bool:
        return bool(
            await desk.work.fetchval(
                "select true from todos where kind = $1 and key = $2 and done_at is not null", drain.kind, key
            )
        )

    await done_inline(desk, drain, [key], position, is_over)
    return Answer({"id": key}, 204, await desk.log.last_position())


async def on_pause(desk: Desk, command: PauseCampaign) -> Answer:
    """200 once what was claimed before has an outcome, or after 5 s with the number of what has none."""
    done = await desk.log.transact(
        command.account_id, campaign, command.campaign_id, partial(pause, command), cause=command.command_id
    )
    in_flight = 0
    deadline = asyncio.get_running_loop().time() + FLIGHT_SECONDS
    await desk.facts.reach(done.position)
    while in_flight := await facts.in_flight(desk.tables, command.campaign_id):
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
    body = {"id": str(command.campaign_id), "status": "paused", "in_flight": in_flight}
    return Answer(body, 200, max(done.position, desk.facts.position))


async def on_resume(desk: Desk, command: ResumeCampaign) -> Answer:
    """200; what became overdue is held until it has new times."""
    await desk.fresh()
    usable = await facts.usable_credentials(desk.tables, command.campaign_id)
    done = await desk.log.transact(
        command.account_id, campaign, command.campaign_id, partial(resume, command, usable), cause=command.command_id
    )
    return Answer({"id": str(command.campaign_id), "status": "active"}, 200, done.position)
