"""Correcting: what a verdict that was withdrawn had done to an enrollment is undone. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from outrider.dispatcher.enrollment import Enrollment, Who, enrollment, finish
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentCorrected,
    EnrollmentReplied,
    StepReopened,
    Withdrawn,
)
from outrider.events.inbound import InboundReclassified
from outrider.events.message import Event


@dataclass(frozen=True, slots=True)
class Unsent:
    """A step that is not sent yet."""

    position: int
    attempt: int
    """The next one."""
    credential_id: UUID
    at: datetime
    """When it was planned, or now if that is over."""


@dataclass(frozen=True, slots=True)
class Left:
    """What else decides whether the enrollment may go on."""

    refused: bool
    """A server refused a message of it: it bounced whatever the mailbox says."""
    person: Literal["present", "unsubscribed", "gone"]
    is_running: bool
    """Whether its campaign is still there."""
    steps: Sequence[Unsent]


def correct(who: Who, said: InboundReclassified, left: Left, state: Enrollment) -> Sequence[Event]:
    """What the wrong verdict ended goes on, if nothing else has ended it; what the right one ends has ended.

    EnrollmentCorrected is always recorded, so that whoever asked can see that it was looked at.
    """
    if state.status == "absent":
        return []
    withdrawn = _withdrawn(said, left, state)
    corrected = EnrollmentCorrected(
        enrollment_id=who.enrollment_id,
        campaign_id=who.campaign_id,
        contact_id=who.contact_id,
        inbound=said.inbound,
        withdrawn=withdrawn,
    )
    after = enrollment.evolve(state, corrected)
    ends = _ends(who, said, after)
    stands = after.replied or after.bounced or after.unsubscribed or after.finished or after.stop_reason or ends
    if not withdrawn or stands or left.person != "present" or not left.is_running:
        return [corrected, *ends]
    goes_on = corrected.model_copy(update={"goes_on": True})
    if not left.steps:
        return [goes_on, *finish(who, replace(after, status="scheduled"))]
    return [goes_on, *(_reopened(who, step) for step in left.steps)]


def _withdrawn(said: InboundReclassified, left: Left, state: Enrollment) -> tuple[Withdrawn, ...]:
    found: list[Withdrawn] = []
    if state.replied and said.was == "reply" and (said.reply is None or not said.reply.stops):
        found.append("replied")
    if state.bounced and said.was == "bounce" and said.bounce is None and not left.refused:
        found.append("bounced")
    if state.unsubscribed and said.was == "opt_out" and not said.opted_out and left.person == "present":
        found.append("unsubscribed")
    if state.stop_reason == "complaint" and said.was == "complaint" and not said.complained:
        found.append("complaint")
    return tuple(found)


def _ends(who: Who, said: InboundReclassified, state: Enrollment) -> Sequence[Event]:
    """What stands now and is not recorded yet."""
    found: list[Event] = []
    if said.reply is not None and said.reply.stops and not state.replied:
        found.append(
            EnrollmentReplied(
                enrollment_id=who.enrollment_id,
                campaign_id=who.campaign_id,
                contact_id=who.contact_id,
                credential_id=said.credential_id,
                delivery_id=said.reply.delivery_id,
                step_position=said.reply.position,
                replied_at=said.reply.received_at,
                suspected=said.reply.suspected,
                inbound=said.reply.inbound,
            )
        )
    if said.bounce is not None and not state.bounced:
        found.append(
            EnrollmentBounced(
                enrollment_id=who.enrollment_id,
                campaign_id=who.campaign_id,
                contact_id=who.contact_id,
                credential_id=said.credential_id,
                delivery_id=said.bounce.delivery_id,
                step_position=said.bounce.position,
                kind=said.bounce.kind,
                status_code=said.bounce.status_code,
                reason=said.bounce.reason,
                bounced_at=said.bounce.received_at,
            )
        )
    return found


def _reopened(who: Who, step: Unsent) -> StepReopened:
    return StepReopened(
        enrollment_id=who.enrollment_id,
        campaign_id=who.campaign_id,
        contact_id=who.contact_id,
        credential_id=step.credential_id,
        position=step.position,
        attempt=step.attempt,
        at=step.at,
    )
