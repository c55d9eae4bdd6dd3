"""Campaigns: create, show, change, delete, and what their owner asks of them."""

from typing import Final
from uuid import UUID

from litestar import Response, delete, get, patch, post

from outrider.api import outreaches
from outrider.api import queries_campaigns as queries
from outrider.api.answers import CampaignRow
from outrider.api.answers_campaigns import (
    CampaignCreated,
    CampaignShown,
    DispatchAccepted,
    Dispatched,
    Paused,
    StatusChanged,
)
from outrider.api.bodies import DispatchBody
from outrider.api.bodies_campaigns import ChangedCampaignBody, NewCampaign, NewCampaignBody, Options
from outrider.api.bodies_credentials import NewSmtpCredential
from outrider.api.credentials import credential_entries, new_credential
from outrider.api.describing import PAGE, tells
from outrider.api.gateway import Asked, Call
from outrider.events import vault
from outrider.events.campaign import (
    CampaignIsPaused,
    CampaignNotActive,
    CampaignNotFound,
    CampaignNotPaused,
    CampaignSettings,
    ChangeCampaign,
    CreateCampaign,
    DailyLimitReached,
    DeleteCampaign,
    DispatchBatch,
    NoPendingEnrollments,
    NoSequenceSteps,
    NoSmtpCredentials,
    PauseCampaign,
    PlanLimitReached,
    PlanTooLong,
    ResumeCampaign,
)
from outrider.events.errors import ValidationFailed
from outrider.events.ids import new_id
from outrider.events.message import Json
from outrider.events.outreach import OutreachNotFound
from outrider.events.vault import Entry

DISPATCH_REFUSALS: Final = (
    CampaignIsPaused,
    NoSequenceSteps,
    NoSmtpCredentials,
    PlanLimitReached,
    NoPendingEnrollments,
    DailyLimitReached,
    PlanTooLong,
)
"""In this order."""
PAUSE_SECONDS: Final = 7.0
"""Its verdict may take 5 s: what was claimed before it is waited for."""


@post("/campaigns", status_code=201, opt=tells(CampaignCreated, body=NewCampaignBody, refuses=[OutreachNotFound]))
async def create_campaign(request: Asked) -> Response[bytes]:
    """Create a campaign with its steps and credentials; texts, hosts and sealed passwords go to the vault first."""
    call = request.user
    campaign = call.body(NewCampaignBody).campaign
    outreach = await _outreach(call, campaign)
    campaign_id = new_id()
    credentials = [(new_id(), credential) for credential in campaign.smtp_credentials]
    await vault.put(call.gateway.log_pool, _entries(call, campaign_id, campaign, credentials))
    await call.ask(
        CreateCampaign(
            command_id=new_id(),
            account_id=call.account_id,
            campaign_id=campaign_id,
            settings=campaign.settings().model_copy(update={"outreach_id": outreach}),
            steps=tuple(step.plan() for step in campaign.sequence_steps),
            credentials=tuple(new_credential(call, id_, credential) for id_, credential in credentials),
        )
    )
    return call.answer({"id": campaign_id, "status": "pending"}, 201)


@get("/campaigns", opt=tells(rows=CampaignRow, query=PAGE))
async def list_campaigns(request: Asked) -> Response[bytes]:
    """Every campaign of the account."""
    call = request.user
    page, _ = call.page()
    rows, cursor = page.cut(await call.gateway.tables.fetch(queries.LIST, call.account_id, page.before, page.more))
    return call.rows(await queries.listed(call, rows), cursor)


@get("/campaigns/{campaign_id:str}", opt=tells(CampaignShown))
async def show_campaign(request: Asked, campaign_id: str) -> Response[bytes]:
    """One campaign with full statistics."""
    call = request.user
    row = await queries.find(call, campaign_id)
    call.options()
    return call.answer(await queries.shown(call, row))


