"""Real mail servers for tests, in this process, whose behaviour a test programs.

    async with smtp_sink(users={"ann@example.com": "secret"}) as sink:
        sink.behave("rcpt", "550 5.1.1 No such user", recipient="gone@example.com")
        sink.behave("rcpt", "451 4.7.1 Greylisted", recipient="slow@example.com", times=1)
        sink.behave("dot", DROP, times=1)
        ...
        await sink.until(lambda: len(sink.messages) == 2)

    async with imap_server(users={"ann@example.com": "secret"}) as mailboxes:
        uid = await mailboxes.append("ann@example.com", b"...", folder="INBOX")
        assert await mailboxes.flags("ann@example.com") == {uid: frozenset()}

With `security="tls"` or `"starttls"` the servers present a certificate for localhost and 127.0.0.1 that is its own
authority: `.authority` is the PEM file to trust (OUTRIDER_TRUST_CA).
"""

import asyncio
import email
import email.policy
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path

from outrider.local import certificate
from outrider.local.imap_server import INBOX, ImapServer, Stored
from outrider.local.smtp_server import DROP, Answer, Moment, Rule, Security, SmtpServer, Stage, Stall, first

__all__ = ["DROP", "Mailboxes", "Received", "SmtpSink", "Stall", "imap_server", "smtp_sink"]

DEADLINE_SECONDS = 120.0


@dataclass(frozen=True)
class Received:
    """One accepted message."""

    at: datetime
    user: str
    """Who had logged in, or empty."""
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    """As sent: CRLF, dots unstuffed."""
    connection: int
    """Number of the connection it came on, from 1."""
    secure: bool

    @property
    def recipient(self) -> str:
        """The first recipient."""
        return self.recipients[0]

    @cached_property
    def message(self) -> EmailMessage:
        """The content, parsed."""
        return email.message_from_bytes(self.content, policy=email.policy.default)

    def header(self, name: str) -> str:
        """Answer the decoded header, or an empty string."""
        return str(self.message.get(name, ""))


@dataclass
class SmtpSink:
    """An SMTP server that keeps what it accepted and answers as told."""

    users: Mapping[str, str] | None = None
    """Who may log in with which password; None lets everybody in."""
    authority: Path = Path()
    messages: list[Received] = field(default_factory=list[Received])
    moments: list[Moment] = field(default_factory=list[Moment])
    """Every stage reached, in order: what the client really did."""
    server: SmtpServer = field(init=False)
    _rules: list[Rule] = field(default_factory=list[Rule])
    _waiting: list[tuple[Callable[[], bool], asyncio.Event]] = field(
        default_factory=list[tuple[Callable[[], bool], asyncio.Event]]
    )

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self.server.port

    @property
    def connections(self) -> int:
        """How many were made so far."""
        return self.server.connections

    def behave(
        self,
        stage: Stage,
        answer: Answer,
        *,
        recipient: str | None = None,
        user: str | None = None,
        times: int | None = None,
    ) -> None:
        """Answer so at this stage, for this recipient or user only if named, so many times (None: always).

        A string is a whole reply line ("451 4.7.1 Try later"), DROP cuts the connection, Stall(seconds) falls silent.
        The first rule that fits speaks.
        """
        self._rules.append(Rule(stage, answer, recipient, user, times))

    def behave_well(self) -> None:
        """Forget every rule."""
        self._rules.clear()

    def sent_to(self, recipient: str) -> list[Received]:
        """Answer what was accepted for this address, oldest first."""
        return [one for one in self.messages if recipient.casefold() in {to.casefold() for to in one.recipients}]

    async def until(self, condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
        """Return once the condition holds, looked at after every stage and message; raises TimeoutError."""
        holds = asyncio.Event()
        self._waiting.append((condition, holds))
        self._look()
        async with asyncio.timeout(seconds):
            await holds.wait()

    def _look(self) -> None:
        for condition, holds in self._waiting:
            if not holds.is_set() and condition():
                holds.set()

    def decide(self, moment: Moment) -> Answer | None:
        """Answer as the server asks: the first rule that fits, then the passwords."""
        self.moments.append(moment)
        self._look()
        answer = first(self._rules, moment)
        if answer is not None:
            return answer
        if moment.stage == "auth" and self.users is not None and self.users.get(moment.user) != moment.password:
            return "535 5.7.8 Username and password not accepted"
        return None

    async def accept(self, moment: Moment) -> None:
        """Keep the message."""
        now = datetime.now(UTC)
        received = Received(
            now, moment.user, moment.sender, moment.recipients, moment.content, moment.connection, moment.secure
        )
        self.messages.append(received)
        self._look()


@asynccontextmanager
async def smtp_sink(
    users: Mapping[str, str] | None = None, *, security: Security = "none", offers_auth: bool = True, port: int = 0
) -> AsyncGenerator[SmtpSink]:
    """Run an SMTP server for the block."""
    with tempfile.TemporaryDirectory(prefix="outrider-test-") as folder:
        authority, key = certificate.make(Path(folder))
        sink = SmtpSink(users, authority)
        context = certificate.server_context(authority, key)
        sink.server = SmtpServer(sink.decide, sink.accept, context, security, offers_auth, port)
        await sink.server.start()
        try:
            yield sink
        finally:
            await sink.server.stop()


@dataclass
class Mailboxes:
    """An IMAP server whose mail a test puts in and looks at."""

    server: ImapServer
    authority: Path = Path()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self.server.port

    @property
    def connections(self) -> int:
        """How many were made so far."""
        return self.server.connections

    async def append(self, user: str, content: bytes, folder: str = INBOX, at: datetime | None = None) -> int:
        """Put a message into the folder, made if there is none; idling clients are told. Answers its UID."""
        return await self.server.append(user, content, folder, at=at)

    async def flags(self, user: str, folder: str = INBOX) -> dict[int, frozenset[str]]:
        """Answer the flags of each message by UID."""
        return {stored.uid: stored.flags for stored in await self.server.messages(user, folder)}

    async def stored(self, user: str, folder: str = INBOX) -> list[Stored]:
        """Answer every message of the folder: uid, flags, content."""
        return await self.server.messages(user, folder)

    async def create(self, user: str, folder: str) -> None:
        """Make a folder."""
        await self.server.create(user, folder)

    async def set_uid_validity(self, user: str, value: int, folder: str = INBOX) -> None:
        """Give the folder another UIDVALIDITY."""
        await self.server.set_uid_validity(user, value, folder)

    async def uid_validity(self, user: str, folder: str = INBOX) -> int:
        """Answer the folder's UIDVALIDITY."""
        return await self.server.uid_validity(user, folder)

    async def drop_connections(self) -> None:
        """Cut every open connection."""
        await self.server.drop_connections()


@asynccontextmanager
async def imap_server(
    users: Mapping[str, str] | None = None, *, security: Security = "none", port: int = 0
) -> AsyncGenerator[Mailboxes]:
    """Run an IMAP server for the block; without users everybody may log in."""
    with tempfile.TemporaryDirectory(prefix="outrider-test-") as folder:
        authority, key = certificate.make(Path(folder))

        def accepts(user: str, password: str) -> bool:
            return users is None or users.get(user) == password

        server = ImapServer(accepts, port=port, security=security, context=certificate.server_context(authority, key))
        await server.start()
        try:
            yield Mailboxes(server, authority)
        finally:
            await server.stop()
