"""Quota: what a credential has used up on one UTC day. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from outrider.events.aggregate import Aggregate
from outrider.events.credential import QuotaClaimed, QuotaReleased
from outrider.events.message import Event


@dataclass(frozen=True, slots=True)
class QuotaDay:
    """How many claimed messages count against the limit."""

    counted: int = 0


def evolve(state: QuotaDay, event: Event) -> QuotaDay:
    """Count claims, uncount releases."""
    match event:
        case QuotaClaimed():
            return replace(state, counted=state.counted + event.counted)
        case QuotaReleased():
            return replace(state, counted=state.counted - event.counted)
        case _:
            return state


quota_day = Aggregate("credentialDay", QuotaDay(), evolve)


def day_id(credential: UUID, day: date) -> str:
    """The id of the stream: a credential has one for each UTC day."""
    return f"{credential}+{day.isoformat()}"


def claim(  # noqa: PLR0913  # what the claim records
    credential: UUID, day: date, delivery: UUID, daily_limit: int, state: QuotaDay, *, counted: bool
) -> Sequence[QuotaClaimed]:
    """The claim of one message; nothing where the limit is reached and the message counts against it."""
    if counted and state.counted >= daily_limit:
        return ()
    return (QuotaClaimed(credential_id=credential, day=day, deliveries=(delivery,), counted=int(counted)),)


def release(credential: UUID, day: date, delivery: UUID, *, counted: bool) -> Event:
    """The message was not accepted: its place is free again."""
    return QuotaReleased(credential_id=credential, day=day, deliveries=(delivery,), counted=int(counted))
