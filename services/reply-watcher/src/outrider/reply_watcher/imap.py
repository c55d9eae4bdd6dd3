"""The wire of IMAP: the only module that imports aioimaplib, which is GPL-3.0-only and untyped.

Its faults, and what stands against them here:
- it parses recursively, a frame a line, and dies of a burst of 1,000: lines are fed a hundred at a time;
- a failed parse would be logged with the command in it, a LOGIN with its password: it is caught before that;
- after a lost connection its commands wait for ever: `asked` races each against the loss and a deadline;
- `idle_start` can hang: IDLE is begun here, under `asked` as well;
- it cannot STARTTLS: the transport is upgraded here.
At any doubt (silence, an unreadable answer, more bytes than asked for) the connection is cut, never repaired.
"""

# This is the seam: the package has no types, and half of what can be inferred of it is unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false, reportIncompatibleVariableOverride=false

import asyncio
import functools
import logging
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeVar, cast

from aioimaplib import aioimaplib

from outrider.reply_watcher.imap_answers import Line
from outrider.reply_watcher.imap_hosts import addresses_of
from outrider.reply_watcher.imap_values import Broken, Mailbox, Unreachable

ANSWER_BYTES: Final = 16_777_216
"""Octets that one command may be answered with: a search of a million messages has 8 MB."""

_LINES_AT_ONCE: Final = 100
_RUNG: Final = re.compile(rb"\* \d+ EXISTS")

T = TypeVar("T")

logging.getLogger("aioimaplib").setLevel(logging.WARNING)  # below that it quotes what servers say: mail


class Answer(NamedTuple):
    """What a command was answered with."""

    result: str
    lines: list[Line]

    @property
    def words(self) -> str:
        """The server's closing words."""
        return bytes(self.lines[-1]).decode("utf-8", "replace") if self.lines else ""


