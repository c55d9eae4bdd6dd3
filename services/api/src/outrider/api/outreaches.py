"""Outreaches: campaigns that share their contacts."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from litestar import Response, delete, get, patch, post

from outrider.api import queries_campaigns
from outrider.api.answers import OutreachRow, OutreachShown
from outrider.api.bodies import Body, Name
from outrider.api.describing import PAGE, tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import as_id
from outrider.events import vault
from outrider.events.database import Row
from outrider.events.ids import new_id
from outrider.events.message import Json
from outrider.events.outreach import ChangeOutreach, CreateOutreach, DeleteOutreach, OutreachNotEmpty, OutreachNotFound
from outrider.events.vault import Entry

LIST: Final = """
select outreach_id, position, unique_contacts, created_at
from outreaches
where account_id = $1 and position < $2
order by position desc
limit $3
"""
ONE: Final = """
select outreach_id, position, unique_contacts, created_at
from outreaches
where account_id = $1 and outreach_id = $2
"""
CAMPAIGNS: Final = """
select campaign_id, position, status, created_at
from campaigns
where account_id = $1 and settings ->> 'outreach_id' = $2 and deleted_at is null
order by position desc
"""
TOTALS: Final = """
select coalesce(sum(n.pending), 0)::bigint as pending, coalesce(sum(n.sent), 0)::bigint as sent,
    coalesce(sum(n.opened), 0)::bigint as opened, coalesce(sum(n.replied), 0)::bigint as replied,
    coalesce(sum(n.bounced), 0)::bigint as bounced
from campaigns c
join campaign_counts n using (campaign_id)
where c.account_id = $1 and c.settings ->> 'outreach_id' = $2 and c.deleted_at is null
"""


class NewOutreach(Body):
    """An outreach to create."""

    shown = frozenset({"id", "created_at", "totals", "campaigns"})

    name: Name
    unique_contacts: bool = False


class NewOutreachBody(Body):
    """POST /outreaches."""

    outreach: NewOutreach


class ChangedOutreach(NewOutreach):
    """What may be changed of an outreach; what is left out stays."""

    name: Name = ""


class ChangedOutreachBody(Body):
    """PATCH /outreaches/:id."""

    outreach: ChangedOutreach


@post("/outreaches", status_code=201, opt=tells(OutreachRow, body=NewOutreachBody))
async def create_outreach(request: Asked) -> Response[bytes]:
    """Create an outreach."""
    call = request.user
    body = call.body(NewOutreachBody).outreach
    outreach = new_id()
    await _name(call, outreach, body.name)
    await call.ask(
        CreateOutreach(
            command_id=new_id(),
            account_id=call.account_id,
            outreach_id=outreach,
            unique_contacts=body.unique_contacts,
        )
    )
    return call.answer((await _rows(call, [await find(call, str(outreach))]))[0], 201)


@get("/outreaches", opt=tells(rows=OutreachRow, query=PAGE))
async def list_outreaches(request: Asked) -> Response[bytes]:
    """Every outreach of the account."""
    call = request.user
    page, _ = call.page()
    rows, cursor = page.cut(await call.gateway.tables.fetch(LIST, call.account_id, page.before, page.more))
    return call.rows(await _rows(call, rows), cursor)


@get("/outreaches/{outreach_id:str}", opt=tells(OutreachShown))
async def show_outreach(request: Asked, outreach_id: str) -> Response[bytes]:
    """One outreach with its campaigns, and what they add up to."""
    call = request.user
    row = await find(call, outreach_id)
    call.options()
    return call.answer(await _shown(call, row))


@patch("/outreaches/{outreach_id:str}", opt=tells(OutreachShown, body=ChangedOutreachBody))
async def change_outreach(request: Asked, outreach_id: str) -> Response[bytes]:
    """Change its name, or whether its campaigns may have the same contact; what is left out stays."""
    call = request.user
    row = await find(call, outreach_id)
    body = call.body(ChangedOutreachBody).outreach
    outreach: UUID = row["outreach_id"]
    if "name" in body.model_fields_set:
        await _name(call, outreach, body.name)
    if "unique_contacts" in body.model_fields_set and body.unique_contacts != row["unique_contacts"]:
        await call.ask(
            ChangeOutreach(
                command_id=new_id(),
                account_id=call.account_id,
                outreach_id=outreach,
                unique_contacts=body.unique_contacts,
            )
        )
    return call.answer(await _shown(call, await find(call, outreach_id)))


@delete("/outreaches/{outreach_id:str}", status_code=200, opt=tells(refuses=[OutreachNotEmpty]))
async def delete_outreach(request: Asked, outreach_id: str) -> Response[bytes]:
    """It is gone, if no campaign refers to it."""
    call = request.user
    row = await find(call, outreach_id)
    call.options()
    command = DeleteOutreach(command_id=new_id(), account_id=call.account_id, outreach_id=row["outreach_id"])
    await call.ask(command)
    return call.done()


async def presented(call: Call, body: Json) -> Json:
    """The outreach of a command's answer as a list shows it; the answer itself where it is gone."""
    row = await call.gateway.tables.fetchrow(ONE, call.account_id, UUID(body["id"]))
    return body if row is None else (await _rows(call, [row]))[0]


async def find(call: Call, text: str) -> Row:
    """The outreach of the account. Raises OutreachNotFound."""
    row = await call.gateway.tables.fetchrow(ONE, call.account_id, as_id(text))
    if row is None:
        raise OutreachNotFound
    return row


async def _name(call: Call, outreach: UUID, name: str) -> None:
    await vault.put(call.gateway.log_pool, [Entry(outreach, "name", call.account_id, "outreach", {"name": name})])


async def _rows(call: Call, rows: Sequence[Row]) -> list[Json]:
    names = await vault.get_many(call.gateway.log_pool, call.account_id, [row["outreach_id"] for row in rows], "name")
    return [
        {
            "id": row["outreach_id"],
            "name": names.get(row["outreach_id"], {}).get("name"),
            "unique_contacts": row["unique_contacts"],
            "created_at": row["created_at"],
        }
        for row in rows
    ]


async def _shown(call: Call, row: Row) -> Json:
    tables, outreach = call.gateway.tables, str(row["outreach_id"])
    totals = await tables.fetchrow(TOTALS, call.account_id, outreach)
    campaigns = await tables.fetch(CAMPAIGNS, call.account_id, outreach)
    return {
        **(await _rows(call, [row]))[0],
        "totals": dict(totals or {}),
        "campaigns": await queries_campaigns.listed(call, campaigns),
    }


ROUTES = (create_outreach, list_outreaches, show_outreach, change_outreach, delete_outreach)
