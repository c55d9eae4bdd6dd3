"""What may become of a webhook: pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from outrider.events.aggregate import Aggregate
from outrider.events.message import Event, Json
from outrider.events.webhook import (
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookIsDisabled,
    WebhookNotFound,
    WebhookRedeliveryRequested,
    WebhookRegistered,
    WebhookRemoved,
    WebhookSecretRotated,
    WebhookTestRequested,
)

OVERLAP: Final = timedelta(hours=24)
"""For so long after a rotation the former secret signs too."""
MOST_FORMER: Final = 4
"""That sign beside the newest: a header of a customer's web server has its limit. The answer says so."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook, as far as decisions need it."""

    stands: bool = False
    enabled: bool = False
    event_filters: tuple[str, ...] = ()


def _evolve(state: Webhook, event: Event) -> Webhook:
    match event:
        case WebhookRegistered():
            return Webhook(stands=True, enabled=True, event_filters=event.event_filters)
        case WebhookChanged():
            return replace(state, event_filters=event.event_filters)
        case WebhookDisabled():
            return replace(state, enabled=False)
        case WebhookEnabled():
            return replace(state, enabled=True)
        case WebhookRemoved():
            return Webhook()
        case _:
            return state


webhook: Final = Aggregate("webhook", Webhook(), _evolve)


def register(registered: WebhookRegistered, state: Webhook) -> Sequence[Event]:
    """It stands, unless it does already."""
    return () if state.stands else (registered,)


def change(
    webhook_id: UUID, filters: tuple[str, ...] | None, *, url_changed: bool, enable: bool, state: Webhook
) -> Sequence[Event]:
    """It is as wished: other filters, another URL, enabled. What stands so already is no event."""
    _standing(state)
    wanted = state.event_filters if filters is None else filters
    events: list[Event] = []
    if url_changed or wanted != state.event_filters:
        events.append(WebhookChanged(webhook_id=webhook_id, event_filters=wanted, url_changed=url_changed))
    if enable and not state.enabled:
        events.append(WebhookEnabled(webhook_id=webhook_id))
    return events


def rotate(rotated: WebhookSecretRotated, state: Webhook) -> Sequence[Event]:
    """It has a new secret."""
    _standing(state)
    return (rotated,)


def former_secrets(endpoint: Json, now: datetime) -> list[Json]:
    """The former secrets of an endpoint, sealed, once it gets a new one; `now` is real time."""
    former = {"sealed": endpoint["sealed"], "until": (now + OVERLAP).isoformat()}
    return [former, *still_signing(endpoint, now)][:MOST_FORMER]


def still_signing(endpoint: Json, now: datetime) -> list[Json]:
    """Of its former secrets, sealed, those whose day is not over."""
    return [one for one in endpoint.get("former", ()) if now < datetime.fromisoformat(one["until"])]


def disable(webhook_id: UUID, reason: Literal["gone", "failing"], state: Webhook) -> Sequence[Event]:
    """Nothing is delivered to it; one that is disabled or gone stays as it is."""
    return (WebhookDisabled(webhook_id=webhook_id, reason=reason),) if state.enabled else ()


def remove(webhook_id: UUID, state: Webhook) -> Sequence[Event]:
    """It is gone; so was one that never stood."""
    return (WebhookRemoved(webhook_id=webhook_id),) if state.stands else ()


def ask(wish: WebhookTestRequested | WebhookRedeliveryRequested, state: Webhook) -> Sequence[Event]:
    """One more delivery is to be made. Raises WebhookIsDisabled."""
    _standing(state)
    if not state.enabled:
        raise WebhookIsDisabled
    return (wish,)


def _standing(state: Webhook) -> None:
    if not state.stands:
        raise WebhookNotFound
