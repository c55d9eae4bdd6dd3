"""The do-not-contact list of the account: addresses and whole domains that nothing is mailed to."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from litestar import Response, delete, get, post

from outrider.api.answers_people import SuppressionShown
from outrider.api.bodies_contacts import NewSuppressionBody
from outrider.api.describing import PAGE, tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import as_id
from outrider.events import vault
from outrider.events.contact import SuppressAddress, SuppressionNotFound, UnsuppressAddress
from outrider.events.database import Row
from outrider.events.ids import address_key, domain_key, new_id
from outrider.events.message import Json
from outrider.events.vault import Entry

LIST: Final = """
select suppression_id, position, created_at
from suppressions
where account_id = $1 and position < $2
order by position desc
limit $3
"""
ONE: Final = """
select suppression_id, address_key, position, created_at
from suppressions
where account_id = $1 and suppression_id = $2
"""


@post(
    "/suppressions", status_code=201, opt=tells(SuppressionShown, also={200: SuppressionShown}, body=NewSuppressionBody)
)
async def add_suppression(request: Asked) -> Response[bytes]:
    """Mail nothing to an address or a domain; where that holds already, the suppression that stands is answered."""
    call = request.user
    body = call.body(NewSuppressionBody).suppression
    suppression = new_id()
    kept = {"value": body.value, "reason": body.reason}
    await vault.put(call.gateway.log_pool, [Entry(suppression, "value", call.account_id, "suppression", kept)])
    verdict = await call.ask(
        SuppressAddress(
            command_id=new_id(),
            account_id=call.account_id,
            suppression_id=suppression,
            address_key=_key(call, body.value),
        )
    )
    row = await _find(call, (verdict.body or {})["id"])
    return call.answer((await _rows(call, [row]))[0], verdict.http_status or 201)


@get("/suppressions", opt=tells(rows=SuppressionShown, query=PAGE))
async def list_suppressions(request: Asked) -> Response[bytes]:
    """Everything on the list."""
    call = request.user
    page, _ = call.page()
    rows, cursor = page.cut(await call.gateway.tables.fetch(LIST, call.account_id, page.before, page.more))
    return call.rows(await _rows(call, rows), cursor)


@get("/suppressions/{suppression_id:str}", opt=tells(SuppressionShown))
async def show_suppression(request: Asked, suppression_id: str) -> Response[bytes]:
    """One of them."""
    call = request.user
    row = await _find(call, suppression_id)
    call.options()
    return call.answer((await _rows(call, [row]))[0])


@delete("/suppressions/{suppression_id:str}", status_code=200, opt=tells())
async def lift_suppression(request: Asked, suppression_id: str) -> Response[bytes]:
    """It may be mailed to again."""
    call = request.user
    row = await _find(call, suppression_id)
    call.options()
    await call.ask(
        UnsuppressAddress(
            command_id=new_id(),
            account_id=call.account_id,
            suppression_id=row["suppression_id"],
            address_key=row["address_key"],
        )
    )
    return call.done()


async def presented(call: Call, body: Json) -> Json:
    """The suppression of a command's answer as GET shows it; the answer itself where it is gone."""
    row = await call.gateway.tables.fetchrow(ONE, call.account_id, UUID(body["id"]))
    return body if row is None else (await _rows(call, [row]))[0]


async def _find(call: Call, text: str) -> Row:
    """The suppression's row. Raises SuppressionNotFound."""
    row = await call.gateway.tables.fetchrow(ONE, call.account_id, as_id(text))
    if row is None:
        raise SuppressionNotFound
    return row


async def _rows(call: Call, rows: Sequence[Row]) -> list[Json]:
    ids: list[UUID] = [row["suppression_id"] for row in rows]
    found = await vault.get_many(call.gateway.log_pool, call.account_id, ids, "value")
    return [
        {
            "id": row["suppression_id"],
            "value": found.get(row["suppression_id"], {}).get("value"),
            "reason": found.get(row["suppression_id"], {}).get("reason"),
            "created_at": row["created_at"],
        }
        for row in rows
    ]


def _key(call: Call, value: str) -> str:
    key, account = call.gateway.keys.address_key, call.account_id
    return domain_key(key, account, value[1:]) if value.startswith("@") else address_key(key, account, value)


ROUTES = (add_suppression, list_suppressions, show_suppression, lift_suppression)
