"""`GET /enrollments/:id/history`: every event of its life in order, with the reason of each decision."""

import re
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from litestar import Response, get

from outrider.api import lives
from outrider.api.answers_people import HistoryRow
from outrider.api.describing import PAGE, tells
from outrider.api.enrollments import find
from outrider.api.gateway import Asked, Call
from outrider.api.reasons import reason_of
from outrider.events import vault
from outrider.events.campaign import StepsRetimed
from outrider.events.delivery import DeliveryEvent, DeliveryResolved, EmailSent
from outrider.events.enrollment import EnrollmentReplied
from outrider.events.ids import domain_of
from outrider.events.inbound import InboundEvent
from outrider.events.message import Event, Json, Recorded
from outrider.events.tokens import message_id

TYPES: Final[Mapping[str, str]] = {
    "StepsScheduled": "scheduled",
    "StepsRetimed": "retimed",
    "StepReopened": "reopened",
    "DeliveryStarted": "claimed",
    "DeliveryDeferred": "deferred",
    "DeliveryFailed": "failed",
    "DeliveryUnknown": "unknown",
    "DeliveryResolved": "resolved",
    "EmailSent": "sent",
    "EmailBounced": "refused",
    "EmailOpened": "opened",
    "LinkClicked": "clicked",
}
"""Types that are no other words for their event's name."""
HIDDEN: Final = {"enrollment_id", "campaign_id", "contact_id", "claim", "inbound", "dispatch_id", "address_key"}
NAMED: Final = {"position": "step_position", "credential_id": "smtp_credential_id", "delivery_id": "send_id"}
WORDS: Final = """
select name, value from log.vault
where owner = $1 and account_id = $2 and (name like 'inbound-%' or name like 'smtp-reply-%')
"""


@get("/enrollments/{enrollment_id:str}/history", opt=tells(rows=HistoryRow, query=PAGE))
async def show_history(request: Asked, enrollment_id: str) -> Response[bytes]:
    """Its whole life, oldest first; people's words are joined from the vault, as long as the person is known."""
    call = request.user
    row = await find(call, enrollment_id)
    page, _ = call.page()
    after = page.before if "cursor" in dict(call.query) else 0
    items = [item for item in await lives.whole(call, row) if item.position > after]
    shown = [_row(item, row["enrollment_id"]) for item in items[: page.limit]]
    await _add_words(call, row["contact_id"], items, shown)
    await _add_message_ids(call, items, shown)
    return call.rows(shown, page.after(shown[-1]["position"]) if len(items) > page.limit else None)


def type_of(event: Event) -> str:
    """What its row is called: `replied` of EnrollmentReplied, `campaign_paused` of CampaignPaused."""
    name = event.name.removeprefix("Enrollment")
    return TYPES.get(event.name) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def about(item: Recorded[Event] | None) -> Json | None:
    """The event as an explanation names it."""
    if item is None:
        return None
    return {"type": type_of(item.event), "at": item.business_at, "position": item.position}


def _row(item: Recorded[Event], enrollment: UUID) -> Json:
    event = item.event
    said = event.as_json()
    row: Json = {"type": type_of(event), "at": item.business_at, "position": item.position}
    if reason := reason_of(event):
        row["reason"] = reason
    if isinstance(event, StepsRetimed):
        steps = [{"position": one.position, "at": one.at} for one in event.steps if one.enrollment_id == enrollment]
        moved = {"smtp_credential_id": event.credentials[enrollment]} if enrollment in event.credentials else {}
        return {**row, "code": event.reason, "steps": steps, **moved}
    code = said.pop("reason", None)
    if code is not None and code != reason:
        row["code"] = code
    due = {"due_at": said.pop("at")} if event.name == "StepReopened" else {}
    shown = {NAMED.get(name, name): value for name, value in said.items() if name not in {*HIDDEN, "at"}}
    return {**shown, **due, **row}


async def _add_words(call: Call, contact: UUID, items: lives.History, shown: list[Json]) -> None:
    """What servers and people wrote stands beside the event that it belongs to."""
    rows = await call.gateway.log_pool.fetch(WORDS, contact, call.account_id)
    words = {row["name"]: row["value"] for row in rows}
    for item, row in zip(items, shown, strict=False):
        match item.event:
            case InboundEvent():
                row.update(_texts(words.get(f"inbound-{item.cause}")))
            case EnrollmentReplied(inbound=inbound):
                row.update(_texts(words.get(f"inbound-{inbound}")))
            case DeliveryEvent(delivery_id=send, attempt=attempt) if row["type"] != "claimed":
                said = words.get(f"smtp-reply-{send}-{attempt}")
                row["smtp_reply"] = said and said.get("reply")
            case _:
                pass


def _texts(words: Json | None) -> Json:
    return {name: words and words.get(name) for name in ("subject", "snippet")}


async def _add_message_ids(call: Call, items: lives.History, shown: list[Json]) -> None:
    """What went out is named as the recipient's program shows it."""
    sent = [
        (row, item.event)
        for item, row in zip(items, shown, strict=False)
        if isinstance(item.event, EmailSent | DeliveryResolved)
    ]
    owners = list({event.credential_id for _, event in sent})
    servers: Mapping[UUID, Json] = await vault.get_many(call.gateway.log_pool, call.account_id, owners, "server")
    for row, event in sent:
        server = servers.get(event.credential_id)
        row["message_id"] = server and message_id(call.gateway.keys, event.delivery_id, domain_of(server["from_email"]))


ROUTES = (show_history,)
