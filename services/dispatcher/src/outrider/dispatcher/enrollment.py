"""Enrollment: one contact's way through one campaign, and what ends it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from outrider.events.aggregate import Aggregate
from outrider.events.campaign import CampaignDeleted
from outrider.events.contact import ContactDeleted, ContactUnsubscribed
from outrider.events.delivery import DeliveryFailed, DeliveryResolved, EmailBounced
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentCorrected,
    EnrollmentCreated,
    EnrollmentFinished,
    EnrollmentNotFound,
    EnrollmentReplied,
    EnrollmentSkipped,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    PlannedStep,
    SkipKind,
    StepReopened,
    StepsScheduled,
    StopReason,
)
from outrider.events.inbound import BounceReceived, ComplaintReceived, OptOutReceived, ReplyReceived
from outrider.events.message import Event


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What is remembered of an enrollment."""

    status: Literal["absent", "pending", "scheduled", "ended"] = "absent"
    replied: bool = False
    bounced: bool = False
    unsubscribed: bool = False
    finished: bool = False
    """It has ended because no step was left."""
    stop_reason: str = ""
    """Why it was stopped or skipped."""


@dataclass(frozen=True, slots=True)
class Who:
    """Which enrollment is meant."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the campaign it waits."""

    batch_number: int
    priority: bool = False
    ordinal: int = 0
    outreach_id: UUID | None = None
    """Within which the contact is kept for it."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What the planner decided for it."""

    dispatch_id: UUID
    batch_number: int
    credential_id: UUID
    times: Sequence[datetime]
    """Of position 1, 2, 3 ..."""
    reason: str


def evolve(state: Enrollment, event: Event) -> Enrollment:  # noqa: PLR0911  # one line an event
    """The state after the event."""
    match event:
        case EnrollmentCreated():
            return replace(state, status="pending")
        case StepsScheduled():
            return replace(state, status="scheduled")
        case EnrollmentReplied():
            return replace(state, status="ended", finished=False, replied=True)
        case EnrollmentBounced():
            return replace(state, status="ended", finished=False, bounced=True)
        case EnrollmentUnsubscribed():
            return replace(state, status="ended", finished=False, unsubscribed=True)
        case EnrollmentFinished():
            return replace(state, status="ended", finished=True)
        case EnrollmentStopped(reason=reason) | EnrollmentSkipped(at_dispatch=True, kind=reason):
            return replace(state, status="ended", finished=False, stop_reason=reason)
        case EnrollmentCorrected():
            return _corrected(state, event)
        case StepReopened():
            return replace(state, status="scheduled", finished=False)
        case _:
            return state


def _corrected(state: Enrollment, event: EnrollmentCorrected) -> Enrollment:
    wrong = set(event.withdrawn)
    return replace(
        state,
        status="scheduled" if event.goes_on else state.status,
        replied=state.replied and "replied" not in wrong,
        bounced=state.bounced and "bounced" not in wrong,
        unsubscribed=state.unsubscribed and "unsubscribed" not in wrong,
        stop_reason="" if "complaint" in wrong else state.stop_reason,
    )


enrollment = Aggregate("enrollment", Enrollment(), evolve)


def enroll(who: Who, place: Place, skip: SkipKind | None, state: Enrollment) -> Sequence[Event]:
    """It waits in its batch; or it is recorded why not, which changes nothing of one that stands."""
    kind = skip if state.status == "absent" else "already_enrolled"
    if kind is not None:
        return [_skipped(who, kind, place.batch_number, at_dispatch=False)]
    return [
        EnrollmentCreated(
            enrollment_id=who.enrollment_id,
            campaign_id=who.campaign_id,
            contact_id=who.contact_id,
            batch_number=place.batch_number,
            priority=place.priority,
            ordinal=place.ordinal,
            outreach_id=place.outreach_id,
        )
    ]


def skip_at_dispatch(who: Who, batch_number: int, kind: SkipKind, state: Enrollment) -> Sequence[Event]:
    """It ends before anything was planned."""
    return [_skipped(who, kind, batch_number, at_dispatch=True)] if state.status == "pending" else []


def schedule(who: Who, plan: Schedule, state: Enrollment) -> Sequence[Event]:
    """Every step has its time."""
    if state.status != "pending":
        return []
    return [
        StepsScheduled(
            enrollment_id=who.enrollment_id,
            campaign_id=who.campaign_id,
            contact_id=who.contact_id,
            credential_id=plan.credential_id,
            batch_number=plan.batch_number,
            dispatch_id=plan.dispatch_id,
            steps=tuple(PlannedStep(position=place, at=at) for place, at in enumerate(plan.times, 1)),
            reason=plan.reason,
        )
    ]


