"""Contacts."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from litestar import Response, delete, get, patch, post

from outrider.api.answers_people import ContactShown
from outrider.api.bodies_contacts import ChangedContactBody, NewContactBody
from outrider.api.describing import PAGE, Query, tells
from outrider.api.gateway import Asked, Call
from outrider.api.importing import ROWS_KEPT
from outrider.api.paging import as_id
from outrider.api.presenting import people
from outrider.events import vault
from outrider.events.contact import (
    AddContact,
    ContactAlreadyExists,
    ContactNotFound,
    DeleteContact,
    MergeContact,
)
from outrider.events.database import Row
from outrider.events.ids import BadAddress, address_key, domain_key, domain_of, new_id, parse_address
from outrider.events.message import Json
from outrider.events.vault import Entry

BY_EMAIL: Final = Query("email", "The contact with this address alone.")
CONTACT_FIELDS = "contact_id, position, unsubscribed_at, bounced_at, bounce_reason, created_at"
CONTACT = f"select {CONTACT_FIELDS} from contacts where account_id = $1 and contact_id = $2 and deleted_at is null"  # noqa: S608  # a constant
CONTACTS = f"""
select {CONTACT_FIELDS}
from contacts
where account_id = $1 and deleted_at is null and position < $2
order by position desc
limit $3
"""  # noqa: S608  # a constant
BY_ADDRESS = f"""
select {CONTACT_FIELDS}
from contacts
where account_id = $1 and deleted_at is null and position < $2 and address_key = $4
order by position desc
limit $3
"""  # noqa: S608  # a constant


@get("/contacts", opt=tells(rows=ContactShown, query=(*PAGE, BY_EMAIL)))
async def list_contacts(request: Asked) -> Response[bytes]:
    """Every contact, or the one with this address."""
    call = request.user
    page, options = call.page("email")
    tables, account = call.gateway.tables, call.account_id
    if "email" in options:
        key = _key(call, options["email"])
        rows = await tables.fetch(BY_ADDRESS, account, page.before, page.more, key)  # no row has the key null
    else:
        rows = await tables.fetch(CONTACTS, account, page.before, page.more)
    shown, cursor = page.cut(rows)
    return call.rows(await contact_rows(call, shown), cursor)


@get("/contacts/{contact_id:str}", opt=tells(ContactShown))
async def show_contact(request: Asked, contact_id: str) -> Response[bytes]:
    """One contact."""
    call = request.user
    row = await _contact(call, contact_id)
    call.options()
    return call.answer((await contact_rows(call, [row]))[0])


@post("/contacts", status_code=201, opt=tells(ContactShown, body=NewContactBody, refuses=[ContactAlreadyExists]))
async def add_contact(request: Asked) -> Response[bytes]:
    """Add one contact."""
    call = request.user
    person = call.body(NewContactBody).contact
    contact_id = new_id()
    kept = {**person.model_dump(), "custom": person.custom or {}}
    await vault.put(call.gateway.log_pool, [Entry(contact_id, "person", call.account_id, "contact", kept)])
    await call.ask(
        AddContact(command_id=new_id(), account_id=call.account_id, contact_id=contact_id, **_keys(call, person.email))
    )
    rows = await contact_rows(call, [await _contact(call, str(contact_id))])
    return call.answer(rows[0], 201)


@patch("/contacts/{contact_id:str}", opt=tells(ContactShown, body=ChangedContactBody, refuses=[ContactAlreadyExists]))
async def change_contact(request: Asked, contact_id: str) -> Response[bytes]:
    """Change what is known of a contact; what is left out stays. Later steps go to the address that it has then."""
    call = request.user
    contact: UUID = (await _contact(call, contact_id))["contact_id"]
    changed = call.body(ChangedContactBody).contact.model_dump(exclude_unset=True)
    if "custom" in changed:
        changed["custom"] = changed["custom"] or {}
    former = await vault.get(call.gateway.log_pool, call.account_id, contact, "person") or {}
    if {**former, **changed} != former:
        command_id = new_id()
        until = call.gateway.clock.real() + ROWS_KEPT
        entry = Entry(contact, f"person-{command_id}", call.account_id, "contact", changed, until)
        await vault.put(call.gateway.log_pool, [entry])
        keys = _keys(call, changed["email"]) if "email" in changed else {}
        await call.ask(MergeContact(command_id=command_id, account_id=call.account_id, contact_id=contact, **keys))
    return call.answer((await contact_rows(call, [await _contact(call, contact_id)]))[0])


@delete("/contacts/{contact_id:str}", status_code=200, opt=tells())
async def delete_contact(request: Asked, contact_id: str) -> Response[bytes]:
    """The contact is gone, its enrollments have ended, its address is free."""
    call = request.user
    contact: UUID = (await _contact(call, contact_id))["contact_id"]
    call.options()
    await call.ask(DeleteContact(command_id=new_id(), account_id=call.account_id, contact_id=contact))
    return call.done()


async def presented(call: Call, body: Json) -> Json:
    """The contact of a command's answer as GET shows it; the answer itself where it is gone."""
    row = await call.gateway.tables.fetchrow(CONTACT, call.account_id, UUID(body["id"]))
    return body if row is None else (await contact_rows(call, [row]))[0]


async def _contact(call: Call, text: str) -> Row:
    """The contact's row. Raises ContactNotFound."""
    row = await call.gateway.tables.fetchrow(CONTACT, call.account_id, as_id(text))
    if row is None:
        raise ContactNotFound
    return row


def _keys(call: Call, address: str) -> dict[str, str]:
    """What stands for the address and its domain where nobody may read them."""
    key, account = call.gateway.keys.address_key, call.account_id
    return {
        "address_key": address_key(key, account, address),
        "domain_key": domain_key(key, account, domain_of(address)),
    }


async def contact_rows(call: Call, rows: Sequence[Row]) -> list[Json]:
    """Contacts as they are shown, with who they are."""
    found = await people(call, {row["contact_id"] for row in rows})
    return [
        {
            "id": row["contact_id"],
            **{
                name: found.get(row["contact_id"], {}).get(name)
                for name in ("email", "first_name", "last_name", "company", "timezone")
            },
            "custom": found.get(row["contact_id"], {}).get("custom") or {},
            "unsubscribed_at": row["unsubscribed_at"],
            "bounced_at": row["bounced_at"],
            "bounce_reason": row["bounce_reason"],
            "created_at": row["created_at"],
        }
        for row in rows
    ]


def _key(call: Call, email: str) -> str | None:
    """The key of the address; none where it is no address, and so nobody's."""
    try:
        return address_key(call.gateway.keys.address_key, call.account_id, parse_address(email))
    except BadAddress:
        return None


ROUTES = (
    list_contacts,
    show_contact,
    add_contact,
    change_contact,
    delete_contact,
)
