"""Delivery: one step to one person. What may be claimed, and what each outcome of SMTP leads to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, assert_never
from uuid import UUID

from outrider.events.aggregate import Aggregate
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryFailed,
    DeliveryResolved,
    DeliveryStarted,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
    SendAlreadyResolved,
    SendInFlight,
    SendNotFound,
    SendStep,
)
from outrider.events.enrollment import BounceKind
from outrider.events.message import Event

FIRST_RETRY_SECONDS = 30
LONGEST_RETRY_SECONDS = 3 * 3600
GIVE_UP = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the delivery stands."""

    status: Literal["absent", "started", "deferred", "sent", "bounced", "failed", "unknown"] = "absent"
    attempt: int = 0
    """The newest, claimed or given up."""
    started: DeliveryStarted | None = None
    """The newest claim."""
    first_attempt_at: datetime | None = None
    """From when its 24 hours count: what keeps us from the recipient's server begins them anew."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The server took it."""

    status_code: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The server refused the recipient or the content for good."""

    kind: BounceKind
    status_code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """The message certainly did not go out, and may be tried again."""

    by: Literal["recipient_server", "host", "credential", "not_begun"]
    status_code: str = ""


@dataclass(frozen=True, slots=True)
class Unrenderable:
    """The template cannot be rendered for this person: trying again would not help."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Whether the server took it cannot be known."""

    reason: Literal["lost_after_data", "shutdown", "no_outcome"]


Outcome = Sent | Refused | Postponed | Unrenderable | Lost


def evolve(state: Delivery, event: Event) -> Delivery:  # noqa: PLR0911  # one return an event
    """Follow the claims and their outcomes."""
    match event:
        case DeliveryStarted():
            return replace(state, status="started", attempt=event.attempt, started=event)
        case EmailSent():
            return replace(state, status="sent")
        case EmailBounced():
            return replace(state, status="bounced")
        case DeliveryDeferred():
            return replace(state, status="deferred", attempt=event.attempt, first_attempt_at=event.first_attempt_at)
        case DeliveryFailed():
            return replace(state, status="failed")
        case DeliveryUnknown():
            return replace(state, status="unknown")
        case DeliveryResolved():
            return replace(state, status="sent" if event.outcome == "sent" else "deferred")
        case _:
            return state


delivery = Aggregate("delivery", Delivery(), evolve)


def start(  # noqa: PLR0913  # what the claim records
    job: SendStep, claim: UUID, now: datetime, template_version: int, state: Delivery, *, counted: bool
) -> Sequence[DeliveryStarted]:
    """The claim of this attempt; nothing unless the delivery is new or was put off after the attempt before."""
    if not _is_next(job.attempt, state):
        return ()
    return (
        DeliveryStarted(
            **_about(job),
            claim=claim,
            day=now.date(),
            counted=counted,
            template_version=template_version,
            planned_at=job.planned_at,
        ),
    )


def settle(outcome: Outcome, now: datetime, jitter: float, state: Delivery) -> Sequence[Event]:
    """What the outcome of the newest claim leads to; an outcome that stands is never replaced.

    `jitter` is a fraction between -1 and 1. Only a server's word, however late, settles what was given up as unknown:
    everybody has gone on as if it was sent, so nothing else may put it back.
    """
    late = state.status == "unknown"
    if state.started is None or not (state.status == "started" or (late and isinstance(outcome, Sent | Refused))):
        return ()
    return (_settled(outcome, state.started, now, jitter, state),)


def _settled(outcome: Outcome, started: DeliveryStarted, now: datetime, jitter: float, state: Delivery) -> Event:
    about = _about(started)
    match outcome:
        case Sent(code):
            late = state.status == "unknown"
            return EmailSent(**about, planned_at=started.planned_at, sent_at=now, status_code=code, late=late)
        case Refused(kind, code, reason):
            return EmailBounced(**about, kind=kind, status_code=code, reason=reason, bounced_at=now)
        case Unrenderable():
            return DeliveryFailed(**about, status_code="5.6.0")
        case Lost(reason):
            return DeliveryUnknown(**about, reason=reason, at=now)
        case Postponed(by, code):
            charged = state.first_attempt_at if by == "recipient_server" else None
            if charged is not None and now - charged >= GIVE_UP:
                return DeliveryFailed(**about, status_code=code)
            return _deferred(outcome, started, charged or now, now, jitter)
        case _:
            assert_never(outcome)


