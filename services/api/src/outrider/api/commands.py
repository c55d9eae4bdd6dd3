"""Commands whose verdict came late: GET /commands/:id tells how they stand, as their calls would have been answered."""

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from litestar import Response, get

from outrider.api import (
    accounts,
    campaigns,
    contact_imports,
    contacts,
    credentials,
    erasures,
    outreaches,
    reclassifying,
    sending_tests,
    sends,
    sequence_steps,
    suppressions,
)
from outrider.api.answers import CommandShown
from outrider.api.describing import tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import as_id
from outrider.api.presenting import enrolled
from outrider.api.problems import PROBLEM, Answered, CommandNotFound, Late, answered
from outrider.events.account import ChangePlan, IssueApiKey, OpenAccount
from outrider.events.campaign import AddStep, ChangeCampaign, ChangeStep, EnrollImport
from outrider.events.contact import (
    AddContact,
    ChangeContact,
    EraseContact,
    ImportContacts,
    MergeContact,
    SuppressAddress,
)
from outrider.events.credential import AddCredential, ChangeCredential, ReenableCredential
from outrider.events.database import Row
from outrider.events.delivery import ResolveSend
from outrider.events.errors import Refused
from outrider.events.inbound import ReclassifyInbound
from outrider.events.message import Json
from outrider.events.outreach import ChangeOutreach, CreateOutreach
from outrider.events.test_send import SendTest

Present = Callable[[Call, Json], Awaitable[Json]]
SHOWN: Mapping[str, Present] = {
    OpenAccount.__name__: accounts.opened,
    ChangePlan.__name__: accounts.changed,
    IssueApiKey.__name__: accounts.issued,
    EnrollImport.__name__: enrolled,
    ImportContacts.__name__: contact_imports.imported,
    AddContact.__name__: contacts.presented,
    ChangeContact.__name__: contacts.presented,
    MergeContact.__name__: contacts.presented,
    EraseContact.__name__: erasures.presented,
    SendTest.__name__: sending_tests.presented,
    ResolveSend.__name__: sends.presented,
    ReclassifyInbound.__name__: reclassifying.presented,
    SuppressAddress.__name__: suppressions.presented,
    CreateOutreach.__name__: outreaches.presented,
    ChangeOutreach.__name__: outreaches.presented,
}
"""Answers that are joined with people, names and figures whenever they are shown; every other is as it was decided."""
ABOUT: Mapping[str, Present] = {
    ChangeCampaign.__name__: campaigns.presented,
    AddCredential.__name__: credentials.presented,
    ChangeCredential.__name__: credentials.presented,
    ReenableCredential.__name__: credentials.reenabled,
    AddStep.__name__: sequence_steps.presented,
    ChangeStep.__name__: sequence_steps.presented,
}
"""Answers that are made of what the command was about: these get the command."""
NO_CONTENT = 204
KEPT = "kind, request, status, http_status, body_without_people, position"


@get("/commands/{command_id:str}", opt={"rule": {"door": "both"}} | tells(CommandShown))
async def show_command(request: Asked, command_id: str) -> Response[bytes]:
    """accepted, succeeded or rejected, with the status and body that the call would have answered."""
    call, known = request.user, as_id(command_id)
    row = await _find(call, known)
    call.options()
    answer = {"command_id": known, "status": row["status"]}
    if row["status"] == "accepted":
        return call.answer(answer)
    return call.answer({**answer, "http_status": row["http_status"], "body": await _body(call, row)})


async def outcome(call: Call, command_id: UUID) -> Answered:
    """What the call that asked for the command would have answered."""
    row = await _find(call, command_id)
    if row["status"] == "accepted":
        return answered(Late(command_id))
    body = await _body(call, row)
    media_type = PROBLEM if row["status"] == "rejected" else "application/json"
    call.headers["Outrider-Position"] = str(max(row["position"] or 0, call.gateway.reader.position))
    return Answered(row["http_status"], body or {}, media_type)


async def _find(call: Call, command_id: UUID | None) -> Row:
    """The command of the account, or of this asker. Raises CommandNotFound."""
    row = await call.gateway.log_pool.fetchrow(
        f"select {KEPT} from log.commands where command_id = $1 and (account_id = $2 or asker = $3)",  # noqa: S608  # a constant
        command_id,
        call.account_id,
        call.asker,
    )
    if row is None:
        raise CommandNotFound
    return row


async def _body(call: Call, row: Row) -> Json | None:
    """The body of a command that has its verdict; None where there is none to show."""
    await call.reach(row["position"] or 0)
    body: Json = row["body_without_people"] or {}
    if row["status"] == "rejected":
        return body
    if row["http_status"] == NO_CONTENT:
        return None
    try:
        if row["kind"] in ABOUT:
            return await ABOUT[row["kind"]](call, row["request"])
        return await SHOWN[row["kind"]](call, body) if row["kind"] in SHOWN else body
    except Refused:  # what it was about is gone since
        return body


ROUTES = (show_command,)
