"""Which deliveries there are: the to-dos that events lead to, one per event and endpoint.

A delivery's lane is its endpoint; its owner is the enrollment at that endpoint and its ordinal the event's position, so
that nobody hears of an enrollment's events in another order.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid5

from outrider.api.public_events import SOURCES, named, public_id
from outrider.events import todo
from outrider.events.database import Db
from outrider.events.message import Event, Recorded
from outrider.events.projector import Projection
from outrider.events.todo import Todo
from outrider.events.webhook import (
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookRedeliveryRequested,
    WebhookRegistered,
    WebhookRemoved,
    WebhookTestRequested,
)

KIND: Final = "deliver_webhook"
TEST: Final = "webhook.test"
ENDPOINTS: Final = """
select webhook_id, account_id, event_filters from endpoints where enabled and account_id = any($1::uuid[])
"""
CLOSE: Final = """
update todos set done_at = clock_timestamp(), error = $2
where kind = 'deliver_webhook' and lane = any($1::uuid[]) and done_at is null
"""
REOPEN: Final = """
update todos set done_at = null, attempts = 0, not_before = null, leased_by = null, error = null
where kind = 'deliver_webhook' and key = $1 and lane = $2 and (done_at is not null or leased_by is null)
"""
deliveries: Final = Projection("api.webhooks.v1")


@deliveries.on(WebhookRegistered)
async def webhook_registered(db: Db, events: Sequence[Recorded[WebhookRegistered]]) -> None:
    """It hears of what is recorded from now on."""
    for item in events:  # an array of arrays must be rectangular, and there are never many
        await db.execute(
            "insert into endpoints (webhook_id, account_id, event_filters) values ($1, $2, $3) on conflict do nothing",
            item.event.webhook_id,
            item.account_id,
            list(item.event.event_filters),
        )


@deliveries.on(WebhookChanged)
async def webhook_changed(db: Db, events: Sequence[Recorded[WebhookChanged]]) -> None:
    """It hears of other events; elsewhere it may go better at once."""
    for item in events:
        await db.execute(
            "update endpoints set event_filters = $2, rests_until = null where webhook_id = $1",
            item.event.webhook_id,
            list(item.event.event_filters),
        )


@deliveries.on(WebhookDisabled)
async def webhook_disabled(db: Db, events: Sequence[Recorded[WebhookDisabled]]) -> None:
    """What is open is kept as failed."""
    ids = [item.event.webhook_id for item in events]
    await db.execute("update endpoints set enabled = false where webhook_id = any($1)", ids)
    await db.execute(CLOSE, ids, "the webhook was disabled")


@deliveries.on(WebhookEnabled)
async def webhook_enabled(db: Db, events: Sequence[Recorded[WebhookEnabled]]) -> None:
    """It begins anew."""
    await db.execute(
        "update endpoints set enabled = true, consecutive_failures = 0, failing_since = null, rests_until = null "
        "where webhook_id = any($1)",
        [item.event.webhook_id for item in events],
    )


@deliveries.on(WebhookRemoved)
async def webhook_removed(db: Db, events: Sequence[Recorded[WebhookRemoved]]) -> None:
    """Nothing is left of it."""
    ids = [item.event.webhook_id for item in events]
    await db.execute("delete from endpoints where webhook_id = any($1)", ids)
    await db.execute("delete from todos where kind = $1 and lane = any($2)", KIND, ids)


@deliveries.on(WebhookTestRequested)
async def webhook_test_requested(db: Db, events: Sequence[Recorded[WebhookTestRequested]]) -> None:
    """The endpoint gets a test."""
    await todo.add(db, [_todo(item, item.event.webhook_id, TEST, item.event.test_id, None) for item in events])


@deliveries.on(WebhookRedeliveryRequested)
async def webhook_redelivery_requested(db: Db, events: Sequence[Recorded[WebhookRedeliveryRequested]]) -> None:
    """The delivery is open again, as if nothing had been tried; one that is being made is made only once."""
    for item in events:
        await db.execute(REOPEN, str(item.event.delivery_id), item.event.webhook_id)


@deliveries.on(*SOURCES)
async def happened(db: Db, events: Sequence[Recorded[Event]]) -> None:
    """Every endpoint that wants to hear of it gets a delivery."""
    endpoints = await db.fetch(ENDPOINTS, list({item.account_id for item in events}))
    if not endpoints:
        return
    found: list[Todo] = []
    for item in events:
        if (said := named(item)) is None:
            continue
        kind, data = said
        wishes = {"*", kind, f"{kind.partition('.')[0]}.*"}
        found += [
            _todo(item, row["webhook_id"], kind, public_id(item), data.get("enrollment_id"))
            for row in endpoints
            if row["account_id"] == item.account_id and not wishes.isdisjoint(row["event_filters"])
        ]
    await todo.add(db, found)


def _todo(item: Recorded[Event], webhook: UUID, kind: str, message: UUID, enrollment: UUID | None) -> Todo:
    return Todo(
        KIND,
        str(uuid5(webhook, str(message))),
        item.account_id,
        item.business_at,
        owner=uuid5(webhook, str(enrollment)) if enrollment else None,
        lane=webhook,
        ordinal=item.position,
        data={"type": kind, "message": str(message)},
        trace=item.trace,
    )
