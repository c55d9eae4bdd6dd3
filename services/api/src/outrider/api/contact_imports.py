"""Imports of contacts, as JSON or CSV."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from litestar import Response, delete, get, post

from outrider.api.answers_people import ContactShown, ImportShown, Reject
from outrider.api.bodies_contacts import CsvImport, NewImportBody
from outrider.api.contacts import CONTACT_FIELDS, contact_rows
from outrider.api.csv_people import WrongHeader
from outrider.api.describing import PAGE, Query, tells
from outrider.api.front import IMPORT_BYTES
from outrider.api.gateway import Asked, Call
from outrider.api.importing import Intake, rejects_name
from outrider.api.paging import as_id
from outrider.api.problems import ClientGone, Rejected
from outrider.api.staging import CsvUpload, intake, settled, stage_rows
from outrider.api.uploads import Upload
from outrider.events import vault
from outrider.events.contact import (
    ContactImportFailed,
    ContactImportNotFound,
    DeleteImport,
    ImportContacts,
    NoContactsProvided,
)
from outrider.events.database import Row
from outrider.events.errors import ValidationFailed
from outrider.events.ids import new_id
from outrider.events.message import Json

LARGE: Final = {"rule": {"most_bytes": IMPORT_BYTES, "csv": True}}
NAME: Final = Query("name", "Of the import, where it is a CSV file; JSON has it in its body.")
REFUSES: Final = (NoContactsProvided, ContactImportFailed)
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
BY_IMPORT = f"""
select {CONTACT_FIELDS}
from contacts
where account_id = $1 and deleted_at is null and position < $2 and import_id = $4
order by position desc
limit $3
"""  # noqa: S608  # a constant
REJECTS = """
with kept as (
    select name, value from log.vault
    where owner = $1 and account_id = $2 and name > $3 and name like 'rejects-%'
    order by name
    limit 3
)
select r.reject, (r.reject ->> 'line')::bigint as position
from kept, jsonb_array_elements(value -> 'rows') as r (reject)
where (r.reject ->> 'line')::bigint > $4
order by position
limit $5
"""
"""Each but the last holds as many as the longest page: one may be half read, and tell whether there is another page."""


@post(
    "/contact_imports",
    status_code=201,
    opt=LARGE
    | tells(
        ImportShown,
        also={202: ImportShown},
        body=NewImportBody,
        takes=["text/csv"],
        query=[NAME],
        refuses=REFUSES,
    ),
)
async def import_contacts(request: Asked) -> Response[bytes]:
    """Import people; duplicates are skipped, bad rows rejected, and both counted."""
    call = request.user
    into = intake(call, new_id())
    if call.upload is not None:
        await _stage_csv(call, call.upload, into, lambda: call.query_as(CsvImport))
    else:
        body = (await asyncio.to_thread(lambda: call.body(NewImportBody))).contact_import
        if not body.contacts:
            raise NoContactsProvided
        await stage_rows(call, into, body.name, body.contacts)
    return await _started(call, into)


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
    return call.rows(await contact_rows(call, shown), cursor)


@get("/contact_imports/{import_id:str}/rejects", opt=tells(rows=Reject, query=PAGE))
async def list_rejects(request: Asked, import_id: str) -> Response[bytes]:
    """Rows that could not be taken, by line, while they are kept (24 hours)."""
    call, known = request.user, as_id(import_id)
    await _import(call, known)
    page, _ = call.page()
    after = 0 if "cursor" not in dict(call.query) else page.before
    kept = await call.gateway.log_pool.fetch(REJECTS, known, call.account_id, rejects_name(after), after, page.more)
    shown, cursor = page.cut(kept)
    return call.rows([{name: row["reject"][name] for name in ("line", "email", "reason")} for row in shown], cursor)


@delete("/contact_imports/{import_id:str}", status_code=200, opt=tells())
async def delete_import(request: Asked, import_id: str) -> Response[bytes]:
    """The import is gone with its contacts and their enrollments."""
    call, known = request.user, as_id(import_id)
    await _import(call, known)
    call.options()
    if known is not None:
        await call.ask(DeleteImport(command_id=new_id(), account_id=call.account_id, import_id=known))
    return call.done()


async def _stage_csv(call: Call, upload: Upload, into: Intake, query: Callable[[], CsvImport]) -> None:
    """The file lies in the vault. Raises ValidationFailed where it cannot be read, once all of it has come."""
    name, errors = "", list[Mapping[str, str]]()
    try:
        name = query().name
    except ValidationFailed as refused:
        errors += refused.details["errors"]
    reading = CsvUpload(call, upload, into)
    try:
        try:
            await reading.header()
        except WrongHeader as wrong:
            errors += wrong.errors
        if errors:
            await upload.drain()  # or the client, who still sends, would not hear of it
            raise ValidationFailed(errors)
        await reading.stage(name)
    except ClientGone:
        if not errors:
            await reading.broke_off(name)
        raise


async def _started(call: Call, into: Intake) -> Response[bytes]:
    """What lies in the vault becomes contacts: 201 when they are, 202 where they are too many to wait for."""
    command = ImportContacts(
        command_id=new_id(),
        account_id=call.account_id,
        import_id=into.import_id,
        chunks=into.chunks,
        rows=into.taken,
        skipped=into.skipped,
        rejected=into.rejected,
    )
    try:
        verdict = await call.ask(command)
    except Rejected:
        await vault.forget(call.gateway.log_pool, [into.import_id])
        raise
    finally:
        await settled(call, into)
    return call.answer(await _import(call, into.import_id), verdict.http_status or 201)


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


ROUTES = (
    import_contacts,
    list_imports,
    show_import,
    list_import_contacts,
    list_rejects,
    delete_import,
)