def resolve(outcome: Literal["sent", "not_sent"], now: datetime, state: Delivery) -> Sequence[Event]:
    """What was unknown is settled: as sent, or as not sent, so that it may be claimed once more.

    Raises SendNotFound, SendInFlight while an outcome may still come, SendAlreadyResolved where one stands.
    """
    if state.started is None:
        raise SendNotFound
    if state.status == "started":
        raise SendInFlight
    if state.status != "unknown":
        raise SendAlreadyResolved
    return (DeliveryResolved(**_about(state.started), outcome=outcome, at=now),)


def restore(claim: DeliveryStarted, now: datetime, state: Delivery, *, mailed: bool) -> Sequence[Event]:
    """It is unknown, since a backup has lost what became of it; `mailed`: a mail server's log says that it was sent.

    Nothing where an outcome stands. `claim` is recorded in the place of a lost one; where one stands, that is meant.
    """
    if state.status == "started" and state.started is not None:
        started, events = state.started, list[Event]()
    elif _is_next(claim.attempt, state):
        started, events = claim, list[Event]([claim])
    else:
        return ()
    about = _about(started)
    events.append(DeliveryUnknown(**about, reason="restored", at=now))
    if mailed:
        events.append(DeliveryResolved(**about, outcome="sent", at=now))
    return events


def give_up(claim: DeliveryStarted, now: datetime, jitter: float, state: Delivery) -> Sequence[DeliveryDeferred]:
    """The attempt has ended without a claim; nothing where it was claimed, or ended, already.

    For a claim of which it is not known whether it was recorded: recorded under the claim's own cause, this keeps it
    from ever being recorded later, when nobody would act on it.
    """
    if not _is_next(claim.attempt, state):
        return ()
    return (_deferred(Postponed("not_begun"), claim, now, now, jitter),)


def _is_next(attempt: int, state: Delivery) -> bool:
    """Whether this attempt may be claimed: the delivery is new, or was put off at the attempt before."""
    return state.status in {"absent", "deferred"} and attempt == state.attempt + 1


def _deferred(
    why: Postponed, claim: DeliveryStarted, first_attempt_at: datetime, now: datetime, jitter: float
) -> DeliveryDeferred:
    return DeliveryDeferred(
        **_about(claim),
        by=why.by,
        status_code=why.status_code,
        not_before=now + timedelta(seconds=round(delay_seconds(claim.attempt, jitter))),
        first_attempt_at=first_attempt_at,
    )


def delay_seconds(attempt: int, jitter: float) -> float:
    """Wait after this attempt: 30, 60, 120 ... capped at 3 h, each changed by up to a fifth by `jitter` (-1 .. 1)."""
    doubled: float = FIRST_RETRY_SECONDS * 2.0 ** min(attempt - 1, 20)
    return min(LONGEST_RETRY_SECONDS, doubled) * (1 + jitter / 5)


def frees_quota(event: Event) -> bool:
    """Whether this outcome gives the claimed place back: only what a server took, or may have taken, keeps it."""
    return isinstance(event, EmailBounced | DeliveryDeferred | DeliveryFailed)


def _about(what: SendStep | DeliveryStarted) -> dict[str, Any]:
    """The ids that every event of a delivery says."""
    return {
        "delivery_id": what.delivery_id,
        "enrollment_id": what.enrollment_id,
        "campaign_id": what.campaign_id,
        "contact_id": what.contact_id,
        "credential_id": what.credential_id,
        "position": what.position,
        "attempt": what.attempt,
    }
