"""Inbound: what came back for an enrollment. Written only by the reply-watcher.

The cause of each is uuid5(account, "<host>:<port>/<username>/<folder>/<uidvalidity>/<uid>"): a message that is scanned
twice records nothing the second time. Subject and snippet lie in the vault under the contact as ``inbound-<cause>``.
"""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from outrider.events.enrollment import BounceKind
from outrider.events.errors import Refused
from outrider.events.message import Command, Event, Message

InboundVerdict = Literal["reply", "auto_reply", "bounce", "opt_out", "complaint", "ignore"]
"""What a message is taken for."""


class InboundEvent(Event):
    """What every event of an inbound message says."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    credential_id: UUID
    delivery_id: UUID | None
    """The message of ours that it answers, as far as it is known."""
    position: int | None
    """The step of that message."""
    received_at: AwareDatetime
    """Business time at which it was found."""
    suspected: bool = False
    """Matched by sender and subject alone."""


class ReplyReceived(InboundEvent):
    """A person answered."""

    stops: bool = True
    """False: it is only suspected, and its campaign goes on nevertheless (`stop_on_suspected_reply`)."""


class BounceReceived(InboundEvent):
    """A message of ours came back."""

    kind: BounceKind
    status_code: str
    reason: str


class AutoReplyReceived(InboundEvent):
    """A program answered (RFC 3834): it stops nothing."""

    returns_on: date | None = None


class OptOutReceived(InboundEvent):
    """A person asked in words not to be written to."""


class ComplaintReceived(InboundEvent):
    """A feedback report (RFC 5965) says that the person called it spam."""

    source: Literal["feedback_report"] = "feedback_report"


class Standing(Message):
    """The reply that stands for an enrollment."""

    inbound: UUID
    """The cause of the message's record."""
    delivery_id: UUID | None
    position: int | None
    received_at: AwareDatetime
    suspected: bool
    stops: bool


class StandingBounce(Message):
    """The bounce that stands for an enrollment."""

    inbound: UUID
    delivery_id: UUID | None
    position: int | None
    received_at: AwareDatetime
    kind: BounceKind
    status_code: str
    reason: str


class InboundReclassified(Event):
    """Somebody has looked at a message, and it is something else; and what stands of all answers after that."""

    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    credential_id: UUID
    delivery_id: UUID | None
    """The message of ours that it answers."""
    position: int | None
    inbound: UUID
    """The cause of the message's record."""
    was: InboundVerdict
    verdict: InboundVerdict
    was_hard: bool
    """Whether it had marked the contact as bounced."""
    reply: Standing | None
    bounce: StandingBounce | None
    opted_out: bool
    complained: bool
    at: AwareDatetime

    @property
    def closes(self) -> str:
        """Why nothing more may be mailed; empty if it may."""
        if self.complained:
            return "complaint"
        if self.opted_out:
            return "unsubscribed"
        if self.bounce is not None:
            return "bounced"
        return "replied" if self.reply is not None and self.reply.stops else ""


class ReclassifyInbound(Command, category="inbound"):
    """The message was taken for something that it is not."""

    enrollment_id: UUID
    event: int
    """The position of its event, or of the one by which it ended the enrollment."""
    verdict: Literal["reply", "auto_reply", "bounce", "ignore"]

    @property
    def target(self) -> str:
        """The enrollment's answers."""
        return f"inbound-{self.enrollment_id}"


class InboundEventNotFound(Refused, status=404, code="event_not_found"):
    """No event at this position of the enrollment came from a message."""
