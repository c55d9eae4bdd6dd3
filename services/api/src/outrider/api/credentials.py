"""SMTP credentials of a campaign: listed, added, changed, removed, re-enabled. Passwords are written, never read."""

import asyncio
import hmac
from typing import Any, Final
from uuid import UUID

from litestar import Response, delete, get, patch, post

from outrider.api import queries_campaigns as queries
from outrider.api.answers_campaigns import CredentialShown, Reenabled, Verified
from outrider.api.bodies_campaigns import MOST_CREDENTIALS
from outrider.api.bodies_credentials import DKIM_KEY, UNCHANGED, NewSmtpCredential, SmtpCredentialBody
from outrider.api.describing import PAGE, tells
from outrider.api.gateway import Asked, Call
from outrider.api.merging_credentials import merged, named_in
from outrider.api.paging import as_id
from outrider.events import vault
from outrider.events.credential import (
    AddCredential,
    ChangeCredential,
    NewCredential,
    ReenableCredential,
    RemoveCredential,
    SmtpCredentialNotFound,
)
from outrider.events.errors import ValidationFailed
from outrider.events.ids import new_id
from outrider.events.inquiries import Inquiry
from outrider.events.message import Json
from outrider.events.vault import Entry

VERIFY_SECONDS: Final = 28.0
NOT_ASKED: Final = "The server was not asked: no service that can is answering. Try again."
ENTRIES: Final = ("server", "secrets")
"""What the vault has of a credential that stands."""
ENTRY: Final = ("smtp_host", "smtp_port", "smtp_security", "smtp_username", "oauth2")
"""What a log-in depends on, beside the secrets."""
NO_LOGIN: Final = frozenset({"imap_password", DKIM_KEY})
"""Secrets that do not let it in at its SMTP server."""
ONE: Final = """
select daily_limit, follow_ups_exempt
from credentials
where credential_id = $1 and campaign_id = $2 and removed_at is null
"""


@get("/campaigns/{campaign_id:str}/smtp_credentials", opt=tells(rows=CredentialShown, query=PAGE))
async def list_credentials(request: Asked, campaign_id: str) -> Response[bytes]:
    """The credentials of the campaign with their statistics."""
    call = request.user
    campaign = await _campaign(call, campaign_id)
    page, _ = call.page()
    today = call.gateway.clock.now().date()
    found = await call.gateway.tables.fetch(queries.NEWEST_FIRST, campaign, today, page.before, page.more)
    rows, cursor = page.cut(found)
    return call.rows(await queries.shown_credentials(call, rows), cursor)


@get("/campaigns/{campaign_id:str}/smtp_credentials/{credential_id:str}", opt=tells(CredentialShown))
async def show_credential(request: Asked, campaign_id: str, credential_id: str) -> Response[bytes]:
    """One of them."""
    call = request.user
    campaign = await _campaign(call, campaign_id)
    shown = await _shown(call, campaign, as_id(credential_id))
    call.options()
    return call.answer(shown)


@post(
    "/campaigns/{campaign_id:str}/smtp_credentials",
    status_code=201,
    opt=tells(CredentialShown, body=SmtpCredentialBody),
)
async def add_credential(request: Asked, campaign_id: str) -> Response[bytes]:
    """The campaign may mail through it; what is planned already stays where it is."""
    call = request.user
    campaign = await _campaign(call, campaign_id)
    body = call.body(SmtpCredentialBody).smtp_credential
    count: int = await call.gateway.tables.fetchval(
        "select count(*) from credentials where campaign_id = $1 and removed_at is null", campaign
    )
    if count >= MOST_CREDENTIALS:
        message = f"a campaign has at most {MOST_CREDENTIALS}"
        raise ValidationFailed([{"field": "smtp_credential", "message": message}])
    credential = new_id()
    await vault.put(call.gateway.log_pool, credential_entries(call, credential, body))
    await call.ask(
        AddCredential(
            command_id=new_id(),
            account_id=call.account_id,
            campaign_id=campaign,
            credential=new_credential(call, credential, body),
        )
    )
    return call.answer(await _shown(call, campaign, credential), 201)


@patch(
    "/campaigns/{campaign_id:str}/smtp_credentials/{credential_id:str}",
    opt=tells(CredentialShown, body=SmtpCredentialBody),
)
async def change_credential(request: Asked, campaign_id: str, credential_id: str) -> Response[bytes]:
    """What is named holds from the next message on; another password revives what a refused log-in has disabled."""
    call = request.user
    campaign = await _campaign(call, campaign_id)
    credential, limits = await _known(call, campaign, credential_id)
    named = named_in(call.json)
    async with vault.locked(call.gateway.log_pool, call.account_id, credential, ENTRIES) as (db, kept):
        if len(kept) < len(ENTRIES):  # removed meanwhile
            raise SmtpCredentialNotFound
        former, sealed = kept["server"], kept["secrets"]["sealed"]
        call.json = merged(call.json, former, limits, sealed)
        changed = call.body(SmtpCredentialBody).smtp_credential
        await vault.put(db, credential_entries(call, credential, changed, sealed))
    server = changed.server()
    fresh = {name for name, secret in changed.secrets().items() if secret != UNCHANGED}
    await call.ask(
        ChangeCredential(
            command_id=new_id(),
            account_id=call.account_id,
            campaign_id=campaign,
            credential=new_credential(call, credential, changed),
            limits=tuple(sorted(named & limits.keys())),
            replaced=bool(named - limits.keys()),  # whatever stands: a call that broke off may have put it there
            logs_in_anew=bool(fresh - NO_LOGIN) or any(server.get(name) != former.get(name) for name in ENTRY),
        )
    )
    return call.answer(await _shown(call, campaign, credential))


