# pyright: reportUnknownMemberType=false, reportMissingParameterType=false
"""A real SMTP server (RFC 5321) on aiosmtpd whose answer at every stage can be programmed.

One function decides: it is told the moment (stage, user, sender, recipient, content) and answers a line to refuse
with, `DROP` to cut the connection, a `Stall`, or None to carry on. What was accepted goes to one other function, which
has written it down before the client reads its 250.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import AnyStr, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Stage = Literal["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "body", "dot", "accepted"]
"""`data`: the command, before 354. `body`: after 354, in the middle of the content. `dot`: all is read, nothing is
accepted. `accepted`: it is written down, and the client has no answer yet."""
Security = Literal["none", "starttls", "tls"]

HOSTNAME = "localhost"  # else aiosmtpd asks for the machine's full name, which may block for seconds
SIZE_MAX = 32 * 1024 * 1024


class Drop(Enum):
    """The connection is cut without a word."""

    NOW = "drop"


DROP = Drop.NOW


@dataclass(frozen=True)
class Stall:
    """The server falls silent; after the seconds it carries on as if nothing had been."""

    seconds: float = 3600.0


Answer = str | Drop | Stall
"""A string is the whole reply line, with its code: `550 5.1.1 No such user`."""


@dataclass(frozen=True)
class Moment:
    """Where a conversation stands."""

    stage: Stage
    connection: int
    """Number of the connection since the server started, from 1."""
    secure: bool = False
    user: str = ""
    password: str = ""
    """Known at `auth` only."""
    sender: str = ""
    recipient: str = ""
    """At `rcpt` the one in question, later the first one accepted."""
    recipients: tuple[str, ...] = ()
    content: bytes = field(default=b"", repr=False)


Behaviour = Callable[[Moment], Answer | None]


@dataclass
class Rule:
    """What to answer at a stage, for one recipient or user only if named, so many times (None: always)."""

    stage: Stage
    answer: Answer
    recipient: str | None = None
    user: str | None = None
    times: int | None = None

    def speaks(self, moment: Moment) -> bool:
        """Answer whether this rule speaks at the moment, and count that it did."""
        recipient = self.recipient is None or self.recipient.casefold() == moment.recipient.casefold()
        user = self.user is None or self.user == moment.user
        if moment.stage != self.stage or not recipient or not user or self.times == 0:
            return False
        self.times = self.times and self.times - 1
        return True


def first(rules: Iterable[Rule], moment: Moment) -> Answer | None:
    """Answer what the first rule that speaks says."""
    return next((rule.answer for rule in rules if rule.speaks(moment)), None)


@dataclass(eq=False)
class _Handler:
    """The hooks of aiosmtpd for one connection."""

    moment: Moment
    decide: Behaviour
    accept: Callable[[Moment], Awaitable[None]]
    offers_auth: bool = True

    async def ask(self, server: SMTP, moment: Moment) -> str | None:
        """Answer the line to refuse with, or None; a dropped connection ends the conversation's task."""
        answer = self.decide(moment)
        if isinstance(answer, Stall):
            await asyncio.sleep(answer.seconds)
            return None
        if isinstance(answer, Drop):
            if isinstance(server.transport, asyncio.Transport):
                server.transport.abort()
            await asyncio.Event().wait()  # connection_lost cancels this task
        return answer if isinstance(answer, str) else None

    async def handle_EHLO(  # noqa: N802  # named and called by aiosmtpd
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Greet, or refuse to."""
        refused = await self.ask(server, replace(self.moment, stage="ehlo"))
        if refused:
            return [refused]
        session.host_name = hostname
        return [line for line in responses if self.offers_auth or not line.startswith("250-AUTH")]

    async def handle_MAIL(  # noqa: N802  # named and called by aiosmtpd
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the sender, or refuse it."""
        refused = await self.ask(server, replace(self.moment, stage="mail", sender=address))
        if refused:
            return refused
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802  # named and called by aiosmtpd
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or refuse it."""
        sender = envelope.mail_from or ""
        refused = await self.ask(server, replace(self.moment, stage="rcpt", sender=sender, recipient=address))
        if refused:
            return refused
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the message once it is written down, or refuse it."""
        moment = replace(self.enveloped(envelope, "dot"), content=envelope.original_content or b"")
        refused = await self.ask(server, moment)
        if refused:
            return refused
        await self.accept(moment)
        return await self.ask(server, replace(moment, stage="accepted")) or "250 2.0.0 Ok: queued"

    def enveloped(self, envelope: Envelope | None, stage: Stage) -> Moment:
        """Answer the moment with what the envelope says so far."""
        sender, recipients = (envelope.mail_from or "", tuple(envelope.rcpt_tos)) if envelope else ("", ())
        recipient = recipients[0] if recipients else ""
        return replace(self.moment, stage=stage, sender=sender, recipient=recipient, recipients=recipients)


class _Conversation(SMTP):
    """One connection: the stages that aiosmtpd has no hook for."""

    def __init__(self, handler: _Handler, context: ssl.SSLContext | None) -> None:
        self._own = handler
        self._greeted = False
        super().__init__(
            handler,
            hostname=HOSTNAME,
            ident="ESMTP sandbox",
            data_size_limit=SIZE_MAX,
            enable_SMTPUTF8=True,
            tls_context=context,
            auth_require_tls=False,
            authenticator=_hear,
            loop=asyncio.get_running_loop(),
        )

    async def push(self, status: AnyStr) -> None:
        """Send a line; the first one is the greeting, which may be refused."""
        if not self._greeted:
            self._greeted = True
            refused = await self._own.ask(self, replace(self._own.moment, stage="connect"))
            if refused:
                await super().push(refused)
                if self.transport is not None:
                    self.transport.close()
                return
        await super().push(status)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802  # aiosmtpd's name
        """Begin TLS, or refuse to."""
        refused = await self._own.ask(self, replace(self._own.moment, stage="starttls"))
        if refused:
            await self.push(refused)
            return
        self._own.moment = replace(self._own.moment, secure=True)
        await super().smtp_STARTTLS(arg)

    async def auth_PLAIN(self, _: SMTP, args: list[str]) -> AuthResult:  # noqa: N802  # aiosmtpd's name
        """Hear the pair, then judge it."""
        return await self._judge(await super().auth_PLAIN(_, args))

    async def auth_LOGIN(self, _: SMTP, args: list[str]) -> AuthResult:  # noqa: N802  # aiosmtpd's name
        """Hear the pair, then judge it."""
        return await self._judge(await super().auth_LOGIN(_, args))

    async def _judge(self, heard: AuthResult) -> AuthResult:
        if not isinstance(heard.auth_data, LoginPassword):
            return heard
        user, password = heard.auth_data.login.decode(), heard.auth_data.password.decode()
        refused = await self._own.ask(self, replace(self._own.moment, stage="auth", user=user, password=password))
        if refused:
            return AuthResult(success=False, handled=False, message=refused)
        self._own.moment = replace(self._own.moment, user=user)
        return heard

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802  # aiosmtpd's name
        """Take the content, unless the moment says to refuse or to fall away before or in the middle of it."""
        refused = await self._own.ask(self, self._own.enveloped(self.envelope, "data"))
        if refused:
            await self.push(refused)
            return
        moment = self._own.enveloped(self.envelope, "body")
        if moment.recipients and isinstance(self._own.decide(moment), Drop):
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._reader.readuntil(b"\n")
            if isinstance(self.transport, asyncio.Transport):
                self.transport.abort()
            await asyncio.Event().wait()  # connection_lost cancels this task
        await super().smtp_DATA(arg)


def _hear(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object) -> AuthResult:
    """Take every pair for now: the conversation judges it."""
    return AuthResult(success=True, auth_data=data)


@dataclass(eq=False)
class SmtpServer:
    """Listens on 127.0.0.1 between start() and stop()."""

    decide: Behaviour
    accept: Callable[[Moment], Awaitable[None]]
    context: ssl.SSLContext | None = None
    security: Security = "none"
    offers_auth: bool = True
    port: int = 0
    """The one to listen on; 0 takes a free one, and names it here."""
    connections: int = 0
    """How many were made since the start."""
    _open: set[_Conversation] = field(default_factory=set[_Conversation])
    _server: asyncio.Server | None = None

    def _conversation(self) -> _Conversation:
        self.connections += 1
        moment = Moment("connect", self.connections, secure=self.security == "tls")
        conversation = _Conversation(
            _Handler(moment, self.decide, self.accept, self.offers_auth),
            self.context if self.security == "starttls" else None,
        )
        self._open = {known for known in self._open if known.transport is not None} | {conversation}
        return conversation

    async def start(self) -> None:
        """Listen; the port is known afterwards. Raises OSError where it is taken."""
        self._server = await asyncio.get_running_loop().create_server(
            self._conversation, "127.0.0.1", self.port, ssl=self.context if self.security == "tls" else None
        )
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Cut what is open and listen no more."""
        if self._server:
            self._server.close()
        await self.drop_connections()
        if self._server:
            await self._server.wait_closed()
        self._server = None

    async def drop_connections(self) -> None:
        """Cut every open connection."""
        ending: list[asyncio.Task[None]] = []
        for conversation in self._open:
            if isinstance(conversation.transport, asyncio.Transport):
                with contextlib.suppress(AttributeError):  # Python 3.11.2: of a TLS connection that has ended already
                    conversation.transport.abort()
            task = conversation._handler_coroutine  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # no other way to wait for it
            if task:
                ending.append(task)
        self._open.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.gather(*ending, return_exceptions=True)
