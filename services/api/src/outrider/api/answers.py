"""What is answered: accounts, keys, outreaches, commands. Shapes alone: the routes build the values, tests compare."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

Status = Literal["pending", "active", "paused"]
Number = int


class Answer(BaseModel):
    """An object in an answer: every field is there, but for those that have a default here; no other is."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Accepted(Answer):
    """The verdict comes later: ask at `Location`."""

    command_id: UUID
    status: Literal["accepted"]


class CommandShown(Answer):
    """How a command stands."""

    command_id: UUID
    status: Literal["accepted", "succeeded", "rejected"]
    http_status: int | None = None
    """The status that the call would have answered, once there is a verdict."""
    body: dict[str, Any] | None = None
    """The body that it would have answered; null for 204."""


class Plan(Answer):
    """What an account may send."""

    monthly_limit: Number | None
    """Accepted messages in a UTC calendar month; null is unlimited."""


class Period(Answer):
    """A UTC calendar month."""

    start: datetime
    end: datetime
    """The first moment of the next."""
    sends_count: int
    """Messages that a mail server accepted, test sends excluded."""


class AccountShown(Answer):
    """An account."""

    id: UUID
    name: str | None
    monthly_limit: Number | None
    plan: Plan
    current_period: Period
    postal_address: str | None
    """In the footers of its mails, where a campaign has them."""


class FirstKey(Answer):
    """The first key of an account. Its plaintext is shown here and nowhere else."""

    id: UUID
    prefix: str
    plaintext: str


class AccountOpened(Answer):
    """A new account."""

    id: UUID
    name: str
    monthly_limit: Number | None
    api_key: FirstKey


class UsagePeriod(Answer):
    """A UTC calendar month."""

    period_start: datetime
    period_end: datetime
    sends_count: int


class Usage(Answer):
    """What was sent in this month and the twelve before."""

    monthly_limit: Number | None
    current: UsagePeriod
    history: list[UsagePeriod]


class ApiKeyShown(Answer):
    """A key that opens the account."""

    id: UUID
    prefix: str
    """How it begins."""
    label: str | None
    created_at: datetime


class ApiKeyIssued(ApiKeyShown):
    """A new key. Its plaintext is shown here and nowhere else."""

    plaintext: str


class Totals(Answer):
    """Enrollments, by what was reached at least once."""

    pending: int
    """Nothing sent yet."""
    sent: int
    """At least one message accepted, or refused for good."""
    opened: int
    replied: int
    bounced: int


class CampaignRow(Answer):
    """A campaign in a list."""

    id: UUID
    name: str | None
    status: Status
    created_at: datetime


class OutreachRow(Answer):
    """Campaigns that belong together."""

    id: UUID
    name: str | None
    unique_contacts: bool
    """True: a contact is enrolled in one of its campaigns at most."""
    created_at: datetime


class OutreachShown(OutreachRow):
    """An outreach with its campaigns, and what they add up to."""

    totals: Totals
    campaigns: list[CampaignRow]


class Health(Answer):
    """How the process is."""

    status: Literal["live", "ready", "not ready"]