class _Protocol(aioimaplib.IMAP4ClientProtocol):  # type: ignore[misc]  # untyped, hence Any to mypy
    """aioimaplib's protocol, fed in small pieces; it never lets an exception out to the event loop's log."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.lost: asyncio.Future[None] = loop.create_future()
        self.bell = asyncio.Event()
        self.fault = ""
        self.received = 0
        self.answers: list[str] = []
        """To the challenges of the log-in under way; beyond these each is answered with an empty line."""
        self._held: list[bytes] = []

    def data_received(self, d: bytes) -> None:
        self.received += len(d)
        if self.fault:
            return
        if self.received > ANSWER_BYTES:
            self.give_up("the server sent more than it was asked for")
            return
        self._held.append(d)
        if self.incomplete_line and b"\n" not in d:
            return  # the package would copy the line for every packet of it: quadratic for a long SEARCH
        whole, self._held = b"".join(self._held), []
        try:
            for piece in _pieces(whole):
                super().data_received(piece)
        except Exception as error:  # noqa: BLE001  # its messages quote commands, passwords too: only the kind is kept
            self.give_up(f"the server's answer is unreadable ({type(error).__name__})")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fault = self.fault or f"the connection was lost{f': {exc}' if exc else ''}"
        if not self.lost.done():
            self.lost.set_result(None)

    def give_up(self, words: str) -> None:
        self.fault = self.fault or words
        with suppress(AttributeError):  # Python 3.11.2: of a TLS connection that has ended already
            cast("asyncio.Transport", self.transport).abort()

    def _handle_line(self, line: bytes, current_cmd: Any) -> Any:  # noqa: ANN401  # the package's own Command
        if _RUNG.match(line):
            self.bell.set()
        return super()._handle_line(line, current_cmd)

    def _continuation(self, line: bytes) -> None:
        pending = self.pending_sync_command
        if pending is not None and pending.name == "AUTHENTICATE":
            answer = self.answers.pop(0) if self.answers else ""
            self.send(answer, scrub=answer or None)
            return
        super()._continuation(line)

    async def welcome(self, command: bytes) -> None:
        try:
            await super().welcome(command)
        except Exception:  # noqa: BLE001  # it runs in a task of its own that nobody awaits
            self.give_up(command.decode("utf-8", "replace"))


class Wire:
    """One connection; whatever is asked of it ends by its deadline, and a failure ends the connection."""

    def __init__(self, protocol: _Protocol, seconds: float) -> None:
        """Speak over a connected protocol; every command has so many seconds."""
        self._protocol, self._seconds = protocol, seconds

    @classmethod
    async def connect(cls, mailbox: Mailbox, seconds: float) -> Self:
        """Connect, greet and upgrade to TLS, as the mailbox wants it; raises Unreachable."""
        try:
            async with asyncio.timeout(seconds):
                transport, protocol = await _connected(mailbox)
        except TimeoutError:
            raise Unreachable(f"no connection within {seconds:g} s") from None
        except (OSError, UnicodeError) as error:
            raise Unreachable(str(error)) from None
        _watch(transport.get_extra_info("socket"))
        wire = cls(protocol, seconds)
        try:
            await wire._asked(protocol.wait("AUTH|NONAUTH"))
            if mailbox.security == "starttls":
                await wire._upgrade(mailbox)
        except Broken as broken:
            raise Unreachable(broken.words) from None
        except BaseException:
            wire.cut("closed")
            raise
        return wire

    @property
    def offers(self) -> frozenset[str]:
        """What the server said it can."""
        return frozenset(str(one).upper() for one in self._protocol.capabilities)

    @property
    def bell(self) -> asyncio.Event:
        """Set whenever the server says that the open folder has grown."""
        return self._protocol.bell

    async def login(self, username: str, password: str) -> Answer:
        """Ask to be let in, and anew what the server offers to those it knows; raises ValueError, Broken."""
        secret = aioimaplib.quoted(password)
        answer = await self.ask("LOGIN", aioimaplib.quoted(username), secret, secret=secret)
        if answer.result == "OK":
            self._protocol.state = aioimaplib.AUTH
            await self._asked(self._protocol.capability())
        return answer

    async def bear(self, username: str, token: str) -> Answer:
        """Ask to be let in with an access token (XOAUTH2); raises Broken.

        What is wrong with it comes as a challenge: an empty answer to that brings the verdict.
        """
        said = b64encode(f"user={username}\1auth=Bearer {token}\1\1".encode()).decode()
        arguments = ["XOAUTH2"]
        if "SASL-IR" in self.offers:
            arguments.append(said)
        else:
            self._protocol.answers.append(said)
        try:
            answer = await self.ask("AUTHENTICATE", *arguments, secret=said)
        finally:
            self._protocol.answers.clear()
        if answer.result == "OK":
            self._protocol.state = aioimaplib.AUTH
            await self._asked(self._protocol.capability())
        return answer

    async def examine(self, folder: str) -> Answer:
        """Ask to open this folder read-only; raises Broken."""
        self._protocol.state = aioimaplib.AUTH
        answer = await self.ask("EXAMINE", aioimaplib.quoted(folder))
        if answer.result == "OK":
            self._protocol.state = aioimaplib.SELECTED
        return answer

    async def ask(self, name: str, *arguments: str, prefix: str = "", secret: str | None = None) -> Answer:
        """Send one command; its answer, good or bad. Raises Broken, and ValueError for CR, LF or NUL in it."""
        wire, kind = self._protocol, aioimaplib.FetchCommand
        command: Any
        if name == "FETCH":  # it alone knows that an answer goes on after a literal
            command = kind(wire.new_tag(), *arguments, prefix=prefix or None, loop=wire.loop)
        else:
            command = aioimaplib.Command(name, wire.new_tag(), *arguments, prefix=prefix or None, loop=wire.loop)
        result, lines = await self._asked(wire.execute(command, scrub=secret))
        return Answer(cast("str", result), cast("list[Line]", lines))

    async def idle(self, seconds: float) -> None:
        """Idle until the bell rings or so many seconds have passed; raises Broken."""
        idling = asyncio.ensure_future(self._protocol.idle())
        agreed = asyncio.ensure_future(self._protocol.wait_for_idle_response())
        try:
            await self._asked(asyncio.wait({idling, agreed}, return_when=asyncio.FIRST_COMPLETED))
            if idling.done():
                self.cut("the server refuses to idle")
                raise Broken(self._protocol.fault)
            await self.listen(seconds)
            await self._asked(self._end_idling(idling))
        finally:
            agreed.cancel()
            idling.cancel()
        while not self._protocol.idle_queue.empty():
            self._protocol.idle_queue.get_nowait()

    async def _end_idling(self, idling: "asyncio.Future[Any]") -> None:
        self._protocol.idle_done()
        await idling

    async def listen(self, seconds: float) -> None:
        """Return once the bell rings or so many seconds have passed; raises Broken."""
        rung = asyncio.ensure_future(self.bell.wait())
        either: set[asyncio.Future[Any]] = {rung, self._protocol.lost}
        try:
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            rung.cancel()
        if self._protocol.lost.done():
            raise Broken(self._protocol.fault)

    async def leave(self) -> None:
        """Log out; the connection is gone after two seconds, whatever the server does. Raises nothing."""
        transport = cast("asyncio.Transport", self._protocol.transport)
        if not transport.is_closing():
            transport.write(b"bye LOGOUT\r\n")
            await asyncio.wait({self._protocol.lost}, timeout=2.0)
        self.cut("closed")

    def cut(self, words: str) -> None:
        """End the connection at once; the words are kept as the reason if there is none yet."""
        self._protocol.give_up(words)

    async def _asked(self, speaking: Awaitable[T]) -> T:
        """Wait for it, for the loss of the connection, or for the deadline, whichever comes first."""
        wire = self._protocol
        wire.received = 0
        task = asyncio.ensure_future(speaking)
        either: set[asyncio.Future[Any]] = {task, wire.lost}
        try:
            await asyncio.wait(either, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        except (aioimaplib.AioImapException, OSError, RuntimeError) as error:  # uvloop's: the handler is closed
            wire.give_up(str(error))
            raise Broken(wire.fault) from None
        finally:
            task.cancel()
        wire.give_up(f"no answer within {self._seconds:g} s")
        raise Broken(wire.fault)

    async def _upgrade(self, mailbox: Mailbox) -> None:
        wire = self._protocol
        if "STARTTLS" not in self.offers:
            self.cut("the server does not offer STARTTLS")
            raise Broken(wire.fault)
        answer = await self.ask("STARTTLS")
        if answer.result != "OK" or wire.incomplete_line:  # the rest of a line would be taken for an answer under TLS
            self.cut(f"the server does not start TLS: {answer.words}")
            raise Broken(wire.fault)
        plain = cast("asyncio.Transport", wire.transport)
        start = asyncio.get_running_loop().start_tls(plain, wire, _tls(mailbox.authority), server_hostname=mailbox.host)
        wire.transport = await self._asked(start)
        wire.capabilities = set()  # what was said in the clear does not count
        await self._asked(wire.capability())


async def _connected(mailbox: Mailbox) -> tuple[asyncio.Transport, _Protocol]:
    loop = asyncio.get_running_loop()
    context, name = (_tls(mailbox.authority), mailbox.host) if mailbox.security == "tls" else (None, None)
    failure = OSError("the host has no address")
    for address in await addresses_of(mailbox):
        try:
            return await loop.create_connection(
                lambda: _Protocol(loop), address, mailbox.port, ssl=context, server_hostname=name
            )
        except OSError as error:
            failure = error
    raise failure


def _pieces(data: bytes) -> list[bytes]:
    """Cut where the network could have cut as well, so that no piece has more lines than the parser's stack bears."""
    lines = data.splitlines(keepends=True) if data.count(b"\n") > _LINES_AT_ONCE else [data]
    return [b"".join(lines[at : at + _LINES_AT_ONCE]) for at in range(0, len(lines), _LINES_AT_ONCE)]


@functools.cache
def _tls(authority: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()  # shared: a fresh one costs 25 ms
    if authority is not None:
        context.load_verify_locations(authority)
    return context


def _watch(connection: socket.socket) -> None:
    """Let the kernel notice within a minute that the other end is gone without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