@patch("/campaigns/{campaign_id:str}", opt=tells(CampaignShown, body=ChangedCampaignBody, refuses=[OutreachNotFound]))
async def change_campaign(request: Asked, campaign_id: str) -> Response[bytes]:
    """Change the name or settings; what is left out stays."""
    call = request.user
    row = await queries.find(call, campaign_id)
    changed = call.body(ChangedCampaignBody).campaign
    outreach = await _outreach(call, changed)
    former = CampaignSettings.model_validate(row["settings"])
    settings = changed.settings(former)
    if "outreach_id" in changed.model_fields_set:
        settings = settings.model_copy(update={"outreach_id": outreach})
    if settings.max_wait_seconds < settings.min_wait_seconds:
        message = "must not be less than min_wait_seconds"
        raise ValidationFailed([{"field": "campaign.max_wait_seconds", "message": message}])
    campaign: UUID = row["campaign_id"]
    if "name" in changed.model_fields_set:
        entry = Entry(campaign, "name", call.account_id, "campaign", {"name": changed.name})
        async with vault.locked(call.gateway.log_pool, call.account_id, campaign, ["name"]) as (db, kept):
            if not kept:
                raise CampaignNotFound
            await vault.put(db, [entry])
    if named := tuple(sorted(changed.model_fields_set & CampaignSettings.model_fields.keys())):
        await call.ask(
            ChangeCampaign(
                command_id=new_id(),
                account_id=call.account_id,
                campaign_id=campaign,
                settings=settings,
                fields=named,
            )
        )
    return call.answer(await queries.shown(call, await queries.find(call, campaign_id)))


@delete("/campaigns/{campaign_id:str}", status_code=200, opt=tells())
async def delete_campaign(request: Asked, campaign_id: str) -> Response[bytes]:
    """The campaign is gone with everything of it; nothing scheduled fires."""
    call = request.user
    campaign = await _known(call, campaign_id)
    call.options()
    await call.ask(DeleteCampaign(command_id=new_id(), account_id=call.account_id, campaign_id=campaign))
    return call.done()


@post(
    "/campaigns/{campaign_id:str}/dispatch",
    status_code=200,
    opt=tells(Dispatched, also={202: DispatchAccepted}, body=DispatchBody, refuses=DISPATCH_REFUSALS),
)
async def dispatch(request: Asked, campaign_id: str) -> Response[bytes]:
    """Plan and send what is pending in a batch; the lowest such batch where none is named."""
    call = request.user
    campaign = await _known(call, campaign_id)
    body = call.body(DispatchBody)
    verdict = await call.ask(
        DispatchBatch(
            command_id=new_id(),
            account_id=call.account_id,
            campaign_id=campaign,
            batch_number=body.batch_number,
        )
    )
    return call.answer(verdict.body, verdict.http_status or 200)


@post("/campaigns/{campaign_id:str}/pause", status_code=200, opt=tells(Paused, refuses=[CampaignNotActive]))
async def pause(request: Asked, campaign_id: str) -> Response[bytes]:
    """Nothing more is claimed until it is resumed."""
    call = request.user
    campaign = await _known(call, campaign_id)
    call.nothing()
    command = PauseCampaign(command_id=new_id(), account_id=call.account_id, campaign_id=campaign)
    verdict = await call.ask(command, PAUSE_SECONDS)
    return call.answer(verdict.body, verdict.http_status or 200)


@post(
    "/campaigns/{campaign_id:str}/resume",
    status_code=200,
    opt=tells(StatusChanged, refuses=[CampaignNotPaused, NoSmtpCredentials]),
)
async def resume(request: Asked, campaign_id: str) -> Response[bytes]:
    """It goes on; what became overdue is spaced anew."""
    call = request.user
    campaign = await _known(call, campaign_id)
    call.nothing()
    verdict = await call.ask(ResumeCampaign(command_id=new_id(), account_id=call.account_id, campaign_id=campaign))
    return call.answer(verdict.body, verdict.http_status or 200)


async def presented(call: Call, request: Json) -> Json:
    """The campaign that a command was about, as its GET shows it."""
    return await queries.shown(call, await queries.find(call, request["campaign_id"]))


async def _known(call: Call, text: str) -> UUID:
    row = await queries.find(call, text)
    campaign: UUID = row["campaign_id"]
    return campaign


async def _outreach(call: Call, campaign: Options) -> UUID | None:
    """The outreach that it is to belong to. Raises OutreachNotFound."""
    if campaign.outreach_id is None:
        return None
    found: UUID = (await outreaches.find(call, campaign.outreach_id))["outreach_id"]
    return found


def _entries(
    call: Call, campaign_id: UUID, campaign: NewCampaign, credentials: list[tuple[UUID, NewSmtpCredential]]
) -> list[Entry]:
    account = call.account_id
    entries = [Entry(campaign_id, "name", account, "campaign", {"name": campaign.name})]
    entries += [
        Entry(campaign_id, f"template-{step.position}-1", account, "campaign", step.texts())
        for step in campaign.sequence_steps
    ]
    for id_, credential in credentials:
        entries += credential_entries(call, id_, credential)
    return entries


ROUTES = (
    create_campaign,
    list_campaigns,
    show_campaign,
    change_campaign,
    delete_campaign,
    dispatch,
    pause,
    resume,
)
