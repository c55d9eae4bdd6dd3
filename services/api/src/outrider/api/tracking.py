"""Tracking and unsubscribing: public, by signed tokens that name no address. A forged token is unknown: 404."""

from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID, uuid5

from litestar import Response, get, post

from outrider.api.describing import tells
from outrider.api.engagement import Engagement, accepted_at, counts, engagement, record_click, record_open
from outrider.api.gateway import Asked, Call
from outrider.api.idempotency import SERVER_ERRORS
from outrider.api.problems import Late, NotFound, Rejected, ServiceUnavailable
from outrider.events.contact import UnsubscribeContact
from outrider.events.database import passing
from outrider.events.delivery import DeliveryStarted
from outrider.events.engagement import EmailOpened, LinkClicked
from outrider.events.errors import Conflict
from outrider.events.ids import new_id
from outrider.events.message import Event
from outrider.events.telemetry import ENGAGEMENTS_LEFT_OUT, logger
from outrider.events.tokens import Click, Purpose, read_click, read_token

PUBLIC: Final = {"rule": {"door": "public"}}
ONE_CLICK: Final = {"rule": {"door": "public", "any_type": True}}
PIXEL: Final = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>Unsubscribe</title></head>
<body style="font-family:sans-serif;max-width:32em;margin:4em auto;padding:0 1em">{content}</body></html>
"""
QUESTION: Final = '<p>Stop all mails to this address?</p><form method="post"><button>Unsubscribe</button></form>'
DONE: Final = "<p>You will get no more mails.</p>"
SAFE: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
UNSEEN: Final = {"Cache-Control": "no-store, private", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
MESSAGE: Final = """
select account_id, enrollment_id, campaign_id, contact_id, step_position, case when is_send then at end as sent_at
from sends
where delivery_id = $1
"""
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Mailed:
    """The message that a token belongs to."""

    delivery_id: UUID
    account_id: UUID
    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    position: int
    sent_at: datetime | None


@get("/t/o/{name:str}", opt=PUBLIC | tells(media=["image/gif"], refuses=[ServiceUnavailable]))
async def pixel(request: Asked, name: str) -> Response[bytes]:
    """The picture, whatever happens to the record of its having been fetched."""
    call = request.user
    mailed = await _mailed(call, Purpose.OPEN, name.removesuffix(".gif") if name.endswith(".gif") else "")
    if call.method == "GET":
        await _record_open(call, mailed, request.headers.get("user-agent", ""))
    return Response(PIXEL, media_type="image/gif", headers={"Cache-Control": "no-store, private"})


@get("/t/c/{token:str}", opt=PUBLIC | tells(status=302))
async def follow(request: Asked, token: str) -> Response[bytes]:
    """The reader goes where the link led, whatever happens to the record of it; the token itself says where that is.

    So an old mail's links work for ever, and no others do: what we have not signed is unknown.
    """
    call = request.user
    click = read_click(call.gateway.keys, token)
    if click is None:
        raise NotFound
    if call.method == "GET":
        await _record_click(call, click, request.headers.get("user-agent", ""))
    return Response(b"", status_code=302, headers={"Location": click.target, **UNSEEN})


@get("/u/{token:str}", opt=PUBLIC | tells(media=["text/html"], refuses=[ServiceUnavailable]))
async def ask_to_unsubscribe(request: Asked, token: str) -> Response[bytes]:
    """A page that asks: a scanner that follows links unsubscribes nobody."""
    await _mailed(request.user, Purpose.UNSUBSCRIBE, token)
    return _page(QUESTION)


@post(
    "/u/{token:str}",
    status_code=200,
    opt=ONE_CLICK | tells(media=["text/html"], asks=False, refuses=[ServiceUnavailable]),
)
async def unsubscribe(request: Asked, token: str) -> Response[bytes]:
    """The person is not written to any more, as soon as that can be decided. RFC 8058; may be repeated.

    A message asks once, however often its link is used: whoever has the link could make us keep commands without end.
    Only where its command failed is another one asked.
    """
    call = request.user
    mailed = await _mailed(call, Purpose.UNSUBSCRIBE, token)
    for command_id in (uuid5(mailed.delivery_id, "unsubscribe"), new_id()):
        command = UnsubscribeContact(
            command_id=command_id,
            account_id=mailed.account_id,
            contact_id=mailed.contact_id,
            delivery_id=mailed.delivery_id,
        )
        try:
            await call.ask(command)
        except Late:  # it is kept, and does not expire
            _log.info("unsubscribe.late", command_id=str(command_id))
        except Rejected as refusal:
            status = refusal.verdict.http_status or 0
            _log.info("unsubscribe.refused", command_id=str(command_id), status=status)
            if status >= SERVER_ERRORS:
                continue
        return _page(DONE)  # refused or not: a contact that is gone is sent nothing either
    raise ServiceUnavailable


async def _record_open(call: Call, mailed: Mailed, user_agent: str) -> None:
    now = call.gateway.clock.now()
    opened = EmailOpened(
        delivery_id=mailed.delivery_id,
        enrollment_id=mailed.enrollment_id,
        campaign_id=mailed.campaign_id,
        contact_id=mailed.contact_id,
        position=mailed.position,
        opened_at=now,
        counts=counts(user_agent, await _sent_at(call, mailed), now),
    )
    await _record(call, mailed, "open", partial(record_open, opened))


async def _record_click(call: Call, click: Click, user_agent: str) -> None:
    try:
        mailed = await _of_delivery(call, click.delivery)
    except Exception as error:
        if not (isinstance(error, (NotFound, TimeoutError)) or passing(error)):
            raise
        _log.warning("click.lost", delivery_id=str(click.delivery), error=type(error).__name__)
        return
    now = call.gateway.clock.now()
    clicked = LinkClicked(
        delivery_id=mailed.delivery_id,
        enrollment_id=mailed.enrollment_id,
        campaign_id=mailed.campaign_id,
        contact_id=mailed.contact_id,
        position=mailed.position,
        link_number=click.link_number,
        clicked_at=now,
        counts=counts(user_agent, await _sent_at(call, mailed), now),
    )
    await _record(call, mailed, "click", partial(record_click, clicked))


async def _record(call: Call, mailed: Mailed, what: str, decide: Callable[[Engagement], Sequence[Event]]) -> None:
    """It is in the log, or counted where as many are there already; lost, and said so, where that cannot be now."""
    try:
        done = await call.gateway.log.transact(
            mailed.account_id, engagement, mailed.delivery_id, decide, cause=new_id()
        )
    except Exception as error:
        if not (isinstance(error, (Conflict, TimeoutError)) or passing(error)):
            raise
        _log.warning(f"{what}.lost", delivery_id=str(mailed.delivery_id), error=type(error).__name__)
        return
    if not done.events:
        ENGAGEMENTS_LEFT_OUT.labels(what).inc()


async def _sent_at(call: Call, mailed: Mailed) -> datetime | None:
    """When it was accepted, as far as that is known by now: our tables may be behind the log."""
    if mailed.sent_at is not None:
        return mailed.sent_at
    try:
        history = await call.gateway.log.read_stream(None, f"delivery-{mailed.delivery_id}")
    except Exception as error:
        if not (isinstance(error, TimeoutError) or passing(error)):
            raise
        return None
    return accepted_at([item.event for item in history])


async def _mailed(call: Call, purpose: Purpose, text: str) -> Mailed:
    """The message of a genuine token. Raises NotFound."""
    token = read_token(call.gateway.keys, purpose, text)
    if token is None:
        raise NotFound
    return await _of_delivery(call, token.delivery)


async def _of_delivery(call: Call, delivery: UUID) -> Mailed:
    """The message, from our tables or, where they are behind, from the log. Raises NotFound."""
    row = await call.gateway.tables.fetchrow(MESSAGE, delivery)
    if row is not None:
        return Mailed(
            delivery,
            row["account_id"],
            row["enrollment_id"],
            row["campaign_id"],
            row["contact_id"],
            row["step_position"],
            row["sent_at"],
        )
    history = await call.gateway.log.read_stream(None, f"delivery-{delivery}")
    sent_at = accepted_at([item.event for item in history])
    for item in history:
        if isinstance(event := item.event, DeliveryStarted):
            return Mailed(
                delivery,
                item.account_id,
                event.enrollment_id,
                event.campaign_id,
                event.contact_id,
                event.position,
                sent_at,
            )
    raise NotFound


def _page(content: str) -> Response[bytes]:
    html = PAGE.format(content=content).encode()
    return Response(html, media_type="text/html", headers=SAFE)


ROUTES = (pixel, follow, ask_to_unsubscribe, unsubscribe)
