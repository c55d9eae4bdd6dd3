"""What is answered: contacts, imports, suppressions, enrollments, sends, events."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import ConfigDict

from outrider.api.answers import Answer

SkipKind = Literal[
    "mx_invalid", "cross_campaign_duplicate", "unsubscribed", "bounced", "suppressed", "already_enrolled"
]


class ContactShown(Answer):
    """A person."""

    id: UUID
    email: str | None
    first_name: str | None
    last_name: str | None
    company: str | None
    timezone: str | None
    """A name of the IANA database."""
    custom: dict[str, str | bool | float | None]
    """Fields of your own, for `{{custom.<name>}}`."""
    unsubscribed_at: datetime | None
    bounced_at: datetime | None
    """Since when nothing is mailed to it: a message bounced for good, or its domain takes no mail."""
    bounce_reason: str | None
    created_at: datetime


class ImportShown(Answer):
    """An import of contacts. `record_count`, `skipped` and `rejected` add up to the rows read."""

    id: UUID
    name: str | None
    status: Literal["processing", "completed", "failed"]
    record_count: int
    """Contacts that it added."""
    contact_count: int
    """Of these, those still there."""
    skipped: int
    """Rows with an address that was there already."""
    rejected: int
    """Rows that cannot be taken."""
    created_at: datetime


class Reject(Answer):
    """A row that could not be taken."""

    line: int
    email: str | None
    reason: str


class SuppressionShown(Answer):
    """An address, or `@` and a domain, that nothing is mailed to."""

    id: UUID
    value: str | None
    reason: str | None
    created_at: datetime


class Skip(Answer):
    """Somebody who was not enrolled."""

    contact_id: UUID
    email: str | None
    reason: str
    kind: SkipKind


class SkipRow(Skip):
    """Somebody who was not enrolled, or not mailed, and when."""

    created_at: datetime


class Enrolled(Answer):
    """What became of an import that was enrolled."""

    enrolled: int
    batches: int
    batch_size: int
    first_batch_number: int | None
    """Null where nobody was enrolled."""
    skipped: list[Skip]
    """The first 1000."""
    skipped_count: int


class ContactEnrolled(Answer):
    """An enrollment as it begins."""

    id: UUID
    contact_id: UUID
    batch_number: int
    status: Literal["pending"]


class EnrollmentRow(Answer):
    """One person in one campaign."""

    id: UUID
    contact_id: UUID
    smtp_credential_id: UUID | None
    """Through which it is mailed; null before it is planned."""
    status: Literal[
        "pending", "scheduled", "sent", "opened", "replied", "bounced", "unsubscribed", "skipped", "failed", "stopped"
    ]
    """The furthest of what was reached, or the end."""
    batch_number: int
    steps_sent: int
    sent_at: datetime | None
    """Of the first message."""
    opened_at: datetime | None
    replied_at: datetime | None
    bounced_at: datetime | None
    bounce_reason: str | None
    unsubscribed_at: datetime | None
    next_send_at: datetime | None
    finished_at: datetime | None
    """Since when no step is left."""
    created_at: datetime


class EnrollmentShown(EnrollmentRow):
    """An enrollment with its campaign and address."""

    campaign_id: UUID
    email: str | None


class ReplyRow(Answer):
    """An answer to a message."""

    enrollment_id: UUID
    contact_id: UUID
    email: str | None
    step_position: int | None
    """The step that was answered, where it is known."""
    replied_at: datetime
    hours_to_reply: float | None
    """From the message answered."""
    suspected: bool
    """Whether only its sender and subject connect it with the message."""
    subject: str | None
    snippet: str | None


class SendRow(Answer):
    """A message that was claimed, and how it stands."""

    id: UUID
    enrollment_id: UUID
    step_position: int
    smtp_credential_id: UUID
    message_id: str | None
    state: Literal["started", "sent", "bounced", "deferred", "failed", "unknown"]
    smtp_reply: str | None
    at: datetime


class PublicEventShown(Answer):
    """Something that happened."""

    id: UUID
    type: str
    """`enrollment.sent` and so on: see the README."""
    created_at: datetime
    account_id: UUID
    data: dict[str, Any]
    """`position` orders events; ids, times and addresses go with the type."""


class ErasureAsked(Answer):
    """A person who is forgotten."""

    contact_id: UUID
    erased_at: datetime | None


class ErasureShown(Answer):
    """The proof that a person is forgotten."""

    contact_id: UUID
    erased_at: datetime
    removed: dict[str, int]
    """How many values of each kind."""
    kept: list[str]
    """What stays, and why; nothing of it tells who it was."""
    position: int
    """Of the event in the log."""


class HistoryRow(Answer):
    """An event; more fields come with some types."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    type: str
    """`created`, `scheduled`, `retimed`, `claimed`, `sent`, `deferred`, `replied`, `stopped` and so on."""
    at: datetime
    position: int
    """Of the event in the log."""
    reason: str | None = None
    """Why it was decided so."""


class GateEvent(Answer):
    """The event that set a gate, as the history shows it."""

    type: str
    at: datetime
    position: int


class GateShown(Answer):
    """One thing that can hold a mail back."""

    gate: Literal["campaign", "stop", "suppression", "plan", "quota", "window", "credential"]
    verdict: Literal["open", "closed"]
    reason: str | None
    """Why it is closed."""
    event: GateEvent | None
    """That set it so."""
    until: datetime | None
    """When it opens by itself."""


class NextStep(Answer):
    """The step that is mailed next."""

    step_position: int
    at: datetime


class Explained(Answer):
    """Why a mail goes out, or does not."""

    status: str
    next: NextStep | None
    gates: list[GateShown]
