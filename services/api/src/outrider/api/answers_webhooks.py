"""What is answered: webhooks and their deliveries."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from outrider.api.answers import Answer


class WebhookShown(Answer):
    """Where events are delivered."""

    id: UUID
    url: str | None
    event_filters: list[str]
    consecutive_failures: int
    """Attempts that failed since the last one that was taken."""
    disabled_at: datetime | None
    disabled_reason: Literal["gone", "failing"] | None
    """It answered 410, or nothing but failures for five days."""
    created_at: datetime


class WebhookCreated(WebhookShown):
    """A webhook, with its secret this once."""

    secret: str


class SecretRotated(Answer):
    """The new secret, this once. The former one signs too for 24 hours, or until four more rotations."""

    id: UUID
    secret: str


class DeliveryShown(Answer):
    """An event on its way to a webhook, as its last attempt left it."""

    id: UUID
    event_type: str
    attempt: int
    """How many were made, of eight."""
    status_code: int | None
    error: str | None
    delivered_at: datetime | None
    created_at: datetime


class TestDelivery(Answer):
    """A `webhook.test` that is on its way; it is listed among the deliveries."""

    id: UUID
    event_type: Literal["webhook.test"]


class Redelivery(Answer):
    """A delivery that is on its way once more."""

    id: UUID
