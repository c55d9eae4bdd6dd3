"""Webhooks over HTTP: registering, changing, looking at deliveries, asking for one more."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final
from uuid import UUID, uuid5

from litestar import Response, delete, get, patch, post

from outrider.api.answers_webhooks import (
    DeliveryShown,
    Redelivery,
    SecretRotated,
    TestDelivery,
    WebhookCreated,
    WebhookShown,
)
from outrider.api.bodies_webhooks import ChangedWebhookBody, NewWebhookBody, filters_of
from outrider.api.describing import PAGE, tells
from outrider.api.gateway import Asked, Call
from outrider.api.paging import as_id
from outrider.api.webhook import OVERLAP, ask, change, former_secrets, register, remove, rotate, webhook
from outrider.api.webhooks import signing
from outrider.events import vault
from outrider.events.database import Db, Pool, Row
from outrider.events.ids import new_id
from outrider.events.message import Json
from outrider.events.vault import Entry
from outrider.events.webhook import (
    DeliveryNotFound,
    WebhookIsDisabled,
    WebhookNotFound,
    WebhookRedeliveryRequested,
    WebhookRegistered,
    WebhookSecretRotated,
    WebhookTestRequested,
)

ENDPOINT: Final = "endpoint"
COLUMNS: Final = "webhook_id, event_filters, position, created_at, disabled_at, disabled_reason"
LIST: Final = f"""
select {COLUMNS} from webhooks where account_id = $1 and position < $2 order by position desc limit $3
"""  # noqa: S608  # constants
ONE: Final = f"select {COLUMNS} from webhooks where account_id = $1 and webhook_id = $2"  # noqa: S608  # constants
FAILURES: Final = "select webhook_id, consecutive_failures from endpoints where webhook_id = any($1)"
DELIVERIES: Final = """
select key as id, ordinal as position, data ->> 'type' as event_type, attempts as attempt,
    (data ->> 'status_code')::int as status_code, error,
    case when error is null then done_at end as delivered_at, due_at as created_at
from todos
where kind = 'deliver_webhook' and lane = $1 and ordinal < $2
order by ordinal desc
limit $3
"""
DELIVERY: Final = "select true from todos where kind = 'deliver_webhook' and lane = $1 and key = $2"


@post("/webhooks", status_code=201, opt=tells(WebhookCreated, body=NewWebhookBody, asks=False))
async def register_webhook(request: Asked) -> Response[bytes]:
    """Hear of events from now on; the secret is in the answer, and nowhere else."""
    call = request.user
    body = call.body(NewWebhookBody).webhook
    webhook_id, secret = _derived(call, "webhook"), signing.new_secret()
    await _keep(call.gateway.log_pool, call, webhook_id, {"url": body.url, **_sealed(call, webhook_id, secret)})
    registered = WebhookRegistered(webhook_id=webhook_id, event_filters=filters_of(body.event_filters))
    await call.decide(webhook, webhook_id, partial(register, registered), _derived(call, "registered"))
    row = await _find(call, str(webhook_id))
    return call.answer({**(await _rows(call, [row]))[0], "secret": secret}, 201)


@get("/webhooks", opt=tells(rows=WebhookShown, query=PAGE))
async def list_webhooks(request: Asked) -> Response[bytes]:
    """Every webhook of the account."""
    call = request.user
    page, _ = call.page()
    rows, cursor = page.cut(await call.gateway.tables.fetch(LIST, call.account_id, page.before, page.more))
    return call.rows(await _rows(call, rows), cursor)


@get("/webhooks/{webhook_id:str}", opt=tells(WebhookShown))
async def show_webhook(request: Asked, webhook_id: str) -> Response[bytes]:
    """One of them."""
    call = request.user
    row = await _find(call, webhook_id)
    call.options()
    return call.answer((await _rows(call, [row]))[0])


@patch("/webhooks/{webhook_id:str}", opt=tells(WebhookShown, body=ChangedWebhookBody, asks=False))
async def change_webhook(request: Asked, webhook_id: str) -> Response[bytes]:
    """Lead it elsewhere, filter otherwise, or enable it again."""
    call = request.user
    known: UUID = (await _find(call, webhook_id))["webhook_id"]
    body = call.body(ChangedWebhookBody).webhook
    given = body.model_fields_set
    async with _endpoint(call, known) as (db, endpoint):
        url_changed = "url" in given and body.url != endpoint.get("url")
        if url_changed:
            await _keep(db, call, known, {**endpoint, "url": body.url})
    decide = partial(
        change,
        known,
        filters_of(body.event_filters) if "event_filters" in given else None,
        url_changed=url_changed,
        enable="disabled_at" in given and body.disabled_at is None,
    )
    await call.decide(webhook, known, lambda state: decide(state=state), _derived(call, "changed"))
    row = await _find(call, webhook_id)
    return call.answer((await _rows(call, [row]))[0])


@delete("/webhooks/{webhook_id:str}", status_code=200, opt=tells(asks=False))
async def remove_webhook(request: Asked, webhook_id: str) -> Response[bytes]:
    """Nothing is delivered there any more, and nothing of it is kept."""
    call = request.user
    known: UUID = (await _find(call, webhook_id))["webhook_id"]
    call.options()
    await call.decide(webhook, known, partial(remove, known), _derived(call, "removed"))
    await vault.forget(call.gateway.log_pool, [known])
    return call.done()


@post("/webhooks/{webhook_id:str}/rotate_secret", status_code=200, opt=tells(SecretRotated, asks=False))
async def rotate_secret(request: Asked, webhook_id: str) -> Response[bytes]:
    """Sign with a new secret, and with each former one until its day is over."""
    call = request.user
    known: UUID = (await _find(call, webhook_id))["webhook_id"]
    call.nothing()
    secret, now = signing.new_secret(), call.gateway.clock.real()
    async with _endpoint(call, known) as (db, endpoint):
        former = former_secrets(endpoint, now)
        await _keep(db, call, known, {**endpoint, **_sealed(call, known, secret), "former": former})
    rotated = WebhookSecretRotated(webhook_id=known, former_until=now + OVERLAP)
    await call.decide(webhook, known, partial(rotate, rotated), _derived(call, "rotated"))
    return call.answer({"id": known, "secret": secret})


@post(
    "/webhooks/{webhook_id:str}/test",
    status_code=202,
    opt=tells(TestDelivery, refuses=[WebhookIsDisabled], asks=False),
)
async def test_webhook(request: Asked, webhook_id: str) -> Response[bytes]:
    """Deliver a `webhook.test` now; how that went stands among the deliveries."""
    call = request.user
    known: UUID = (await _find(call, webhook_id))["webhook_id"]
    call.nothing()
    test_id = _derived(call, "test")
    asked = WebhookTestRequested(webhook_id=known, test_id=test_id)
    await call.decide(webhook, known, partial(ask, asked), test_id)
    return call.answer({"id": uuid5(known, str(test_id)), "event_type": "webhook.test"}, 202)


@get("/webhooks/{webhook_id:str}/deliveries", opt=tells(rows=DeliveryShown, query=PAGE))
async def list_deliveries(request: Asked, webhook_id: str) -> Response[bytes]:
    """What was delivered in the last 30 days, and what was not; each with its last attempt."""
    call = request.user
    known: UUID = (await _find(call, webhook_id))["webhook_id"]
    page, _ = call.page()
    rows, cursor = page.cut(await call.gateway.work.fetch(DELIVERIES, known, page.before, page.more))
    shown = [{name: value for name, value in row.items() if name != "position"} for row in rows]
    return call.rows(shown, cursor)


@post(
    "/webhooks/{webhook_id:str}/deliveries/{delivery_id:str}/redeliver",
    status_code=202,
    opt=tells(Redelivery, refuses=[WebhookIsDisabled], asks=False),
)
async def redeliver(request: Asked, webhook_id: str, delivery_id: str) -> Response[bytes]:
    """Deliver it once more, whatever became of it, with as many attempts as at first."""
    call = request.user
    known: UUID = (await _find(call, webhook_id))["webhook_id"]
    delivery = as_id(delivery_id)
    if delivery is None or not await call.gateway.work.fetchval(DELIVERY, known, str(delivery)):
        raise DeliveryNotFound
    call.nothing()
    asked = WebhookRedeliveryRequested(webhook_id=known, delivery_id=delivery)
    await call.decide(webhook, known, partial(ask, asked), _derived(call, "redeliver"))
    return call.answer({"id": delivery}, 202)


async def _find(call: Call, text: str) -> Row:
    """The webhook's row. Raises WebhookNotFound."""
    row = await call.gateway.tables.fetchrow(ONE, call.account_id, as_id(text))
    if row is None:
        raise WebhookNotFound
    return row


