"""What the SMTP adapter is told and what it answers: plain values, no behaviour."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

Stage = Literal["address", "mail", "rcpt", "data", "dot"]
"""Where a message was refused: before any connection, at one of three commands, or by the answer to its final dot."""


class Token(NamedTuple):
    """An OAuth2 access token."""

    text: str
    fresh: bool
    """False: it was kept since an earlier log-in, and may have been withdrawn."""


class Bearer(Protocol):
    """Has the access tokens of one account."""

    async def token(self, but_not: str = "") -> Token:
        """A token other than the one that was refused. Raises LoginRefused and Lost, nothing else."""
        ...


@dataclass(frozen=True)
class Server:
    """One credential's submission server, and how we log in there."""

    host: str
    port: int
    security: Literal["tls", "starttls", "none"]
    """`tls` from the first byte (465), `starttls` or not at all, or `none`; never another one than this."""
    username: str = ""
    """Empty: no login is attempted."""
    password: str = field(default="", repr=False)
    bearer: Bearer | None = None
    """Log in with its tokens (XOAUTH2), not with a password."""
    hostname: str = "localhost"
    """The name we say in EHLO: never asked of the system, whose resolver may block for seconds."""
    allow_insecure: bool = False
    """Whether private and loopback addresses, and security `none`, may be used."""
    authorities: Path | None = None
    """PEM file of certification authorities trusted beside the system's."""


@dataclass(frozen=True)
class Timeouts:
    """How long each part may take, in real seconds."""

    dns_seconds: float = 10.0
    connect_seconds: float = 15.0
    """TCP and the TLS handshake, per address."""
    command_seconds: float = 30.0
    """Answer to any command up to RCPT; the claim's deadline bounds them all together."""
    data_seconds: float = 120.0
    """From the DATA command until the final dot is written."""
    reply_seconds: float = 600.0
    """Answer to the final dot. RFC 5321 §4.5.3.2.6 asks for 10 minutes: giving up earlier doubles mail elsewhere."""
    idle_seconds: float = 300.0
    """How long an unused connection is kept."""
    quit_seconds: float = 2.0


@dataclass(frozen=True)
class Accepted:
    """The server took responsibility for the message."""

    reply: str


@dataclass(frozen=True)
class Rejected:
    """The server refused this recipient or this content for good; nothing was sent."""

    kind: Literal["hard", "soft", "block"]
    """`hard`: the address does not exist; `soft`: it does, but cannot take this now; `block`: policy or reputation."""
    status_code: int
    reply: str
    stage: Stage


@dataclass(frozen=True)
class Deferred:
    """The server asked to try later; nothing was sent."""

    status_code: int
    reply: str


@dataclass(frozen=True)
class NotSent:
    """The message certainly did not go out, and neither recipient nor content is to blame."""

    reason: str


@dataclass(frozen=True)
class CredentialFailed:
    """The server refused us, not the message; nothing was sent."""

    kind: Literal["auth_failed", "held_today", "policy"]
    """`held_today`: the provider's daily limit; `policy`: it lets this account, or this sender's address, not send."""
    status_code: int
    reply: str


@dataclass(frozen=True)
class Unknown:
    """The final dot was written and no answer to it was read: the message may have gone out."""

    reason: str


Outcome = Accepted | Rejected | Deferred | NotSent | CredentialFailed | Unknown
