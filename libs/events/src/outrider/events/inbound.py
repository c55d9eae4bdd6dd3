"""Inbound: what came back for an enrollment. Written only by the reply-watcher.

The cause of each is uuid5(account, "<host>:<port>/<username>/<folder>/<uidvalidity>/<uid>"): a message that is scanned
twice records nothing the second time. Subject and snippet lie in the vault under the contact as ``inbound-<cause>``.
"""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from outrider.events.enrollment import BounceKind
from outrider.events.message import Event


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
