"""Account: who uses Outrider, under which plan, with which API keys. Written only by the dispatcher."""

from uuid import UUID

from outrider.events.errors import Refused
from outrider.events.message import Command, Event


class OpenAccount(Command, category="account"):
    """Open `account_id` with its first API key; the name lies in the vault."""

    monthly_limit: int | None = None
    key_id: UUID
    key_hash: str
    """Hex SHA-256 of the key; the key itself is shown once and kept nowhere."""
    key_prefix: str


class ChangePlan(Command, category="account"):
    """Set what the account may send in a calendar month; None is unlimited."""

    monthly_limit: int | None


class IssueApiKey(Command, category="account"):
    """Add a key; its label lies in the vault."""

    key_id: UUID
    key_hash: str
    key_prefix: str


class RevokeApiKey(Command, category="account"):
    """From now on the key opens nothing."""

    key_id: UUID


class CloseAccount(Command, category="account"):
    """Stop everything of it, and forget its people, texts and secrets; its figures stay."""


class AccountOpened(Event):
    """The account exists."""

    account_id: UUID
    monthly_limit: int | None
    """Messages accepted by SMTP servers in a UTC calendar month; None is unlimited."""


class PlanChanged(Event):
    """Another monthly limit holds."""

    account_id: UUID
    monthly_limit: int | None


class ApiKeyIssued(Event):
    """The key opens the account."""

    account_id: UUID
    key_id: UUID
    key_hash: str
    key_prefix: str


class ApiKeyRevoked(Event):
    """The key opens nothing any more."""

    account_id: UUID
    key_id: UUID


class AccountClosed(Event):
    """It is gone, and with it all that it has; what it sent stays counted."""

    account_id: UUID


class AccountNotFound(Refused, status=404, code="account_not_found"):
    """There is no such account."""


class ApiKeyNotFound(Refused, status=404, code="api_key_not_found"):
    """There is no such API key."""


class CannotRevokeLastKey(Refused, status=422, code="cannot_revoke_last_key"):
    """An account keeps at least one active key: create another one first."""
