"""Reclassifying: a message was taken for something that it is not, and what stands of all answers then. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentReplied,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
)
from outrider.events.inbound import (
    AutoReplyReceived,
    BounceReceived,
    ComplaintReceived,
    InboundEvent,
    InboundEventNotFound,
    InboundReclassified,
    InboundVerdict,
    OptOutReceived,
    ReclassifyInbound,
    ReplyReceived,
    Standing,
    StandingBounce,
)
from outrider.events.message import Event, Recorded


@dataclass(frozen=True, slots=True)
class Heard:
    """One message, and what it is taken for now."""

    position: int
    cause: UUID
    event: InboundEvent
    verdict: InboundVerdict
    by_hand: bool = False
    """Whether somebody has looked at it."""


def heard(history: Sequence[Recorded[Event]]) -> list[Heard]:
    """The messages of an inbound stream in their order, each as what it was last called."""
    found: dict[UUID, Heard] = {}
    for item in history:
        match item.event:
            case InboundReclassified() as said if said.inbound in found:
                found[said.inbound] = replace(found[said.inbound], verdict=said.verdict, by_hand=True)
            case InboundEvent() as event:
                found[item.cause] = Heard(item.position, item.cause, event, _first_verdict(event))
            case _:
                pass
    return list(found.values())


def _first_verdict(event: InboundEvent) -> InboundVerdict:
    match event:
        case AutoReplyReceived():
            return "auto_reply"
        case BounceReceived():
            return "bounce"
        case OptOutReceived():
            return "opt_out"
        case ComplaintReceived():
            return "complaint"
        case _:
            return "reply"


def led_to(ended: Recorded[Event], messages: Sequence[Heard]) -> int | None:
    """The position of the message that led to this event of the enrollment; None where none did."""
    match ended.event:
        case EnrollmentReplied(inbound=cause):
            return next((one.position for one in messages if one.cause == cause), None)
        case EnrollmentBounced(delivery_id=delivery):
            return next(
                (one.position for one in messages if one.verdict == "bounce" and one.event.delivery_id == delivery),
                None,
            )
        case EnrollmentUnsubscribed():
            return next((one.position for one in messages if one.verdict == "opt_out"), None)
        case EnrollmentStopped(reason="complaint"):
            return next((one.position for one in messages if one.verdict == "complaint"), None)
        case _:
            return None


def reclassify(
    command: ReclassifyInbound, position: int, at: datetime, messages: Sequence[Heard]
) -> Sequence[InboundReclassified]:
    """The message at this position is what the command says, and what stands of all of them; nothing if it is so.

    Raises InboundEventNotFound.
    """
    meant = next((one for one in messages if one.position == position), None)
    if meant is None:
        raise InboundEventNotFound
    if meant.verdict == command.verdict and not _is_suspected(meant):
        return []
    now = [replace(one, verdict=command.verdict, by_hand=True) if one is meant else one for one in messages]
    event, before = meant.event, meant.event if isinstance(meant.event, BounceReceived) else None
    return [
        InboundReclassified(
            enrollment_id=event.enrollment_id,
            campaign_id=event.campaign_id,
            contact_id=event.contact_id,
            credential_id=event.credential_id,
            delivery_id=event.delivery_id,
            position=event.position,
            inbound=meant.cause,
            was=meant.verdict,
            verdict=command.verdict,
            was_hard=meant.verdict == "bounce" and (before is None or before.kind == "hard"),
            reply=_reply(now),
            bounce=_bounce(now),
            opted_out=any(one.verdict == "opt_out" for one in now),
            complained=any(one.verdict == "complaint" for one in now),
            at=at,
        )
    ]


def _is_suspected(one: Heard) -> bool:
    return one.verdict == "reply" and one.event.suspected and not one.by_hand


def _reply(messages: Sequence[Heard]) -> Standing | None:
    """The first reply that is sure, or else the first."""
    replies = sorted((one for one in messages if one.verdict == "reply"), key=_is_suspected)
    if not replies:
        return None
    first = replies[0]
    stops = not isinstance(first.event, ReplyReceived) or first.by_hand or first.event.stops
    return Standing(
        inbound=first.cause,
        delivery_id=first.event.delivery_id,
        position=first.event.position,
        received_at=first.event.received_at,
        suspected=_is_suspected(first),
        stops=stops,
    )


def _bounce(messages: Sequence[Heard]) -> StandingBounce | None:
    """The first bounce; of one that only a person calls so it is taken that the address is none."""
    first = next((one for one in messages if one.verdict == "bounce"), None)
    if first is None:
        return None
    told = first.event if isinstance(first.event, BounceReceived) else None
    return StandingBounce(
        inbound=first.cause,
        delivery_id=first.event.delivery_id,
        position=first.event.position,
        received_at=first.event.received_at,
        kind=told.kind if told else "hard",
        status_code=told.status_code if told else "",
        reason=told.reason if told else "other",
    )
