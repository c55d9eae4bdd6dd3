"""Enrollment: one contact's way through one campaign. Written only by the dispatcher.

Its id is uuid5(campaign, contact), so that one contact is enrolled in a campaign once at most.
"""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from outrider.events.errors import Refused
from outrider.events.message import Event, Message

SkipKind = Literal[
    "mx_invalid", "cross_campaign_duplicate", "unsubscribed", "bounced", "suppressed", "already_enrolled"
]
BounceKind = Literal["hard", "soft", "block"]
Withdrawn = Literal["replied", "bounced", "unsubscribed", "complaint"]
StopReason = Literal["failed", "deleted", "contact_deleted", "campaign_deleted", "complaint", "suppressed"]


class PlannedStep(Message):
    """When one step is to leave."""

    position: int
    at: AwareDatetime


class EnrollmentCreated(Event):
    """The contact waits in its batch."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    batch_number: int
    priority: bool = False
    ordinal: int = 0
    """The order within its batch, after priority."""
    outreach_id: UUID | None = None
    """Of the reservation that was recorded with it; None: it has none."""


class EnrollmentSkipped(Event):
    """It was not enrolled, or not planned, for this reason; `already_enrolled` leaves the one that stands as it is."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    kind: SkipKind
    at_dispatch: bool = False
    """True: it stood pending and has ended with this; False: it was refused at enrolling."""
    batch_number: int | None = None


class StepsScheduled(Event):
    """Every step has its business time, all through one credential."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    credential_id: UUID
    batch_number: int
    dispatch_id: UUID
    steps: tuple[PlannedStep, ...]
    reason: str
    """Why this credential and these times: of a small set of sentences without names."""


class EnrollmentReplied(Event):
    """The person answered: no later step is sent."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    credential_id: UUID | None
    delivery_id: UUID | None
    """The message answered, as far as it is known."""
    step_position: int | None
    replied_at: AwareDatetime
    suspected: bool = False
    inbound: UUID
    """The cause of the ReplyReceived that led to it; subject and snippet lie in the vault under the contact."""


class EnrollmentBounced(Event):
    """A message was refused, or came back: no later step is sent."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    credential_id: UUID
    delivery_id: UUID | None
    step_position: int | None
    kind: BounceKind
    status_code: str
    reason: str
    """Of a small closed set: user_unknown, mailbox_full, policy ..."""
    bounced_at: AwareDatetime


class EnrollmentUnsubscribed(Event):
    """The person opted out: no later step is sent."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID


class EnrollmentStopped(Event):
    """No later step is sent, for this reason."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    reason: StopReason


class EnrollmentFinished(Event):
    """Every step was sent, and nothing stopped it."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID


class EnrollmentCorrected(Event):
    """A message was taken for something that it is not: what followed from it does not hold any more."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    inbound: UUID
    """The cause of the message's record."""
    withdrawn: tuple[Withdrawn, ...]
    goes_on: bool = False
    """True: nothing else had ended it, and its open steps follow; False: it stands as it stood."""


class StepReopened(Event):
    """The step is to be sent (again): it was not sent after all, or its enrollment goes on. Its Message-ID is the same.

    An enrollment that had finished goes on.
    """

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    credential_id: UUID
    position: int
    attempt: int
    """The next one."""
    at: AwareDatetime
    """When it is due."""


class EnrollmentNotFound(Refused, status=404, code="enrollment_not_found"):
    """There is no such enrollment."""


class ContactAlreadyEnrolled(Refused, status=422, code="contact_already_enrolled"):
    """The contact is enrolled in this campaign already."""


class ContactSkipped(Refused, status=422, code="contact_skipped"):
    """The contact must not be enrolled; `details.kind` says why."""