@delete("/campaigns/{campaign_id:str}/smtp_credentials/{credential_id:str}", status_code=200, opt=tells())
async def remove_credential(request: Asked, campaign_id: str, credential_id: str) -> Response[bytes]:
    """Nothing more is mailed through it, and its passwords are kept no more; what it sent stays counted."""
    call = request.user
    campaign = await _campaign(call, campaign_id)
    credential, _ = await _known(call, campaign, credential_id)
    call.options()
    await call.ask(
        RemoveCredential(
            command_id=new_id(), account_id=call.account_id, campaign_id=campaign, credential_id=credential
        )
    )
    return call.done()


@post(
    "/campaigns/{campaign_id:str}/smtp_credentials/{credential_id:str}/reenable", status_code=200, opt=tells(Reenabled)
)
async def reenable(request: Asked, campaign_id: str, credential_id: str) -> Response[bytes]:
    """A disabled credential is used again."""
    call = request.user
    campaign = await _campaign(call, campaign_id)
    credential, _ = await _known(call, campaign, credential_id)
    call.nothing()
    await call.ask(
        ReenableCredential(
            command_id=new_id(), account_id=call.account_id, campaign_id=campaign, credential_id=credential
        )
    )
    return call.answer(await reenabled(call, {"credential_id": str(credential)}))


@post(
    "/campaigns/{campaign_id:str}/smtp_credentials/{credential_id:str}/verify",
    status_code=200,
    opt=tells(Verified, asks=False),
)
async def verify(request: Asked, campaign_id: str, credential_id: str) -> Response[bytes]:
    """Whether it gets in at its servers right now; changes nothing."""
    call = request.user
    campaign = await _campaign(call, campaign_id)
    credential, _ = await _known(call, campaign, credential_id)
    call.nothing()
    server = await vault.get(call.gateway.log_pool, call.account_id, credential, "server") or {}
    inquiry = Inquiry(account_id=call.account_id, subject_id=credential)
    asked = ("smtp", "imap") if server.get("imap_host") else ("smtp",)
    said = await asyncio.gather(
        *(call.gateway.bus.inquiries.ask(f"verify.{what}", inquiry, VERIFY_SECONDS) for what in asked)
    )
    answer: Json = {"smtp": "absent", "imap": "absent"}
    for what, reason in zip(asked, said, strict=True):
        answer[what] = "error" if reason or reason is None else "ok"
        if reason != "":
            answer[f"{what}_error"] = reason or NOT_ASKED
    return call.answer(answer)


def credential_entries(
    call: Call, credential: UUID, body: NewSmtpCredential, sealed: Json | None = None
) -> list[Entry]:
    """Its hosts, and its secrets sealed, for the vault; `sealed` are those that it has, for what is UNCHANGED."""
    fresh = {name: secret for name, secret in body.secrets().items() if secret != UNCHANGED}
    kept = {name: text for name, text in (sealed or {}).items() if name in body.secrets()}
    secrets = {"sealed": {**kept, **call.gateway.sealer.seal(credential, fresh)["sealed"]}}
    return [
        Entry(credential, "server", call.account_id, "credential", body.server()),
        Entry(credential, "secrets", call.account_id, "credential", secrets),
    ]


def new_credential(call: Call, credential: UUID, body: NewSmtpCredential) -> NewCredential:
    """What the log has of it."""
    return NewCredential(
        credential_id=credential,
        daily_limit=body.daily_limit,
        follow_ups_exempt=body.follow_ups_exempt,
        mailbox_id=_mailbox(call, body),
    )


def _mailbox(call: Call, credential: NewSmtpCredential) -> UUID | None:
    """The same for every credential that reads the same mailbox, and telling nothing of it."""
    if credential.imap_host is None:
        return None
    name = f"mailbox:{call.account_id}:{credential.imap_host}:{credential.imap_port}:{credential.imap_username}"
    return UUID(bytes=hmac.digest(call.gateway.keys.address_key, name.encode(), "sha256")[:16])


async def presented(call: Call, request: Json) -> Json:
    """The credential that a command was about, as its GET shows it."""
    return await _shown(call, UUID(request["campaign_id"]), UUID(request["credential"]["credential_id"]))


async def reenabled(call: Call, request: Json) -> Json:
    """The answer about a credential that was re-enabled."""
    credential: UUID = UUID(request["credential_id"])
    server = await vault.get(call.gateway.log_pool, call.account_id, credential, "server") or {}
    return {"id": credential, "from_email": server.get("from_email"), "status": "enabled"}


async def _campaign(call: Call, text: str) -> UUID:
    campaign: UUID = (await queries.find(call, text))["campaign_id"]
    return campaign


async def _known(call: Call, campaign: UUID, text: str) -> tuple[UUID, dict[str, Any]]:
    """The credential and its limits. Raises SmtpCredentialNotFound."""
    credential = as_id(text)
    row = await call.gateway.tables.fetchrow(ONE, credential, campaign)
    if row is None or credential is None:
        raise SmtpCredentialNotFound
    return credential, dict(row)


async def _shown(call: Call, campaign: UUID, credential: UUID | None) -> Json:
    """As a GET shows it. Raises SmtpCredentialNotFound."""
    found = await queries.credentials(call, campaign, queries.ONE_CREDENTIAL, credential)
    if not found:
        raise SmtpCredentialNotFound
    return found[0]


ROUTES = (list_credentials, show_credential, add_credential, change_credential, remove_credential, reenable, verify)
