"""Contacts and their imports, as JSON."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from litestar import Response, delete, get, patch, post

from outrider.api.answers_people import ContactShown, ImportShown, Reject
from outrider.api.bodies_contacts import ChangedContactBody, NewContactBody, NewImportBody
from outrider.api.describing import PAGE, Query, tells
from outrider.api.front import IMPORT_BYTES
from outrider.api.gateway import Asked, Call
from outrider.api.importing import ROWS_KEPT, sort_rows, store
from outrider.api.paging import as_id
from outrider.api.presenting import people
from outrider.events import vault
from outrider.events.contact import (
    AddContact,
    ChangeContact,
    ContactAlreadyExists,
    ContactImportNotFound,
    ContactNotFound,
    DeleteContact,
    DeleteImport,
    ImportContacts,
    NoContactsProvided,
)
from outrider.events.database import Row
from outrider.events.ids import BadAddress, address_key, domain_key, domain_of, new_id, parse_address
from outrider.events.message import Json
from outrider.events.vault import Entry

BY_EMAIL: Final = Query("email", "The contact with this address alone.")
LARGE: Final = {"rule": {"most_bytes": IMPORT_BYTES}}
IMPORT_FIELDS = """
i.import_id, i.position, i.status, i.skipped, i.rejected, i.created_at,
coalesce(i.record_count, n.added, 0) as record_count, coalesce(n.added - n.gone, 0) as contact_count
"""
IMPORTS = f"""
select {IMPORT_FIELDS}
from imports i
left join import_counts n using (import_id)
where i.account_id = $1 and i.deleted_at is null and i.position < $2
order by i.position desc
limit $3
"""  # noqa: S608  # a constant
IMPORT = f"""
select {IMPORT_FIELDS}
from imports i
left join import_counts n using (import_id)
where i.account_id = $1 and i.import_id = $2 and i.deleted_at is null
"""  # noqa: S608  # a constant
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
BY_IMPORT = f"""
select {CONTACT_FIELDS}
from contacts
where account_id = $1 and deleted_at is null and position < $2 and import_id = $4
order by position desc
limit $3
"""  # noqa: S608  # a constant


@post(
    "/contact_imports",
    status_code=201,
    opt=LARGE | tells(ImportShown, also={202: ImportShown}, body=NewImportBody, refuses=[NoContactsProvided]),
)
async def import_contacts(request: Asked) -> Response[bytes]:
    """Import people; duplicates are skipped, bad rows rejected, and both counted."""
    call = request.user
    body = call.body(NewImportBody).contact_import
    if not body.contacts:
        raise NoContactsProvided
    import_id = new_id()
    rows = await sort_rows(call.gateway.keys.address_key, call.account_id, body.contacts)
    chunks = await store(call, import_id, body.name, rows)
    verdict = await call.ask(
        ImportContacts(
            command_id=new_id(),
            account_id=call.account_id,
            import_id=import_id,
            chunks=chunks,
            rows=len(rows.good),
            skipped=rows.skipped,
            rejected=len(rows.rejects),
        )
    )
    return call.answer(await _import(call, import_id), verdict.http_status or 201)


@get("/contact_imports", opt=tells(rows=ImportShown, query=PAGE))
async def list_imports(request: Asked) -> Response[bytes]:
    """Every import of the account."""
    call = request.user
    page, _ = call.page()
    rows, cursor = page.cut(await call.gateway.tables.fetch(IMPORTS, call.account_id, page.before, page.more))
    names = await vault.get_many(call.gateway.log_pool, call.account_id, [row["import_id"] for row in rows], "name")
    return call.rows([_import_row(row, names.get(row["import_id"], {})) for row in rows], cursor)


@get("/contact_imports/{import_id:str}", opt=tells(ImportShown))
async def show_import(request: Asked, import_id: str) -> Response[bytes]:
    """One import with its figures."""
    call = request.user
    shown = await _import(call, as_id(import_id))
    call.options()
    return call.answer(shown)


@get("/contact_imports/{import_id:str}/contacts", opt=tells(rows=ContactShown, query=PAGE))
async def list_import_contacts(request: Asked, import_id: str) -> Response[bytes]:
    """Whom it added, as far as they are still there."""
    call, known = request.user, as_id(import_id)
    await _import(call, known)
    page, _ = call.page()
    rows = await call.gateway.tables.fetch(BY_IMPORT, call.account_id, page.before, page.more, known)
    shown, cursor = page.cut(rows)
    return call.rows(await _contact_rows(call, shown), cursor)


@get("/contact_imports/{import_id:str}/rejects", opt=tells(rows=Reject, query=PAGE))
async def list_rejects(request: Asked, import_id: str) -> Response[bytes]:
    """Rows that could not be taken, by line, while they are kept (24 hours)."""
    call, known = request.user, as_id(import_id)
    await _import(call, known)
    page, _ = call.page()
    kept = known and await vault.get(call.gateway.log_pool, call.account_id, known, "rejects")
    after = 0 if "cursor" not in dict(call.query) else page.before
    rejects = [{**row, "position": row["line"]} for row in (kept or {}).get("rows", ()) if row["line"] > after]
    shown, cursor = page.cut(rejects)
    return call.rows([{name: row[name] for name in ("line", "email", "reason")} for row in shown], cursor)


@delete("/contact_imports/{import_id:str}", status_code=200, opt=tells())
async def delete_import(request: Asked, import_id: str) -> Response[bytes]:
    """The import is gone with its contacts and their enrollments."""
    call, known = request.user, as_id(import_id)
    await _import(call, known)
    call.options()
    if known is not None:
        await call.ask(DeleteImport(command_id=new_id(), account_id=call.account_id, import_id=known))
    return call.done()


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
    return call.rows(await _contact_rows(call, shown), cursor)


@get("/contacts/{contact_id:str}", opt=tells(ContactShown))
async def show_contact(request: Asked, contact_id: str) -> Response[bytes]:
    """One contact."""
    call = request.user
    row = await _contact(call, contact_id)
    call.options()
    return call.answer((await _contact_rows(call, [row]))[0])


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
    rows = await _contact_rows(call, [await _contact(call, str(contact_id))])
    return call.answer(rows[0], 201)


@patch("/contacts/{contact_id:str}", opt=tells(ContactShown, body=ChangedContactBody, refuses=[ContactAlreadyExists]))
async def change_contact(request: Asked, contact_id: str) -> Response[bytes]:
    """Change what is known of a contact; what is left out stays. Later steps go to the address that it has then."""
    call = request.user
    contact: UUID = (await _contact(call, contact_id))["contact_id"]
    changed = call.body(ChangedContactBody).contact.model_dump(exclude_unset=True)
    former = await vault.get(call.gateway.log_pool, call.account_id, contact, "person") or {}
    person: Json = {**former, **changed}
    person["custom"] = person.get("custom") or {}
    if person != former and "email" in person:
        command_id = new_id()
        until = call.gateway.clock.real() + ROWS_KEPT
        entry = Entry(contact, f"person-{command_id}", call.account_id, "contact", person, until)
        await vault.put(call.gateway.log_pool, [entry])
        await call.ask(
            ChangeContact(
                command_id=command_id,
                account_id=call.account_id,
                contact_id=contact,
                **_keys(call, person["email"]),
            )
        )
    return call.answer((await _contact_rows(call, [await _contact(call, contact_id)]))[0])


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
    return body if row is None else (await _contact_rows(call, [row]))[0]


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


async def _import(call: Call, import_id: UUID | None) -> Json:
    """The import as it is shown. Raises ContactImportNotFound."""
    row = await call.gateway.tables.fetchrow(IMPORT, call.account_id, import_id)
    if row is None or import_id is None:
        raise ContactImportNotFound
    return _import_row(row, await vault.get(call.gateway.log_pool, call.account_id, import_id, "name") or {})


async def imported(call: Call, body: Json) -> Json:
    """The import of a command's answer as GET shows it; the answer itself where it is gone."""
    try:
        return await _import(call, UUID(body["id"]))
    except ContactImportNotFound:
        return body


def _import_row(row: Row, name: Json) -> Json:
    return {
        "id": row["import_id"],
        "name": name.get("name"),
        "status": row["status"],
        "record_count": row["record_count"],
        "contact_count": row["contact_count"],
        "skipped": row["skipped"],
        "rejected": row["rejected"],
        "created_at": row["created_at"],
    }


async def _contact_rows(call: Call, rows: Sequence[Row]) -> list[Json]:
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
    import_contacts,
    list_imports,
    show_import,
    list_import_contacts,
    list_rejects,
    delete_import,
    list_contacts,
    show_contact,
    add_contact,
    change_contact,
    delete_contact,
)
