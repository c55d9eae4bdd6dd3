"""Inbound: what a classified message that belongs to a delivery of ours records. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID

from outrider.events.inbound import (
    AutoReplyReceived,
    BounceReceived,
    ComplaintReceived,
    InboundEvent,
    OptOutReceived,
    ReplyReceived,
)
from outrider.reply_watcher.classifying import (
    AutomaticReply,
    Bounce,
    DeliveryNotice,
    FeedbackReport,
    HumanReply,
    OptOut,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Match:
    """The message of ours that was answered."""

    delivery_id: UUID
    enrollment_id: UUID
    campaign_id: UUID
    contact_id: UUID
    credential_id: UUID
    position: int
    suspected: bool = False
    """Sender and subject alone speak for it."""


def stream(match: Match) -> str:
    """Where it is recorded: one stream an enrollment."""
    return f"inbound-{match.enrollment_id}"


def cause_name(mailbox: str, folder: str, uid_validity: int, uid: int) -> str:
    """What names the message for ever; uuid5(account, this) is the cause of its record, so it is recorded once.

    `mailbox` is ``<host>:<port>/<username>``, the host in lower case (RFC 4343). INBOX has no case (RFC 3501 5.1).
    """
    place = "INBOX" if folder.upper() == "INBOX" else folder
    return f"{mailbox}/{place}/{uid_validity}/{uid}"


def observe(verdict: Verdict, match: Match, at: datetime, *, stops_on_suspicion: bool = True) -> Sequence[InboundEvent]:  # noqa: PLR0911  # one line a verdict
    """What the message records; a delivery notice (delayed, delivered, relayed) records nothing.

    Neither does a report that only its sender and subject connect with us: those are the person's, not a program's.
    """
    about: dict[str, Any] = {**asdict(match), "received_at": at}
    match verdict:
        case HumanReply():
            return (ReplyReceived(**about, stops=stops_on_suspicion or not match.suspected),)
        case Bounce() | FeedbackReport() if match.suspected:
            return ()
        case AutomaticReply():
            return (AutoReplyReceived(**about, returns_on=verdict.returns_on),)
        case Bounce():
            return (BounceReceived(**about, kind=verdict.kind, status_code=verdict.status_code, reason=verdict.reason),)
        case OptOut():
            return (OptOutReceived(**about),)
        case FeedbackReport():
            return (ComplaintReceived(**about),)
        case DeliveryNotice():
            return ()
        case _:
            assert_never(verdict)
