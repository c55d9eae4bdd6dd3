"""SMTP: one message over one credential's server, and a definite answer what became of it.

    connections = Connections(Server("mail.example.com", 587, "starttls", "ann", "secret"))
    outcome = await connections.send("ann@example.com", "bob@example.org", message, deadline=time.monotonic() + 60)
    await connections.close()

Nothing is raised: what the world does is an `Outcome`.
"""

import asyncio
import time
from dataclasses import dataclass, field

from aiosmtplib.protocol import normalize_message_line_endings

from outrider.sender.smtp_addresses import is_plain
from outrider.sender.smtp_conversation import SHUTDOWN, STALE, Conversation, Mail, Tell, converse, tell_nobody
from outrider.sender.smtp_login import LoginRefused
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
from outrider.sender.smtp_wire import Lost

__all__ = [
    "Accepted",
    "Connections",
    "CredentialFailed",
    "Deferred",
    "NotSent",
    "Outcome",
    "Rejected",
    "Server",
    "Timeouts",
    "Unknown",
    "verify",
]

MESSAGES_PER_CONNECTION = 100
NOT_AN_ADDRESS = "5.1.3 This is not an e-mail address"
NOT_A_SENDER = "5.1.7 The sender is not an e-mail address"


@dataclass(eq=False)
class _Idle:
    """A connection that waits for its next message, and the timer that will close it."""

    conversation: Conversation
    timer: asyncio.TimerHandle


@dataclass(eq=False)
class Connections:
    """The connections of one credential: at most `limit`, each used again until it is old, idle or in doubt."""

    server: Server
    limit: int = 2
    timeouts: Timeouts = field(default_factory=Timeouts)
    _idle: list[_Idle] = field(default_factory=list[_Idle], init=False)
    _sending: set[asyncio.Task[Outcome]] = field(default_factory=set[asyncio.Task[Outcome]], init=False)
    _closed: bool = field(default=False, init=False)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Have every slot free."""
        self._slots = asyncio.Semaphore(self.limit)

    async def send(
        self, sender: str, recipient: str, message: bytes, deadline: float, tell: Tell = tell_nobody
    ) -> Outcome:
        """Answer what became of the message; past the deadline (of time.monotonic()) it never enters DATA.

        `tell` hears how far it is.

        Cancelling does not raise: the conversation is cut, and what is then known is answered at once, NotSent before
        the final dot and Unknown after it. The caller records that and ends.
        """
        if not is_plain(sender):
            return CredentialFailed("policy", 553, NOT_A_SENDER)
        if not is_plain(recipient):
            return Rejected("hard", 553, NOT_AN_ADDRESS, "address")
        mail = Mail(sender, recipient, normalize_message_line_endings(message), tell)
        sending = asyncio.create_task(self._send(mail, deadline))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        try:
            return await sending
        except asyncio.CancelledError:
            # Cancelled either before its first step, or when it was done and we had not woken up to its answer yet.
            return sending.result() if sending.done() and not sending.cancelled() else NotSent(SHUTDOWN)

    async def _send(self, mail: Mail, deadline: float) -> Outcome:
        if self._closed:
            return NotSent(SHUTDOWN)
        if time.monotonic() >= deadline:
            return NotSent(STALE)
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._slots.acquire()
        except TimeoutError:
            return NotSent(STALE)
        except asyncio.CancelledError:
            return NotSent(SHUTDOWN)
        try:
            return await self._send_now(mail, deadline)
        finally:
            self._slots.release()

    async def _send_now(self, mail: Mail, deadline: float) -> Outcome:
        """Answer the outcome: the way up to RCPT ends with the deadline, whatever keeps it waiting."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                ready = await self._addressed(mail)
        except TimeoutError:
            return NotSent(STALE)
        except Lost as lost:
            return NotSent(str(lost))
        except LoginRefused as refused:
            return CredentialFailed("auth_failed", refused.reply.code, refused.reply.words)
        except asyncio.CancelledError:
            return NotSent(SHUTDOWN)
        conversation, refused_envelope = ready
        outcome = refused_envelope or await conversation.transfer(mail, deadline)
        self._keep(conversation)
        return outcome

    async def _addressed(self, mail: Mail) -> tuple[Conversation, Outcome | None]:
        """Answer a conversation whose envelope stands, or is refused. Raises Lost and LoginRefused."""
        if conversation := self._take():
            try:
                return conversation, await conversation.address(mail)
            except Lost:
                pass  # closed while idle: nothing was sent, so another connection may try, once
        conversation = await converse(self.server, self.timeouts, mail.tell)
        return conversation, await conversation.address(mail)

    def _take(self) -> Conversation | None:
        """Answer the connection used last, if any is still good."""
        while self._idle:
            idle = self._idle.pop()
            idle.timer.cancel()
            if idle.conversation.wire.usable:
                return idle.conversation
            idle.conversation.wire.abort()
        return None

    def _keep(self, conversation: Conversation) -> None:
        """Have the connection wait for its next message, or be closed."""
        if self._closed or conversation.carried >= MESSAGES_PER_CONNECTION or not conversation.wire.usable:
            conversation.wire.leave()
            return
        timer = asyncio.get_running_loop().call_later(self.timeouts.idle_seconds, self._retire, conversation)
        self._idle.append(_Idle(conversation, timer))

    def _retire(self, conversation: Conversation) -> None:
        self._idle = [idle for idle in self._idle if idle.conversation is not conversation]
        conversation.wire.leave()

    async def close(self) -> None:
        """Have every connection closed; sends under way answer at once what is then known, later ones NotSent."""
        self._closed = True
        sending = list(self._sending)
        for task in sending:
            task.cancel()
        if sending:
            await asyncio.wait(sending)
        idle, self._idle = self._idle, []
        for one in idle:
            one.timer.cancel()
        await asyncio.gather(*(one.conversation.end() for one in idle))


async def verify(server: Server, timeout_seconds: float) -> str | None:
    """Answer None if the login works, else why not, in a sentence or in the server's words. Raises nothing."""
    try:
        async with asyncio.timeout(timeout_seconds):
            conversation = await converse(server, Timeouts())
            offered = "auth" in conversation.features
            await conversation.end()
    except TimeoutError:
        return "The server did not answer in time."
    except Lost as lost:
        return str(lost)
    except LoginRefused as refused:
        return refused.reply.sentence
    return None if offered or not server.username else "The server offers no login."
