"""Commands about outreaches, and the part of a campaign's commands that is about its outreach."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from outrider.dispatcher.campaign import Campaign, campaign
from outrider.dispatcher.desk import Desk
from outrider.dispatcher.outreach import change, create, delete, join, leave, outreach
from outrider.events import vault
from outrider.events.campaign import CampaignCommand
from outrider.events.commands import Answer
from outrider.events.errors import Conflict, NotYet
from outrider.events.log import Write
from outrider.events.message import Event
from outrider.events.outreach import ChangeOutreach, CreateOutreach, DeleteOutreach

TRIES: Final = 5


async def on_create_outreach(desk: Desk, command: CreateOutreach) -> Answer:
    """201."""
    done = await desk.log.transact(
        command.account_id, outreach, command.outreach_id, partial(create, command), cause=command.command_id
    )
    return Answer({"id": str(command.outreach_id)}, 201, done.position)


async def on_change_outreach(desk: Desk, command: ChangeOutreach) -> Answer:
    """200."""
    done = await desk.log.transact(
        command.account_id, outreach, command.outreach_id, partial(change, command), cause=command.command_id
    )
    return Answer({"id": str(command.outreach_id)}, 200, done.position)


async def on_delete_outreach(desk: Desk, command: DeleteOutreach) -> Answer:
    """204; its name is kept no more."""
    done = await desk.log.transact(
        command.account_id, outreach, command.outreach_id, partial(delete, command), cause=command.command_id
    )
    await vault.forget(desk.log_pool, [command.outreach_id])
    return Answer({"id": str(command.outreach_id)}, 204, done.position)


async def with_outreach(
    desk: Desk,
    command: CampaignCommand,
    decide: Callable[[Campaign], Sequence[Event]],
    more: Sequence[Write] = (),
) -> tuple[Campaign, int]:
    """What is decided of the campaign, and that its outreach knows of it, stand or fall together, with `more`.

    Answers the campaign and the position. Raises what `decide` raises, OutreachNotFound, and NotYet where others are
    always quicker.
    """
    stream = campaign.stream(command.campaign_id)
    for _ in range(TRIES):
        history = await desk.log.read_stream(command.account_id, stream)
        state = campaign.fold(item.event for item in history)
        if done := [item for item in history if item.cause == command.command_id]:
            return state, done[-1].position
        if not (events := list(decide(state))):
            return state, 0
        after = campaign.fold(events, state)
        joined = after.settings.outreach_id if after.exists else None
        moves = await _moves(desk, command, state.settings.outreach_id, joined)
        try:
            verdict = await desk.log.append(
                command.account_id, Write(stream, len(history), events, command.command_id), *moves, *more
            )
        except Conflict:
            continue
        return after, verdict.position
    raise NotYet(0.1)


async def _moves(desk: Desk, command: CampaignCommand, former: UUID | None, new: UUID | None) -> list[Write]:
    writes: list[Write] = []
    for outreach_id, decide in ((former, leave), (new, join)):
        if outreach_id is not None and former != new:
            stream = outreach.stream(outreach_id)
            history = await desk.log.read_stream(command.account_id, stream)
            events = decide(outreach_id, command.campaign_id, outreach.fold(item.event for item in history))
            if events:
                writes.append(Write(stream, len(history), events, command.command_id))
    return writes
