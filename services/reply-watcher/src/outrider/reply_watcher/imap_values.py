"""A mailbox, and the three ways in which reading it fails."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

Security = Literal["tls", "starttls", "none"]

_WORDS_MAX: Final = 300


class MailboxFailed(Exception):  # named like an outcome: it says what is the matter
    """The mailbox cannot be read now; `words` say why, fit to be shown: the server's own where it spoke."""

    def __init__(self, words: str) -> None:
        """Keep the words, on one line."""
        self.words = " ".join("".join(sign if sign.isprintable() else " " for sign in words).split())[:_WORDS_MAX]
        super().__init__(self.words)


class AuthFailed(MailboxFailed):
    """The server refuses these credentials: trying again without a change only hammers it."""


class Unreachable(MailboxFailed):
    """No session came about: DNS, connection, TLS, or a server that turns everybody away for now."""


class Broken(MailboxFailed):
    """The session ended in the middle: lost, silent or unreadable."""


class Token(NamedTuple):
    """An OAuth2 access token."""

    text: str
    fresh: bool
    """False: it was kept since an earlier log-in, and may have been withdrawn."""


class Bearer(Protocol):
    """Has the access tokens of one account."""

    async def token(self, but_not: str = "") -> Token:
        """A token other than the one that was refused. Raises AuthFailed and Unreachable, nothing else."""
        ...


@dataclass(frozen=True)
class Mailbox:
    """Where the mail is and how to get in."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    security: Security = "tls"
    allow_insecure: bool = False
    """Whether a password may be sent in the clear (security "none"), and the host be of the house."""
    authority: Path | None = None
    """A PEM file of certification authorities to trust besides the system's."""
    bearer: Bearer | None = None
    """Log in with its tokens (XOAUTH2), not with the password."""


def refused_seconds(failures: int) -> float:
    """Seconds before a log-in that was refused so many times in a row is tried again: 10 min, doubling, at most 6 h."""
    return min(21_600.0, 600.0 * (1 << min(max(failures, 1) - 1, 10)))


def backoff_seconds(failures: int) -> float:
    """Seconds to wait before the next session after so many failures in a row: 5, 10, 20 ... capped at 600."""
    return min(600.0, 5.0 * (1 << min(max(failures, 1) - 1, 10)))
