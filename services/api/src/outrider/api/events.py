"""`GET /events`: what happens in the account, live (Server-Sent Events) or as pages."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from litestar import Response, get
from litestar.response import Stream

from outrider.api import queries_campaigns
from outrider.api.answers_people import PublicEventShown
from outrider.api.describing import PAGE, Query, tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import page
from outrider.api.problems import Unauthorized
from outrider.api.public_events import TYPES, PublicEvent, unknown_filters
from outrider.api.streaming import BATCH, Wish
from outrider.events.campaign import CampaignNotFound
from outrider.events.errors import ValidationFailed

WISHES: Final = (
    Query("types", "A comma list of `*`, `enrollment.*` and the like, and types."),
    Query("campaign_id", "What is about this campaign alone."),
    Query(
        "after",
        "Everything behind this event; 0 is everything. `Last-Event-ID` says the same.",
        {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
    ),
    Query("limit", "Of a page alone: with `Accept: application/json`.", PAGE[0].schema),
)
STREAM: Final = "text/event-stream"
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_POSITION: Final = re.compile(r"[0-9]{1,18}")


@get(
    "/events",
    opt={"rule": {"stream": True}}
    | tells(rows=PublicEventShown, media=[STREAM], query=WISHES, refuses=[CampaignNotFound]),
)
async def list_events(request: Asked) -> Response[bytes] | Stream:
    """Live from now on, or from behind `after` or `Last-Event-ID`; with `Accept: application/json` one page."""
    call = request.user
    accepted = request.headers.get("accept", "")
    as_page = "application/json" in accepted and STREAM not in accepted
    options = call.options("types", "campaign_id", "after", *(("limit",) if as_page else ()))
    after = _position("after", options.get("after"))
    if after is None:
        after = _position("Last-Event-ID", request.headers.get("last-event-id"))
    wish = await _wish(call, options)
    if as_page:
        return await _page(call, wish, after or 0, page(options).limit)
    if call.method == "HEAD":
        return Response(b"", media_type=STREAM, headers=HEADERS)
    if call.asker is None:
        raise Unauthorized
    chunks = call.gateway.streams.open(call.account_id, call.asker, wish, after)
    return Stream(chunks, media_type=STREAM, headers=HEADERS)


async def _page(call: Call, wish: Wish, after: int, limit: int) -> Response[bytes]:
    """At most `limit` events after that position, oldest first; the next page is in Link while there is one."""
    until = call.gateway.reader.position
    found: list[PublicEvent] = []
    reached = after
    while len(found) <= limit and reached < until:
        events, reached = await call.gateway.showing.read(call.account_id, reached, until, BATCH)
        found += [event for event in events if wish.matches(event)]
    shown = found[:limit]
    if len(found) > limit:
        call.link_next("after", str(shown[-1].position))
    return call.answer([event.payload for event in shown])


async def _wish(call: Call, options: Mapping[str, str]) -> Wish:
    types: Sequence[str] = [one.strip() for one in options.get("types", "*").split(",")]
    if unknown := unknown_filters(types):
        known = ", ".join(("*", "enrollment.*", *TYPES))
        raise ValidationFailed([{"field": "types", "message": f"{unknown[0]!r} is none of {known}"}])
    campaign: UUID | None = None
    if "campaign_id" in options:
        campaign = (await queries_campaigns.find(call, options["campaign_id"]))["campaign_id"]
    return Wish(types, campaign)


def _position(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not _POSITION.fullmatch(text):
        raise ValidationFailed([{"field": name, "message": "must be the id of an event, or 0"}])
    return int(text)


ROUTES = (list_events,)