async def _rows(call: Call, rows: Sequence[Row]) -> list[Json]:
    ids: list[UUID] = [row["webhook_id"] for row in rows]
    kept = await vault.get_many(call.gateway.log_pool, call.account_id, ids, ENDPOINT)
    failures = {row["webhook_id"]: row["consecutive_failures"] for row in await call.gateway.work.fetch(FAILURES, ids)}
    return [
        {
            "id": row["webhook_id"],
            "url": kept.get(row["webhook_id"], {}).get("url"),
            "event_filters": row["event_filters"],
            "consecutive_failures": failures.get(row["webhook_id"], 0),
            "disabled_at": row["disabled_at"],
            "disabled_reason": row["disabled_reason"],
            "created_at": row["created_at"],
        }
        for row in rows
    ]


@asynccontextmanager
async def _endpoint(call: Call, webhook_id: UUID) -> AsyncGenerator[tuple[Db, Json]]:
    """Where it leads to and what it signs with, sealed, and nobody else's to change until the block ends.

    Raises WebhookNotFound where it was removed just now.
    """
    async with vault.locked(call.gateway.log_pool, call.account_id, webhook_id, [ENDPOINT]) as (db, kept):
        if ENDPOINT not in kept:
            raise WebhookNotFound
        yield db, kept[ENDPOINT]


async def _keep(db: Db | Pool, call: Call, webhook_id: UUID, endpoint: Json) -> None:
    await vault.put(db, [Entry(webhook_id, ENDPOINT, call.account_id, "webhook", endpoint)])


def _sealed(call: Call, webhook_id: UUID, secret: str) -> Json:
    return call.gateway.webhook_sealer.seal(webhook_id, {"secret": secret})


def _derived(call: Call, what: str) -> UUID:
    """The same id for the same request, however often it is sent, where it has an Idempotency-Key."""
    return new_id() if call.held is None else uuid5(call.held.request_id, what)


ROUTES = (
    register_webhook,
    list_webhooks,
    show_webhook,
    change_webhook,
    remove_webhook,
    rotate_secret,
    test_webhook,
    list_deliveries,
    redeliver,
)
