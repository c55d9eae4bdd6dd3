"""Sequence steps of a campaign: listed, changed as far as they are not sent, added and deleted before any dispatch."""

from collections.abc import Mapping
from typing import cast
from uuid import UUID

from litestar import Response, delete, get, patch, post

from outrider.api import queries_campaigns as queries
from outrider.api.answers_campaigns import StepShown
from outrider.api.bodies_campaigns import MOST_STEPS, SequenceStepBody, Step
from outrider.api.describing import tells
from outrider.api.gateway import Asked, Call
from outrider.events import vault
from outrider.events.campaign import (
    TEXTS,
    AddStep,
    CampaignAlreadyDispatched,
    CampaignNotFound,
    ChangeStep,
    DeleteStep,
    SequenceStepNotFound,
    StepPlan,
)
from outrider.events.database import Row
from outrider.events.errors import ValidationFailed
from outrider.events.ids import new_id
from outrider.events.message import Json
from outrider.events.vault import Entry


@get("/campaigns/{campaign_id:str}/sequence_steps", opt=tells(rows=StepShown))
async def list_steps(request: Asked, campaign_id: str) -> Response[bytes]:
    """Every step, by position."""
    call = request.user
    row = await queries.find(call, campaign_id)
    call.options()
    return call.answer(await queries.shown_steps(call, row))


@get("/campaigns/{campaign_id:str}/sequence_steps/{position:str}", opt=tells(StepShown))
async def show_step(request: Asked, campaign_id: str, position: str) -> Response[bytes]:
    """One step."""
    call = request.user
    row = await queries.find(call, campaign_id)
    shown = await _shown(call, row, _known(row, position).position)
    call.options()
    return call.answer(shown)


@post(
    "/campaigns/{campaign_id:str}/sequence_steps",
    status_code=201,
    opt=tells(
        StepShown,
        body=SequenceStepBody,
        optional=["position"],
        refuses=[CampaignAlreadyDispatched, SequenceStepNotFound],
    ),
)
async def add_step(request: Asked, campaign_id: str) -> Response[bytes]:
    """One more at the end. Refused once anything was dispatched."""
    call = request.user
    row = await queries.find(call, campaign_id)
    end = len(row["steps"]) + 1
    call.json = _merged(call.json, {"position": end})
    step = call.body(SequenceStepBody).sequence_step
    if step.position != end or end > MOST_STEPS:
        message = f"must be {end}: a step is added at the end" if end <= MOST_STEPS else f"must not exceed {MOST_STEPS}"
        raise ValidationFailed([{"field": "sequence_step.position", "message": message}])
    plan = await _written(call, row["campaign_id"], step)
    await call.ask(AddStep(command_id=new_id(), account_id=call.account_id, campaign_id=row["campaign_id"], step=plan))
    return call.answer(await _shown(call, await queries.find(call, campaign_id), end), 201)


@patch("/campaigns/{campaign_id:str}/sequence_steps/{position:str}", opt=tells(StepShown, body=SequenceStepBody))
async def change_step(request: Asked, campaign_id: str, position: str) -> Response[bytes]:
    """What is named holds for every message that is not rendered yet; another delay moves the follow-ups not sent."""
    call = request.user
    row = await queries.find(call, campaign_id)
    former = _known(row, position)
    given = _given(call.json)
    call.json = _merged(call.json, await _shown(call, row, former.position))
    step = call.body(SequenceStepBody).sequence_step
    if step.position != former.position:
        message = "cannot be changed: delete the step and add another"
        raise ValidationFailed([{"field": "sequence_step.position", "message": message}])
    if named := tuple(name for name in (*TEXTS, "delay_minutes", "thread") if name in given):
        texts = any(name in TEXTS for name in named)
        plan = await _written(call, row["campaign_id"], step) if texts else step.plan(former.template_version)
        await call.ask(
            ChangeStep(
                command_id=new_id(),
                account_id=call.account_id,
                campaign_id=row["campaign_id"],
                step=plan,
                fields=named,
            )
        )
    return call.answer(await _shown(call, await queries.find(call, campaign_id), former.position))


@delete(
    "/campaigns/{campaign_id:str}/sequence_steps/{position:str}",
    status_code=200,
    opt=tells(refuses=[CampaignAlreadyDispatched]),
)
async def delete_step(request: Asked, campaign_id: str, position: str) -> Response[bytes]:
    """It is gone, and those behind it move up. Refused once anything was dispatched."""
    call = request.user
    row = await queries.find(call, campaign_id)
    gone = _known(row, position).position
    call.options()
    behind = [Step.model_validate(step) for step in (await queries.shown_steps(call, row))[gone:]]
    moved = [
        await _written(call, row["campaign_id"], step.model_copy(update={"position": step.position - 1}))
        for step in behind
    ]
    await call.ask(
        DeleteStep(
            command_id=new_id(),
            account_id=call.account_id,
            campaign_id=row["campaign_id"],
            position=gone,
            moved=tuple(moved),
        )
    )
    return call.done()


async def presented(call: Call, request: Json) -> Json:
    """The step that a command was about, as its GET shows it."""
    return await _shown(call, await queries.find(call, request["campaign_id"]), request["step"]["position"])


async def _written(call: Call, campaign: UUID, step: Step) -> StepPlan:
    """The step under a version of its own, whose texts stand in the vault.

    No other request can have taken that number, so nobody ever reads another text under it. Raises CampaignNotFound
    where the campaign goes at this moment: its name goes first, and waits for us.
    """
    plan = step.plan(new_id().int >> 65)
    async with vault.locked(call.gateway.log_pool, call.account_id, campaign, ["name"]) as (db, kept):
        if not kept:
            raise CampaignNotFound
        await vault.put(db, [Entry(campaign, plan.texts, call.account_id, "campaign", step.texts())])
    return plan


def _known(row: Row, text: str) -> StepPlan:
    """The step at that position. Raises SequenceStepNotFound."""
    for step in row["steps"]:
        if str(step["position"]) == text:
            return StepPlan.model_validate(step)
    raise SequenceStepNotFound


async def _shown(call: Call, row: Row, position: int) -> Json:
    """As a GET shows it. Raises SequenceStepNotFound."""
    for step in await queries.shown_steps(call, row):
        if step["position"] == position:
            return step
    raise SequenceStepNotFound


def _given(body: object) -> Mapping[str, object]:
    """What the body says of the step; nothing where it is no such body."""
    whole = cast("dict[str, object]", body) if isinstance(body, dict) else {}
    given = whole.get("sequence_step")
    return cast("dict[str, object]", given) if isinstance(given, dict) else {}


def _merged(body: object, former: Mapping[str, object]) -> object:
    """The body with what stands in the place of what it leaves out."""
    if not isinstance(body, dict):
        return body
    whole = cast("dict[str, object]", body)
    if not isinstance(whole.get("sequence_step"), dict):
        return whole
    return {**whole, "sequence_step": {**former, **_given(whole)}}


ROUTES = (list_steps, show_step, add_step, change_step, delete_step)
