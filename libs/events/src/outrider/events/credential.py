"""Credential: a customer's SMTP (and IMAP) account in a campaign, and what it has used up on each UTC day.

`credential-<id>` is written by the dispatcher; `credentialDay-<id>+<UTC date>` by the sender: a stream a day, so that
none grows without end. Hosts, user names, from addresses and labels lie in the vault, passwords are sealed there.
"""

from datetime import date
from typing import Literal
from uuid import UUID

from outrider.events.errors import Refused
from outrider.events.message import Command, Event, Message

DisabledReason = Literal["bounce_rate", "auth_failed", "policy"]


class NewCredential(Message):
    """What a command says of a credential that it adds."""

    credential_id: UUID
    daily_limit: int
    follow_ups_exempt: bool = False
    mailbox_id: UUID | None = None
    """Keyed hash of (account, imap_host, imap_port, imap_username); None: no reply is looked for."""


class CredentialCommand(Command, category="campaign"):
    """A command about one credential of a campaign."""

    campaign_id: UUID

    @property
    def target(self) -> str:
        """The campaign: its commands keep their order."""
        return f"campaign-{self.campaign_id}"


class AddCredential(CredentialCommand):
    """Let the campaign mail through one more, whose hosts and secrets lie in the vault already."""

    credential: NewCredential


class ChangeCredential(CredentialCommand):
    """Other limits, or other hosts or secrets, which lie in the vault already. A limit that is not named stays."""

    credential: NewCredential
    limits: tuple[str, ...] | None = None
    """Which of daily_limit and follow_ups_exempt are to be as they are here; None: both."""
    replaced: bool = False
    """Whether anything of it in the vault may be another."""
    logs_in_anew: bool = False
    """Whether that may let it in where its log-in was refused: another password, user name or server."""


class RemoveCredential(CredentialCommand):
    """Mail nothing more through it, and forget its secrets."""

    credential_id: UUID


class ReenableCredential(CredentialCommand):
    """Use a disabled credential again; its bounce rule starts anew."""

    credential_id: UUID


class CredentialAdded(Event):
    """The campaign may mail through it."""

    credential_id: UUID
    campaign_id: UUID
    daily_limit: int
    """Accepted messages per UTC day of their claim."""
    follow_ups_exempt: bool = False
    """True: only first steps count against the limit."""
    mailbox_id: UUID | None = None


class CredentialChanged(Event):
    """Other limits hold, or its hosts or passwords in the vault were replaced."""

    credential_id: UUID
    campaign_id: UUID
    daily_limit: int
    follow_ups_exempt: bool = False
    mailbox_id: UUID | None = None


class CredentialDisabled(Event):
    """Nothing more is mailed through it until it is re-enabled."""

    credential_id: UUID
    campaign_id: UUID
    reason: DisabledReason


class CredentialReenabled(Event):
    """It is used again, and its bounce rule starts at none of none."""

    credential_id: UUID
    campaign_id: UUID


class CredentialRemoved(Event):
    """It is gone, its secrets are erased."""

    credential_id: UUID
    campaign_id: UUID


class CredentialReplaced(Event):
    """It is not coming back by itself: its open steps are to go out through these instead."""

    credential_id: UUID
    campaign_id: UUID
    by: tuple[UUID, ...]


class QuotaClaimed(Event):
    """These deliveries are counted on the credential's day."""

    credential_id: UUID
    day: date
    deliveries: tuple[UUID, ...]
    counted: int
    """How many of them count against the limit (an exempt follow-up does not)."""


class QuotaReleased(Event):
    """These deliveries were not accepted by a server: they count no more."""

    credential_id: UUID
    day: date
    deliveries: tuple[UUID, ...]
    counted: int


class CredentialRefused(Event):
    """The server refused the credential itself, not a message."""

    credential_id: UUID
    campaign_id: UUID
    day: date
    kind: Literal["auth_failed", "held_today", "policy"]
    status_code: str


class SmtpCredentialNotFound(Refused, status=404, code="smtp_credential_not_found"):
    """There is no such SMTP credential in the campaign."""
