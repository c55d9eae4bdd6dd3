"""What is answered: campaigns, their steps, credentials, statistics and actions."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import ConfigDict

from outrider.api.answers import Answer, CampaignRow, Status, Totals
from outrider.api.bodies_credentials import Security
from outrider.events.campaign import CampaignSettings


class CampaignCreated(Answer):
    """A new campaign; it is `active` from its first dispatch on."""

    id: UUID
    status: Literal["pending"]


class StepShown(Answer):
    """A step of the sequence."""

    position: int
    subject: str | None
    body_html: str | None
    body_text: str | None
    """Null: derived from the HTML."""
    delay_minutes: int
    """After the step before; of position 1 after the dispatch."""
    thread: bool
    """Whether it answers the first step, in one conversation."""


class OAuth2Shown(Answer):
    """How a mail account logs in without a password. Its secrets are shown nowhere."""

    provider: str
    client_id: str


class DkimShown(Answer):
    """What its messages are signed for. The key is shown nowhere."""

    domain: str
    selector: str


class CredentialShown(Answer):
    """A mail account of a campaign. Its passwords are shown nowhere."""

    id: UUID
    label: str | None
    from_name: str | None
    from_email: str | None
    reply_to: str | None
    smtp_host: str | None
    smtp_port: int | None
    smtp_security: Security | None
    smtp_username: str | None
    oauth2: OAuth2Shown | None
    dkim: DkimShown | None
    imap_host: str | None
    imap_port: int | None
    imap_security: Security | None
    imap_username: str | None
    daily_limit: int
    """Accepted messages in a UTC day."""
    follow_ups_exempt: bool
    """True: only first steps count against the daily limit."""
    sent_today: int
    remaining_today: int
    sends: int
    """Messages accepted, or refused for good."""
    bounces: int
    bounce_rate: float
    """Percent of `sends`."""
    disabled_at: datetime | None
    disabled_reason: str | None
    smtp_error: str | None
    """The server's words, while it is disabled."""
    imap_error: str | None
    """The server's words, while its mailbox cannot be read."""
    imap_refused_at: datetime | None
    """Since when the mailbox refuses the log-in."""
    imap_advice: str | None
    """What to do about that."""


class Rates(Answer):
    """Percent, with one decimal."""

    bounce_rate: float
    """Of messages sent."""
    open_rate: float
    """Of enrollments sent to."""
    reply_rate: float
    """Of enrollments sent to."""


class Batch(Totals):
    """What became of one batch."""

    batch_number: int
    dispatched_at: datetime | None


class Bounce(Answer):
    """A message that was refused, or came back."""

    enrollment_id: UUID
    contact_id: UUID
    email: str | None
    smtp_credential_id: UUID | None
    kind: Literal["hard", "soft", "block"]
    status_code: str | None
    reason: str | None
    bounced_at: datetime


class Skipped(Answer):
    """How many were not enrolled, or not mailed, by kind."""

    mx_invalid: int
    cross_campaign_duplicate: int
    unsubscribed: int
    bounced: int
    suppressed: int
    already_enrolled: int


class CampaignShown(CampaignSettings, CampaignRow):
    """A campaign with its settings, steps, credentials and full statistics."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, json_schema_serialization_defaults_required=True
    )

    completed_at: datetime | None
    """Since when no enrollment has a step left."""
    sequence_steps: list[StepShown]
    credentials: list[CredentialShown]
    totals: Totals
    rates: Rates
    per_batch: list[Batch]
    recent_bounces: list[Bounce]
    """The 20 newest."""
    skipped: Skipped
    emails_sent: int
    """Messages that a server accepted."""
    clicked: int
    unsubscribed: int
    finished: int
    """Enrollments that went the whole way: every step was sent. Not those that ended before."""
    suspected_replies: int
    """Replies that only their sender and subject connect with a message; `replied` does not count them."""


class Dispatched(Answer):
    """What was planned. `scheduled` and `skipped` count enrollments; the times are those of first steps."""

    batch_number: int
    scheduled: int
    skipped: int
    first_send_at: datetime | None
    last_send_at: datetime | None


class DispatchAccepted(Answer):
    """A large batch is planned by and by: the campaign shows how far it is."""

    batch_number: int
    accepted: int
    """Enrollments that it has."""


class StatusChanged(Answer):
    """The campaign as it stands now."""

    id: UUID
    status: Status


class Paused(StatusChanged):
    """Nothing more is claimed."""

    in_flight: int
    """Messages claimed before that have no outcome yet, after 5 s."""


class Verified(Answer):
    """Whether it gets in at its servers right now."""

    smtp: Literal["ok", "error"]
    imap: Literal["ok", "error", "absent"]
    smtp_error: str | None = None
    """The server's words."""
    imap_error: str | None = None


class Reenabled(Answer):
    """It is used again, and the bounce rule starts at 0."""

    id: UUID
    from_email: str | None
    status: Literal["enabled"]


class StepPreview(Answer):
    """What a step says."""

    position: int
    subject: str
    body_html: str
    body_text: str


class Preview(Answer):
    """What the steps say to somebody."""

    steps: list[StepPreview]


class ForecastDay(Answer):
    """A UTC day."""

    date: date
    scheduled: int
    by_step: dict[str, int]
    """By the step's position."""
    capacity: int
    """What the daily limits allow."""


class Forecast(Answer):
    """What is planned for the next days."""

    timezone: Literal["UTC"]
    days: list[ForecastDay]


class TestSent(Answer):
    """They are on their way."""

    messages: int
    """Every step to every address."""
