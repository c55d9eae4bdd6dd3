"""Commands about a campaign's steps."""

from collections.abc import Callable, Sequence
from functools import partial

from outrider.dispatcher.campaign import Campaign, add_step, campaign, change_step, delete_step, step_at
from outrider.dispatcher.desk import Desk
from outrider.events import vault
from outrider.events.campaign import (
    TEXTS,
    AddStep,
    CampaignCommand,
    CampaignNotFound,
    ChangeStep,
    DeleteStep,
    SequenceStepNotFound,
    StepPlan,
)
from outrider.events.commands import Answer
from outrider.events.message import Event, Json
from outrider.events.vault import Entry


async def on_change_step(desk: Desk, command: ChangeStep) -> Answer:
    """200; what an earlier command has changed and this one does not name stays, texts too."""
    history = await desk.log.read_stream(command.account_id, campaign.stream(command.campaign_id))
    try:
        former = step_at(command.step.position, campaign.fold(item.event for item in history))
    except (CampaignNotFound, SequenceStepNotFound):
        await _forget(desk, command)
        raise
    version = await _merged(desk, command, former)
    step = command.step.model_copy(update={"template_version": version})
    changed = command.model_copy(update={"step": step})
    return Answer({"position": step.position}, 200, await _decided(desk, command, partial(change_step, changed)))


async def _merged(desk: Desk, command: ChangeStep, former: StepPlan) -> int:
    """The template version whose texts are those of `former` with what the command names in their place."""
    step, owner = command.step, command.campaign_id
    if command.fields is None or former.template_version == step.template_version:  # or it stands already
        return step.template_version
    if not (named := [name for name in TEXTS if name in command.fields]):
        return former.template_version
    names = [former.texts, step.texts]
    async with vault.locked(desk.log_pool, command.account_id, owner, names) as (db, kept):
        if step.texts not in kept or former.texts not in kept:  # it came before, and changed nothing
            return former.template_version
        stood = kept[former.texts]
        texts: Json = {**stood, **{name: kept[step.texts][name] for name in named}}
        if texts != stood:
            await vault.put(db, [Entry(owner, step.texts, command.account_id, "campaign", texts)])
            return step.template_version
    await _forget(desk, command)
    return former.template_version


async def _forget(desk: Desk, command: ChangeStep) -> None:
    """The texts that came with it, if any, are kept no more."""
    if command.fields and any(name in TEXTS for name in command.fields):
        await desk.log_pool.execute(
            "delete from log.vault where owner = $1 and name = $2", command.campaign_id, command.step.texts
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
