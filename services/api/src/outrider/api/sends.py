"""Sends: every message that was ever claimed, and how it stands; the unknown ones are for a person to look at."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from litestar import Response, get, post

from outrider.api import queries_campaigns
from outrider.api.answers_people import SendRow
from outrider.api.bodies import ResolveBody
from outrider.api.describing import PAGE, Query, tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import as_id
from outrider.events import vault
from outrider.events.campaign import CampaignNotFound
from outrider.events.database import Row
from outrider.events.delivery import ResolveSend, SendAlreadyResolved, SendInFlight, SendNotFound
from outrider.events.errors import ValidationFailed
from outrider.events.ids import domain_of, new_id
from outrider.events.message import Json
from outrider.events.tokens import message_id

STATES: Final = ("started", "sent", "bounced", "deferred", "failed", "unknown")
BY_STATE: Final = Query("state", "Those in this state alone.", {"type": "string", "enum": list(STATES)})
BY_CAMPAIGN: Final = Query("campaign_id", "Those of this campaign alone.")
SENDS: Final = """
select s.position, s.delivery_id, s.enrollment_id, s.contact_id, s.credential_id, s.step_position, s.attempt, s.state,
    s.at
from sends s
where s.account_id = $1 and s.position < $2 and ($4::uuid is null or s.campaign_id = $4)
    and not exists (select from campaigns c where c.campaign_id = s.campaign_id and c.deleted_at is not null)
order by s.position desc
limit $3
"""
OF_STATE: Final = SENDS.replace("where ", "where s.state = $5 and ", 1)
"""A statement of its own: a plan that serves any state or none would look through all of the account's."""
ONE: Final = """
select s.position, s.delivery_id, s.enrollment_id, s.contact_id, s.credential_id, s.step_position, s.attempt, s.state,
    s.at
from sends s
where s.account_id = $1 and s.delivery_id = $2
    and not exists (select from campaigns c where c.campaign_id = s.campaign_id and c.deleted_at is not null)
"""
REPLIES: Final = """
select a.delivery_id, v.value
from unnest($1::uuid[], $2::uuid[], $3::int[]) as a (delivery_id, contact_id, attempt)
join log.vault v on v.owner = a.contact_id and v.name = 'smtp-reply-' || a.delivery_id || '-' || a.attempt
where v.account_id = $4
"""


@get("/sends", opt=tells(rows=SendRow, query=(*PAGE, BY_STATE, BY_CAMPAIGN), refuses=[CampaignNotFound]))
async def list_sends(request: Asked) -> Response[bytes]:
    """The messages of the account, newest first; of one state or campaign if asked for."""
    call = request.user
    page, options = call.page("state", "campaign_id")
    state = options.get("state")
    if state is not None and state not in STATES:
        raise ValidationFailed([{"field": "state", "message": f"must be one of {', '.join(STATES)}"}])
    campaign: UUID | None = None
    if "campaign_id" in options:
        campaign = (await queries_campaigns.find(call, options["campaign_id"]))["campaign_id"]
    asked = (call.account_id, page.before, page.more, campaign)
    found = (
        call.gateway.tables.fetch(SENDS, *asked)
        if state is None
        else call.gateway.tables.fetch(OF_STATE, *asked, state)
    )
    rows, cursor = page.cut(await found)
    domains, replies = await _domains(call, rows), await _replies(call, rows)
    return call.rows([_send(call, row, domains, replies) for row in rows], cursor)


async def _domains(call: Call, rows: Sequence[Row]) -> Mapping[UUID, str]:
    """The domain of each credential's from address: the Message-ID ends with it."""
    credentials = list({row["credential_id"] for row in rows})
    found = await vault.get_many(call.gateway.log_pool, call.account_id, credentials, "server")
    return {credential: domain_of(server["from_email"]) for credential, server in found.items()}


async def _replies(call: Call, rows: Sequence[Row]) -> Mapping[UUID, str]:
    """What the server said to the last attempt of each, as long as the person is known."""
    found = await call.gateway.log_pool.fetch(
        REPLIES,
        [row["delivery_id"] for row in rows],
        [row["contact_id"] for row in rows],
        [row["attempt"] for row in rows],
        call.account_id,
    )
    return {row["delivery_id"]: row["value"]["reply"] for row in found}


def _send(call: Call, row: Row, domains: Mapping[UUID, str], replies: Mapping[UUID, str]) -> Json:
    domain = domains.get(row["credential_id"])
    return {
        "id": row["delivery_id"],
        "enrollment_id": row["enrollment_id"],
        "step_position": row["step_position"],
        "smtp_credential_id": row["credential_id"],
        "message_id": None if domain is None else message_id(call.gateway.keys, row["delivery_id"], domain),
        "state": row["state"],
        "smtp_reply": replies.get(row["delivery_id"]),
        "at": row["at"],
    }


@post(
    "/sends/{send_id:str}/resolve",
    status_code=200,
    opt=tells(SendRow, body=ResolveBody, refuses=[SendInFlight, SendAlreadyResolved]),
)
async def resolve_send(request: Asked, send_id: str) -> Response[bytes]:
    """A message of which nobody knew whether a server took it is settled; the send as it stands now."""
    call = request.user
    delivery: UUID = (await _found(call, as_id(send_id)))["delivery_id"]
    body = call.body(ResolveBody)
    command = ResolveSend(command_id=new_id(), account_id=call.account_id, delivery_id=delivery, outcome=body.outcome)
    verdict = await call.ask(command, service="sender_commands")
    return call.answer(await presented(call, verdict.body or {}))


async def presented(call: Call, body: Json) -> Json:
    """The send as the list shows it."""
    row = await _found(call, UUID(body["id"]))
    return _send(call, row, await _domains(call, [row]), await _replies(call, [row]))


async def _found(call: Call, delivery: UUID | None) -> Row:
    row = await call.gateway.tables.fetchrow(ONE, call.account_id, delivery)
    if row is None:
        raise SendNotFound
    return row


ROUTES = (list_sends, resolve_send)
