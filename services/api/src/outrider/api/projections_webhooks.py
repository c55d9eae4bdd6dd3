"""Webhooks, as they are listed."""

from collections.abc import Sequence

from outrider.api.projection import last_of, tables
from outrider.events.database import Db
from outrider.events.message import Recorded
from outrider.events.webhook import (
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookRegistered,
    WebhookRemoved,
)


@tables.on(WebhookRegistered)
async def webhook_registered(db: Db, events: Sequence[Recorded[WebhookRegistered]]) -> None:
    """The webhooks are listed."""
    for item in events:  # an array of arrays must be rectangular, and there are never many
        await db.execute(
            "insert into webhooks (webhook_id, account_id, event_filters, position, created_at) "
            "values ($1, $2, $3, $4, $5) on conflict do nothing",
            item.event.webhook_id,
            item.account_id,
            list(item.event.event_filters),
            item.position,
            item.business_at,
        )


@tables.on(WebhookChanged)
async def webhook_changed(db: Db, events: Sequence[Recorded[WebhookChanged]]) -> None:
    """They show their filters."""
    for item in last_of(events, lambda event: event.webhook_id):
        await db.execute(
            "update webhooks set event_filters = $2 where webhook_id = $1",
            item.event.webhook_id,
            list(item.event.event_filters),
        )


@tables.on(WebhookDisabled, WebhookEnabled)
async def webhook_disabled_or_enabled(
    db: Db, events: Sequence[Recorded[WebhookDisabled] | Recorded[WebhookEnabled]]
) -> None:
    """They show since when nothing is delivered, and why; or neither."""
    last = list({item.event.webhook_id: item for item in events}.values())
    off = [isinstance(item.event, WebhookDisabled) for item in last]
    await db.execute(
        "update webhooks w set disabled_at = n.at, disabled_reason = n.reason "
        "from unnest($1::uuid[], $2::timestamptz[], $3::text[]) as n (webhook_id, at, reason) "
        "where w.webhook_id = n.webhook_id",
        [item.event.webhook_id for item in last],
        [item.business_at if disabled else None for item, disabled in zip(last, off, strict=True)],
        [item.event.reason if isinstance(item.event, WebhookDisabled) else None for item in last],
    )


@tables.on(WebhookRemoved)
async def webhook_removed(db: Db, events: Sequence[Recorded[WebhookRemoved]]) -> None:
    """They are listed no more."""
    await db.execute("delete from webhooks where webhook_id = any($1)", [item.event.webhook_id for item in events])
