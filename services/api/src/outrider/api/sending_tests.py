"""Test sends: every step of a campaign to its owner's own addresses; GET /commands/:id tells how it went."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from litestar import Response, post

from outrider.api import queries_campaigns as queries
from outrider.api.answers_campaigns import TestSent
from outrider.api.bodies import TestSendBody
from outrider.api.describing import tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import as_id
from outrider.events import vault
from outrider.events.campaign import NoSequenceSteps, NoSmtpCredentials
from outrider.events.contact import ContactNotFound
from outrider.events.ids import new_id
from outrider.events.message import Json
from outrider.events.test_send import NoEmailsProvided, SendTest
from outrider.events.vault import Entry

KEPT: Final = timedelta(hours=24)
"""How long the addresses are kept, and with them what servers said."""


@post(
    "/campaigns/{campaign_id:str}/test_send",
    status_code=202,
    opt=tells(
        TestSent,
        body=TestSendBody,
        refuses=[ContactNotFound, NoEmailsProvided, NoSequenceSteps, NoSmtpCredentials],
    ),
)
async def test_send(request: Asked, campaign_id: str) -> Response[bytes]:
    """The sender has it, and mails each message once at most; what failed stands at the Location."""
    call = request.user
    campaign: UUID = (await queries.find(call, campaign_id))["campaign_id"]
    body = call.body(TestSendBody)
    emails = list(dict.fromkeys(body.emails))
    if not emails:
        raise NoEmailsProvided
    contact = None if body.contact_id is None else await _contact(call, body.contact_id)
    command = SendTest(command_id=new_id(), account_id=call.account_id, campaign_id=campaign, contact_id=contact)
    until = call.gateway.clock.real() + KEPT
    entry = Entry(command.command_id, "emails", call.account_id, "campaign", {"emails": emails}, until)
    await vault.put(call.gateway.log_pool, [entry])
    verdict = await call.ask(command, service="sender_tests")
    call.headers["Location"] = f"/commands/{command.command_id}"
    return call.answer({"messages": (verdict.body or {})["messages"]}, 202)


async def presented(call: Call, body: Json) -> Json:
    """How many messages, and once all were tried, how many a server accepted and why the others failed."""
    outcome = await vault.get(call.gateway.log_pool, call.account_id, UUID(body["id"]), "outcome")
    return {"messages": body["messages"], **(outcome or {})}


async def _contact(call: Call, text: str) -> UUID:
    found: UUID | None = await call.gateway.tables.fetchval(
        "select contact_id from contacts where account_id = $1 and contact_id = $2 and deleted_at is null",
        call.account_id,
        as_id(text),
    )
    if found is None:
        raise ContactNotFound
    return found


ROUTES = (test_send,)
