"""`GET /campaigns/:id/export`: a campaign as CSV (RFC 4180), one row for each enrollment, page by page as it is read.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and people choose their names
themselves: such a cell begins with an apostrophe here, which makes it a text.
"""

import csv
import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote
from uuid import UUID

from litestar import Response, get
from litestar.response import Stream

from outrider.api import queries_campaigns
from outrider.api.describing import tells
from outrider.api.enrollments import FIELDS
from outrider.api.gateway import Asked, Call
from outrider.api.paging import NEWEST
from outrider.api.presenting import people
from outrider.events import vault
from outrider.events.database import Row
from outrider.events.ids import domain_of
from outrider.events.message import Json
from outrider.events.tokens import message_id

CSV: Final = "text/csv; charset=utf-8; header=present"
ROWS: Final = 500
"""Read, and kept in memory, at once."""
PERSON: Final = ("email", "first_name", "last_name", "company")
FACTS: Final = (
    *("status", "batch_number", "smtp_credential_id", "steps_sent", "created_at", "sent_at", "opened_at", "clicked_at"),
    *(
        "replied_at",
        "bounced_at",
        "bounce_kind",
        "bounce_code",
        "bounce_reason",
        "unsubscribed_at",
        "finished_at",
        "end_reason",
    ),
    "next_send_at",
)
OF_STEP: Final = ("state", "at", "status_code", "message_id")
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")
"""The last four are the wide forms, which some spreadsheets take alike."""
PAGE: Final = f"""
select {FIELDS}, e.clicked_at, e.bounce_kind, e.bounce_code, coalesce(e.skip_kind, e.stop_reason) as end_reason,
    e.credential_id as smtp_credential_id, e.ended_at as finished_at
from enrollments e
where e.campaign_id = $1 and e.position < $2
order by e.position desc
limit $3
"""  # noqa: S608  # a constant
SENDS: Final = """
select enrollment_id, delivery_id, credential_id, step_position, state, at, status_code
from sends
where enrollment_id = any($1)
"""


@get("/campaigns/{campaign_id:str}/export", opt={"rule": {"stream": True}} | tells(media=["text/csv"]))
async def export(request: Asked, campaign_id: str) -> Response[bytes] | Stream:
    """One row for each enrollment, newest first, with its sends and what became of them."""
    call = request.user
    row = await queries_campaigns.find(call, campaign_id)
    call.options()
    name = await vault.get(call.gateway.log_pool, call.account_id, row["campaign_id"], "name") or {}
    headers = {"Content-Disposition": disposition(row["campaign_id"], name.get("name")), "Cache-Control": "no-store"}
    if call.method == "HEAD":
        return Response(b"", media_type=CSV, headers=headers)
    steps = max((step["position"] for step in row["steps"]), default=0)
    return Stream(_lines(call, row["campaign_id"], steps), media_type=CSV, headers=headers)


def disposition(campaign: UUID, name: str | None) -> str:
    """A file to be kept, under the campaign's name where the program knows how (RFC 6266, RFC 8187), else its id."""
    plain = f'attachment; filename="campaign-{campaign}.csv"'
    return f"{plain}; filename*=UTF-8''{quote(f'{name}.csv', safe='')}" if name else plain


def line(cells: Sequence[object]) -> str:
    """One row; nothing in it is a formula."""
    text = io.StringIO()
    csv.writer(text).writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case str() if value.lstrip(" ").startswith(FORMULAS):
            return f"'{value}"
        case _:
            return str(value)


async def _lines(call: Call, campaign: UUID, steps: int) -> AsyncGenerator[bytes]:
    """The header, then page after page; between two pages nothing is held."""
    numbered = [f"step_{position}_{name}" for position in range(1, steps + 1) for name in OF_STEP]
    yield line(["enrollment_id", "contact_id", *PERSON, *FACTS, *numbered]).encode()
    before = NEWEST
    while rows := await call.gateway.tables.fetch(PAGE, campaign, before, ROWS):
        yield await _page(call, rows, steps)
        before = rows[-1]["position"]


async def _page(call: Call, rows: Sequence[Row], steps: int) -> bytes:
    known = await people(call, {row["contact_id"] for row in rows})
    sends = await call.gateway.tables.fetch(SENDS, [row["enrollment_id"] for row in rows])
    owners = list({send["credential_id"] for send in sends})
    servers = await vault.get_many(call.gateway.log_pool, call.account_id, owners, "server")
    by_step = {(send["enrollment_id"], send["step_position"]): _send(call, send, servers) for send in sends}
    nothing = [None] * len(OF_STEP)
    lines: list[str] = []
    for row in rows:
        person = known.get(row["contact_id"], {})
        cells: list[object] = [row["enrollment_id"], row["contact_id"], *(person.get(name) for name in PERSON)]
        cells += [row[name] for name in FACTS]
        for position in range(1, steps + 1):
            cells += by_step.get((row["enrollment_id"], position), nothing)
        lines.append(line(cells))
    return "".join(lines).encode()


def _send(call: Call, send: Row, servers: Mapping[UUID, Json]) -> list[object]:
    server = servers.get(send["credential_id"])
    named = server and message_id(call.gateway.keys, send["delivery_id"], domain_of(server["from_email"]))
    return [send["state"], send["at"], send["status_code"], named]


ROUTES = (export,)
