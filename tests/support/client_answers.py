"""What the API answers, as far as a story looks at it."""

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Answered(BaseModel):
    """What the API answers; it may say more than is named here."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=False)


class Import(Answered):
    """POST /contact_imports."""

    id: str
    name: str
    record_count: int
    skipped: int
    rejected: int


class Skip(Answered):
    """Somebody who was not enrolled."""

    contact_id: str
    email: str | None
    reason: str
    kind: str


class Enrolled(Answered):
    """POST /campaigns/:id/enroll."""

    enrolled: int
    batches: int
    batch_size: int
    first_batch_number: int | None
    skipped: list[Skip]
    skipped_count: int


class Dispatched(Answered):
    """POST /campaigns/:id/dispatch."""

    batch_number: int
    scheduled: int
    skipped: int
    first_send_at: AwareDatetime | None
    last_send_at: AwareDatetime | None


class Totals(Answered):
    """Of enrollments."""

    pending: int
    sent: int
    opened: int
    replied: int
    bounced: int


class Rates(Answered):
    """Percent, one decimal."""

    bounce_rate: float
    open_rate: float
    reply_rate: float


class Batch(Totals):
    """One row of per_batch."""

    batch_number: int
    dispatched_at: AwareDatetime | None


class Bounce(Answered):
    """One row of recent_bounces."""

    enrollment_id: str
    contact_id: str
    email: str | None
    smtp_credential_id: str
    kind: str
    status_code: str
    reason: str
    bounced_at: AwareDatetime


class Credential(Answered):
    """One row of credentials."""

    id: str
    label: str
    from_email: str
    smtp_host: str
    daily_limit: int
    sent_today: int
    remaining_today: int
    sends: int
    bounces: int
    bounce_rate: float
    disabled_at: AwareDatetime | None
    disabled_reason: str | None
    smtp_error: str | None
    """The server's words, while it is disabled."""


class Campaign(Answered):
    """GET /campaigns/:id."""

    id: str
    name: str
    status: str
    totals: Totals
    rates: Rates
    per_batch: list[Batch]
    recent_bounces: list[Bounce]
    credentials: list[Credential]
    skipped: dict[str, int]
    emails_sent: int
    unsubscribed: int
    finished: int
    completed_at: AwareDatetime | None

    def credential(self, from_email: str) -> Credential:
        """Answer the one with this from address."""
        return next(one for one in self.credentials if one.from_email == from_email)


class Enrollment(Answered):
    """One row of GET /campaigns/:id/enrollments."""

    id: str
    contact_id: str
    smtp_credential_id: str | None
    status: str
    steps_sent: int
    sent_at: AwareDatetime | None
    next_send_at: AwareDatetime | None


class Replied(Answered):
    """One row of GET /campaigns/:id/replies."""

    email: str | None
    step_position: int | None
    hours_to_reply: float | None
    subject: str
    snippet: str


class Contact(Answered):
    """GET /contacts/:id."""

    id: str
    email: str | None
    unsubscribed_at: AwareDatetime | None
    bounced_at: AwareDatetime | None


class Created(Answered):
    """What a POST of a resource answers at least."""

    id: str
    status: str = ""