def finish(who: Who, state: Enrollment) -> Sequence[Event]:
    """It came to its end: no step is left, and nothing stopped it."""
    if state.status != "scheduled":
        return []
    return [EnrollmentFinished(enrollment_id=who.enrollment_id, campaign_id=who.campaign_id, contact_id=who.contact_id)]


def stop(who: Who, trigger: Event, cause: UUID, state: Enrollment) -> Sequence[Event]:  # noqa: PLR0911  # one line a rule
    """What `trigger`, recorded with `cause`, makes of the enrollment.

    An answer, a bounce and an opt-out are recorded once, also after the last step went out; everything else only
    ends what still runs.
    """
    runs = state.status in {"pending", "scheduled"}
    match trigger:
        case _ if state.status == "absent":
            return []
        case ReplyReceived():
            return [] if state.replied else [_replied(who, trigger, cause)]
        case EmailBounced() | BounceReceived():
            return [] if state.bounced else [_bounced(who, trigger)]
        case OptOutReceived():
            return [] if state.unsubscribed else [_unsubscribed(who)]
        case ContactUnsubscribed():
            return [_unsubscribed(who)] if runs else []
        case ComplaintReceived():
            return [_stopped(who, "complaint")] if runs else []
        case DeliveryFailed():
            return [_stopped(who, "failed")] if runs else []
        case ContactDeleted():
            return [_stopped(who, "contact_deleted")] if runs else []
        case CampaignDeleted():
            return [_stopped(who, "campaign_deleted")] if runs else []
        case _:
            return []


def reopen(resolved: DeliveryResolved, at: datetime, state: Enrollment) -> Sequence[Event]:
    """The step that was not sent after all is sent again, unless something has ended the enrollment meanwhile."""
    if state.status != "scheduled" and not state.finished:
        return []
    return [
        StepReopened(
            enrollment_id=resolved.enrollment_id,
            campaign_id=resolved.campaign_id,
            contact_id=resolved.contact_id,
            credential_id=resolved.credential_id,
            position=resolved.position,
            attempt=resolved.attempt + 1,
            at=at,
        )
    ]


def stop_suppressed(who: Who, state: Enrollment) -> Sequence[Event]:
    """A step was due while its address was suppressed: no later one is sent either, whatever becomes of that."""
    return [_stopped(who, "suppressed")] if state.status in {"pending", "scheduled"} else []


def delete(who: Who, state: Enrollment) -> Sequence[Event]:
    """Its owner wants nothing more of it sent; what has ended stays as it ended."""
    if state.status == "absent":
        raise EnrollmentNotFound
    return [] if state.status == "ended" else [_stopped(who, "deleted")]


def unsubscribe(who: Who, state: Enrollment) -> Sequence[Event]:
    """The person opted out by a message of this enrollment: recorded also after its last step."""
    return [] if state.status == "absent" or state.unsubscribed else [_unsubscribed(who)]


def _skipped(who: Who, kind: SkipKind, batch_number: int, *, at_dispatch: bool) -> EnrollmentSkipped:
    return EnrollmentSkipped(
        enrollment_id=who.enrollment_id,
        campaign_id=who.campaign_id,
        contact_id=who.contact_id,
        kind=kind,
        at_dispatch=at_dispatch,
        batch_number=batch_number,
    )


def _replied(who: Who, reply: ReplyReceived, cause: UUID) -> EnrollmentReplied:
    return EnrollmentReplied(
        enrollment_id=who.enrollment_id,
        campaign_id=who.campaign_id,
        contact_id=who.contact_id,
        credential_id=reply.credential_id,
        delivery_id=reply.delivery_id,
        step_position=reply.position,
        replied_at=reply.received_at,
        suspected=reply.suspected,
        inbound=cause,
    )


def _bounced(who: Who, bounce: EmailBounced | BounceReceived) -> EnrollmentBounced:
    return EnrollmentBounced(
        enrollment_id=who.enrollment_id,
        campaign_id=who.campaign_id,
        contact_id=who.contact_id,
        credential_id=bounce.credential_id,
        delivery_id=bounce.delivery_id,
        step_position=bounce.position,
        kind=bounce.kind,
        status_code=bounce.status_code,
        reason=bounce.reason,
        bounced_at=bounce.bounced_at if isinstance(bounce, EmailBounced) else bounce.received_at,
    )


def _unsubscribed(who: Who) -> EnrollmentUnsubscribed:
    return EnrollmentUnsubscribed(
        enrollment_id=who.enrollment_id, campaign_id=who.campaign_id, contact_id=who.contact_id
    )


def _stopped(who: Who, reason: StopReason) -> EnrollmentStopped:
    return EnrollmentStopped(
        enrollment_id=who.enrollment_id, campaign_id=who.campaign_id, contact_id=who.contact_id, reason=reason
    )
