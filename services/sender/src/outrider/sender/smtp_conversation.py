"""One conversation with a submission server: greeting, TLS, login, then message after message."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from aiosmtplib.esmtp import parse_esmtp_extensions
from aiosmtplib.protocol import PERIOD_REGEX

from outrider.sender.smtp_login import log_in
from outrider.sender.smtp_outcomes import (
    Accepted,
    CredentialFailed,
    Deferred,
    NotSent,
    Outcome,
    Rejected,
    Server,
    Timeouts,
    Unknown,
)
from outrider.sender.smtp_verdicts import PERMANENT, TEMPORARY, Asked, Reply, classify
from outrider.sender.smtp_wire import Lost, Wire, connect

READY, GO_AHEAD, GOING_AWAY = 220, 354, 421
DONE, REFUSED = range(200, 300), range(TEMPORARY.start, PERMANENT.stop)
DOT = b".\r\n"
CHUNK_BYTES = 65_536
STALE, SHUTDOWN = "stale claim", "shutdown"
NO_UTF8 = "5.6.7 The server takes no address beyond ASCII"
Stage = Literal["connected", "greeted", "encrypted", "logged in", "MAIL", "RCPT", "DATA"]
"""How far it is: a command is answered, DATA is written but for the final dot."""
Tell = Callable[[Stage], object]


def tell_nobody(_: Stage) -> None:
    """For who does not want to know."""


@dataclass(frozen=True)
class Mail:
    """One message and its envelope: the addresses are plain, every line of the message ends in CRLF."""

    sender: str
    recipient: str
    message: bytes
    tell: Tell = field(default=tell_nobody, compare=False, repr=False)
    """Hears of every stage, those of a new connection too. It must not raise."""

    @property
    def needs_utf8(self) -> bool:
        """Whether an address or a header goes beyond ASCII. RFC 6531 §3.1."""
        header = self.message.partition(b"\r\n\r\n")[0]
        return not (self.sender.isascii() and self.recipient.isascii() and header.isascii())


@dataclass(eq=False)
class Conversation:
    """A connection that takes messages, one at a time."""

    wire: Wire
    server: Server
    timeouts: Timeouts
    features: dict[str, str] = field(default_factory=dict[str, str])
    """What the server offers in EHLO, in lower case, with its parameters."""
    mechanisms: list[str] = field(default_factory=list[str])
    """Of these, what it offers for AUTH, in lower case."""
    carried: int = 0
    """How many messages were begun on it."""
    dirty: bool = False
    """Whether an envelope stands that RSET must clear."""

    async def begin(self, tell: Tell) -> None:
        """Be greeted, encrypted and logged in. Raises Lost and LoginRefused."""
        greeting = await self.wire.hear(self.timeouts.command_seconds)
        if greeting.code != READY:
            raise Lost(f"The server takes no connections: {greeting.sentence}")
        tell("greeted")
        await self._say_hello()
        if self.server.security == "starttls":
            if "starttls" not in self.features:
                raise Lost("The server offers no STARTTLS.")
            await self.wire.encrypt(self.server, self.timeouts.connect_seconds)
            tell("encrypted")
            await self._say_hello()  # what was heard before TLS does not count. RFC 3207 §4.2
        if self.server.username and "auth" in self.features:
            await log_in(self.wire, self.server, self.mechanisms, self.timeouts.command_seconds)
            tell("logged in")

    async def _say_hello(self) -> None:
        reply = await self._ask(f"EHLO {self.server.hostname}")
        if reply.code not in DONE:
            raise Lost(f"The server refused EHLO: {reply.sentence}")
        self.features, self.mechanisms = parse_esmtp_extensions(reply.text)

    async def _ask(self, line: str) -> Reply:
        return await self.wire.ask(line.encode(), self.timeouts.command_seconds)

    async def address(self, mail: Mail) -> Outcome | None:
        """Answer None once the recipient is accepted, else the outcome. Raises Lost up to MAIL: try another connection.

        However it ends before that, even cancelled, a connection of doubtful state is cut.
        """
        try:
            refused = await self._mail(mail)
            return refused or await self._rcpt(mail)
        except BaseException:
            self.wire.abort()
            raise

    async def _mail(self, mail: Mail) -> Outcome | None:
        if self.dirty and (reply := await self._ask("RSET")).code not in DONE:
            raise Lost(f"The server refused RSET: {reply.sentence}")
        self.carried, self.dirty = self.carried + 1, True
        utf8 = "smtputf8" in self.features
        if not utf8 and not mail.sender.isascii():
            return CredentialFailed("policy", 553, NO_UTF8)
        if not utf8 and not mail.recipient.isascii():
            return Rejected("soft", 553, NO_UTF8, "address")
        reply = await self._ask(f"MAIL FROM:<{mail.sender}>{self._parameters(mail)}")
        if reply.code == GOING_AWAY:
            raise Lost(f"The server broke off the connection: {reply.sentence}")
        mail.tell("MAIL")
        return self._refusal("mail", reply)

    async def _rcpt(self, mail: Mail) -> Outcome | None:
        try:
            reply = await self._ask(f"RCPT TO:<{mail.recipient}>")
            mail.tell("RCPT")
            return self._refusal("rcpt", reply)
        except Lost as lost:
            self.wire.abort()
            return NotSent(str(lost))

    def _parameters(self, mail: Mail) -> str:
        """Answer what MAIL says beside the sender: each only if the server offers it and the message needs it."""
        parameters = {
            f"SIZE={len(mail.message)}": "size" in self.features,
            "BODY=8BITMIME": "8bitmime" in self.features and not mail.message.isascii(),
            "SMTPUTF8": "smtputf8" in self.features and mail.needs_utf8,
        }
        return "".join(f" {parameter}" for parameter, said in parameters.items() if said)

    async def transfer(self, mail: Mail, deadline: float) -> Outcome:
        """Answer what became of the message, once its recipient is accepted; cancelled it answers at once too."""
        if time.monotonic() >= deadline:
            return NotSent(STALE)
        dotted = False
        try:
            if refused := await self._content(mail):
                return refused
            mail.tell("DATA")
            self.wire.write_now(DOT)
            # From here on nobody can say that it did not go out. No await may come in between: one lost the 250.
            dotted = True
            return self._concluded(await self.wire.hear(self.timeouts.reply_seconds))
        except Lost as lost:
            self.wire.abort()
            return Unknown(str(lost)) if dotted else NotSent(str(lost))
        except asyncio.CancelledError:
            self.wire.abort()
            return Unknown(SHUTDOWN) if dotted else NotSent(SHUTDOWN)

    async def _content(self, mail: Mail) -> Outcome | None:
        """Answer None once all but the final dot is written. Raises Lost."""
        _stop_if_cancelled()
        try:
            async with asyncio.timeout(self.timeouts.data_seconds):
                reply = await self.wire.ask(b"DATA", self.timeouts.data_seconds)
                if reply.code != GO_AHEAD:
                    return self._refusal("data", reply)
                await self._write(PERIOD_REGEX.sub(b"..", mail.message))
        except (Lost, TimeoutError) as error:
            if early := self.wire.early_refusal():
                self.wire.abort()
                return classify("data", early)
            raise Lost(str(error) or "The server did not take the message in time.") from error
        _stop_if_cancelled()
        return None

    async def _write(self, content: bytes) -> None:
        for start in range(0, len(content), CHUNK_BYTES):
            await self.wire.write_through(content[start : start + CHUNK_BYTES])
        # A reset or an early refusal that has already arrived is worth more before the dot than after it.
        await asyncio.sleep(0)
        self.wire.insist()

    def _refusal(self, asked: Asked, reply: Reply) -> Rejected | Deferred | CredentialFailed | None:
        """Answer None if the command was done. Raises Lost for an answer that fits no command."""
        if reply.code in DONE and asked != "data":
            return None
        if reply.code not in REFUSED:
            raise Lost(f"The server is out of step: {reply.sentence}")
        outcome = classify(asked, reply)
        if reply.code == GOING_AWAY or isinstance(outcome, CredentialFailed):
            self.wire.abort()
        return outcome

    def _concluded(self, reply: Reply) -> Outcome:
        """Answer what the reply to the final dot says. Raises Lost if it says nothing."""
        if refused := self._refusal("dot", reply):
            return refused
        self.dirty = False
        return Accepted(reply.words)

    async def end(self) -> None:
        """Be closed after a goodbye that waits a moment for its answer. Raises nothing."""
        try:
            await self.wire.ask(b"QUIT", self.timeouts.quit_seconds)
        except Lost:
            pass
        finally:
            self.wire.abort()


def _stop_if_cancelled() -> None:
    # Until 3.12 asyncio.wait_for forgets a cancellation that comes together with its result.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def converse(server: Server, timeouts: Timeouts, tell: Tell = tell_nobody) -> Conversation:
    """Answer a conversation that is ready for its first message. Raises Lost and LoginRefused."""
    conversation = Conversation(await connect(server, timeouts), server, timeouts)
    tell("connected")
    try:
        await conversation.begin(tell)
    except BaseException:
        conversation.wire.abort()
        raise
    return conversation
