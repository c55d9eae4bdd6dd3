"""Commands whose verdict came late: GET /commands/:id tells how they stand."""

from collections.abc import Awaitable, Callable, Mapping

from litestar import Response, get

from outrider.api import contacts, outreaches, sending_tests, suppressions
from outrider.api.gateway import Asked, Call
from outrider.api.paging import as_id
from outrider.api.presenting import enrolled
from outrider.api.problems import CommandNotFound
from outrider.events.campaign import EnrollImport
from outrider.events.contact import AddContact, ChangeContact, ImportContacts, SuppressAddress
from outrider.events.message import Json
from outrider.events.outreach import ChangeOutreach, CreateOutreach
from outrider.events.test_send import SendTest

Present = Callable[[Call, Json], Awaitable[Json]]
PEOPLE: Mapping[str, Present] = {
    EnrollImport.__name__: enrolled,
    ImportContacts.__name__: contacts.imported,
    AddContact.__name__: contacts.presented,
    ChangeContact.__name__: contacts.presented,
    SendTest.__name__: sending_tests.presented,
    SuppressAddress.__name__: suppressions.presented,
    CreateOutreach.__name__: outreaches.presented,
    ChangeOutreach.__name__: outreaches.presented,
}
"""Answers that name people: joined whenever they are shown."""


@get("/commands/{command_id:str}")
async def show_command(request: Asked, command_id: str) -> Response[bytes]:
    """accepted, succeeded or rejected, with the status and body that the call would have answered."""
    call, known = request.user, as_id(command_id)
    row = await call.gateway.log_pool.fetchrow(
        "select kind, status, http_status, body_without_people, position from log.commands "
        "where command_id = $1 and account_id = $2",
        known,
        call.account_id,
    )
    if row is None:
        raise CommandNotFound
    call.options()
    answer = {"command_id": known, "status": row["status"]}
    if row["status"] == "accepted":
        return call.answer(answer)
    await call.reach(row["position"] or 0)
    body: Json = row["body_without_people"] or {}
    if row["status"] == "succeeded" and row["kind"] in PEOPLE:
        body = await PEOPLE[row["kind"]](call, body)
    return call.answer({**answer, "http_status": row["http_status"], "body": body})


ROUTES = (show_command,)
