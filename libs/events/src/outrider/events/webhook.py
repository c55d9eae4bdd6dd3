"""Webhooks: where an account hears of its events over HTTP. Written only by the api (gateway and webhooks process).

The URL and the sealed secret lie in the vault under the webhook's id: a URL may well hold a token.
"""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from outrider.events.errors import Refused
from outrider.events.message import Event


class WebhookRegistered(Event):
    """Events of these types are delivered from now on."""

    webhook_id: UUID
    event_filters: tuple[str, ...]


class WebhookChanged(Event):
    """It has these filters; where it leads to stands in the vault."""

    webhook_id: UUID
    event_filters: tuple[str, ...]
    url_changed: bool


class WebhookSecretRotated(Event):
    """It signs with a new secret, and with the former one too for a day."""

    webhook_id: UUID
    former_until: AwareDatetime


class WebhookDisabled(Event):
    """Nothing is delivered any more until it is enabled; what was open is kept as failed."""

    webhook_id: UUID
    reason: Literal["gone", "failing"]
    """It answered 410, or nothing but failures for five days."""


class WebhookEnabled(Event):
    """Events are delivered again, those from now on."""

    webhook_id: UUID


class WebhookRemoved(Event):
    """There is no such webhook any more."""

    webhook_id: UUID


class WebhookTestRequested(Event):
    """Somebody wants to see a delivery."""

    webhook_id: UUID
    test_id: UUID


class WebhookRedeliveryRequested(Event):
    """Somebody wants a delivery made again, whatever became of it."""

    webhook_id: UUID
    delivery_id: UUID


class WebhookNotFound(Refused, status=404, code="webhook_not_found"):
    """There is no such webhook."""


class DeliveryNotFound(Refused, status=404, code="delivery_not_found"):
    """There is no such delivery."""


class WebhookIsDisabled(Refused, status=422, code="webhook_disabled"):
    """The webhook is disabled: nothing is delivered to it until it is enabled again."""
