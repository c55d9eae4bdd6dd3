"""Erasing a person: asked for once, proven ever after."""

from typing import Final, cast
from uuid import UUID

from litestar import Response, get, post

from outrider.api.answers_people import ErasureAsked, ErasureShown
from outrider.api.describing import tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import as_id
from outrider.api.problems import Late
from outrider.events.contact import ContactNotFound, EraseContact, ErasureNotFound
from outrider.events.ids import new_id
from outrider.events.message import Json

KNOWN: Final = "select contact_id from contacts where account_id = $1 and contact_id = $2"
RECEIPT: Final = """
select contact_id, erased_at, removed, suppressed, position from erasures where account_id = $1 and contact_id = $2
"""
PERSONAL: Final = frozenset(
    {"email", "first_name", "last_name", "company", "custom", "timezone", "subject", "snippet", "contact_email"}
)

WORDS: Final = frozenset({"smtp_reply", "smtp_error", "imap_error"})
SUPPRESSION: Final = frozenset({"value", "reason"})
"""What may name anybody, in answers that do not say whom: it is left out of each that is kept, whoever it was about."""


@post("/contacts/{contact_id:str}/erase", status_code=200, opt=tells(ErasureAsked))
async def erase_contact(request: Asked, contact_id: str) -> Response[bytes]:
    """Nothing tells any more who the contact was, here or in answers that are kept to be repeated; said twice, alike.

    A contact that was deleted can be erased as well: copies of it may be kept for a day.
    """
    call = request.user
    contact = await _known(call, contact_id)
    call.nothing()
    try:
        verdict = await call.ask(EraseContact(command_id=new_id(), account_id=call.account_id, contact_id=contact))
    except Late:  # and once more when somebody hears that it was carried out
        await _redact(call, contact)
        raise
    return call.answer(await presented(call, verdict.body or {}))


@get("/contacts/{contact_id:str}/erasure", opt=tells(ErasureShown, refuses=[ErasureNotFound]))
async def show_erasure(request: Asked, contact_id: str) -> Response[bytes]:
    """The receipt: when, how much of what was removed, and where in the log it stands. No kept answer belies it."""
    call = request.user
    contact = await _known(call, contact_id)
    call.options()
    row = await call.gateway.tables.fetchrow(RECEIPT, call.account_id, contact)
    if row is None:
        raise ErasureNotFound
    await _redact(call, contact)
    kept = ["the key of its address, from which the address cannot be read: nothing is written to it"]
    shown = {
        "contact_id": row["contact_id"],
        "erased_at": row["erased_at"],
        "removed": row["removed"],
        "kept": kept if row["suppressed"] else [],
        "position": row["position"],
    }
    return call.answer(shown)


async def presented(call: Call, body: Json) -> Json:
    """What the call answers: when it was erased; nobody is told so while an answer that is kept names the person.

    The gateway that asked for it may have died since, and others may have kept answers until it was carried out.
    """
    contact = UUID(body["contact_id"])
    await _redact(call, contact)
    row = await call.gateway.tables.fetchrow(RECEIPT, call.account_id, contact)
    return {"contact_id": contact, "erased_at": row and row["erased_at"]}


async def _redact(call: Call, contact: UUID) -> None:
    await call.gateway.idempotency.redact(call.account_id, lambda body: without(body, str(contact)))


def without(body: object, contact: str) -> object:
    """The body of an answer without anything personal in the objects about this contact, nor words about anybody."""
    match body:
        case list():
            return [without(one, contact) for one in cast("list[object]", body)]
        case dict():
            said = cast("Json", body)
            names = PERSONAL | WORDS if contact in said.values() else WORDS
            if said.keys() >= SUPPRESSION:
                names |= SUPPRESSION
            gone: Json = dict.fromkeys(names & said.keys())
            empty: Json = {"custom": {}} if "custom" in gone else {}  # as a contact without any shows it
            return {**{name: without(value, contact) for name, value in said.items()}, **gone, **empty}
        case _:
            return body


async def _known(call: Call, text: str) -> UUID:
    """The contact, deleted ones too. Raises ContactNotFound."""
    contact: UUID | None = await call.gateway.tables.fetchval(KNOWN, call.account_id, as_id(text))
    if contact is None:
        raise ContactNotFound
    return contact


ROUTES = (erase_contact, show_erasure)
