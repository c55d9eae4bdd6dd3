"""What an inbound message can be: a closed set."""

from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

BounceKind = Literal["hard", "soft", "block"]
Reason = Literal[
    "user_unknown",
    "host_unknown",
    "mailbox_full",
    "policy",
    "content",
    "rate_limited",
    "expired",
    "suspended",
    "other",
]


class Cause(NamedTuple):
    """Why a message came back."""

    kind: BounceKind
    reason: Reason


@dataclass(frozen=True)
class FeedbackReport:
    """Somebody called a message spam (RFC 5965)."""

    recipient: str
    """Who did, as far as the report says it; else empty."""


@dataclass(frozen=True)
class Bounce:
    """A message came back for good."""

    recipients: tuple[str, ...]
    """Whom it did not reach; empty where nothing says it."""
    kind: BounceKind
    status_code: str
    """Enhanced status code (RFC 3463), or empty."""
    reason: Reason


@dataclass(frozen=True)
class DeliveryNotice:
    """A mail system tells of a message that did not come back."""

    kind: Literal["delayed", "delivered", "relayed"]


@dataclass(frozen=True)
class AutomaticReply:
    """A program answered in a person's name (RFC 3834)."""

    returns_on: date | None
    """The day that it names for the person's return."""


@dataclass(frozen=True)
class OptOut:
    """A person asks not to be written to."""


@dataclass(frozen=True)
class HumanReply:
    """A person wrote."""

    subject: str
    snippet: str
    """The beginning of what he wrote himself, at most 200 characters on one line."""


Verdict = FeedbackReport | Bounce | DeliveryNotice | AutomaticReply | OptOut | HumanReply
