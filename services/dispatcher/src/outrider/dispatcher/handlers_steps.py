"""Commands about a campaign's steps."""

from collections.abc import Callable, Sequence
from functools import partial

from outrider.dispatcher.campaign import Campaign, add_step, campaign, change_step, delete_step
from outrider.dispatcher.desk import Desk
from outrider.events.campaign import AddStep, CampaignCommand, ChangeStep, DeleteStep
from outrider.events.commands import Answer
from outrider.events.message import Event


async def on_change_step(desk: Desk, command: ChangeStep) -> Answer:
    """200."""
    return Answer(
        {"position": command.step.position}, 200, await _decided(desk, command, partial(change_step, command))
    )


async def on_add_step(desk: Desk, command: AddStep) -> Answer:
    """201."""
    position = await _decided(desk, command, partial(add_step, command))
    return Answer({"position": command.step.position}, 201, position)


async def on_delete_step(desk: Desk, command: DeleteStep) -> Answer:
    """204."""
    position = await _decided(desk, command, partial(delete_step, command))
    return Answer({"position": command.position}, 204, position)


async def _decided(desk: Desk, command: CampaignCommand, decide: Callable[[Campaign], Sequence[Event]]) -> int:
    done = await desk.log.transact(command.account_id, campaign, command.campaign_id, decide, cause=command.command_id)
    return done.position
