"""One connection to a submission server: resolved, checked, encrypted; commands out, whole replies in.

aiosmtplib's protocol reads the replies. Its client is not used: it cannot tell a loss before DATA from one after the
final dot, rewrites addresses it does not like, and encrypts only if the server happens to offer it.
"""

import asyncio
import re
import ssl
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from socket import SOCK_STREAM

from aiosmtplib.errors import SMTPException, SMTPResponseException, SMTPTimeoutError
from aiosmtplib.protocol import SMTPProtocol

from outrider.events.public_addresses import is_public
from outrider.sender.smtp_outcomes import Server, Timeouts
from outrider.sender.smtp_verdicts import PERMANENT, Reply

UNASKED_MAX = 4096
ADDRESSES_TRIED = 4


class Lost(Exception):  # what happened, not an error of ours
    """The connection is of no use any more; the message is why, in a sentence."""


class Wire(SMTPProtocol):
    """aiosmtplib's protocol, which also keeps what the server says unasked: a goodbye, a refusal in mid-DATA."""

    def __init__(self) -> None:
        """Have no connection yet."""
        super().__init__()
        self._stray = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Await the greeting; the loop calls this."""
        super().connection_made(transport)
        _keep_nothing_back(transport)

    def data_received(self, data: bytes) -> None:
        """Read a reply that is due, and put aside what is not; the loop calls this."""
        waiter = self._response_waiter
        if self._response_pending and waiter is not None and not waiter.done():
            super().data_received(data)
        elif len(self._stray) < UNASKED_MAX:
            self._stray.extend(data)

    @property
    def unasked(self) -> bytes:
        """What came without a question; asked between two commands only."""
        return bytes(self._buffer + self._stray)

    @property
    def usable(self) -> bool:
        """Whether a command may be written: connected, and the next reply will be the answer to it."""
        return self.is_connected and not self.unasked

    def insist(self) -> None:
        """Raise Lost unless usable."""
        if not self.usable:
            raise Lost(self._reason_of_loss())

    def early_refusal(self) -> Reply | None:
        """Answer the 4xx or 5xx that came unasked, if one did."""
        said = re.match(rb"([45]\d\d)[ -]([^\r\n]*)\r?\n", self.unasked)
        return Reply(int(said[1]), said[2].decode(errors="replace")) if said else None

    async def ask(self, line: bytes, timeout_seconds: float) -> Reply:
        """Answer the reply to a command. Raises Lost."""
        self.insist()
        try:
            response = await self.execute_command(line, timeout=timeout_seconds)
        except SMTPException as error:
            raise Lost(self._reason_of_loss(error)) from error
        return _sane(response.code, response.message)

    async def hear(self, timeout_seconds: float) -> Reply:
        """Answer the reply that is due: the greeting, or the answer to what was written. Raises Lost."""
        try:
            response = await self.read_response(timeout_seconds)
        except SMTPException as error:
            raise Lost(self._reason_of_loss(error)) from error
        return _sane(response.code, response.message)

    async def encrypt(self, server: Server, timeout_seconds: float) -> None:
        """Have TLS on the connection, by STARTTLS. Raises Lost."""
        try:
            await self.start_tls(tls_context(server.authorities), server.host, timeout_seconds)
        except SMTPResponseException as error:
            raise Lost(f"STARTTLS was refused: {Reply(error.code, error.message).sentence}") from error
        except (SMTPException, OSError) as error:
            raise Lost(_reason(error, "TLS")) from error
        if self.transport is not None:
            _keep_nothing_back(self.transport)

    async def write_through(self, data: bytes) -> None:
        """Have the kernel hold every byte (with implicit TLS: all but 64 KiB). Raises Lost."""
        try:
            self.write(data)
            await self._drain_helper()
        except OSError as error:  # SMTPServerDisconnected is one
            raise Lost(self._reason_of_loss()) from error

    def write_now(self, data: bytes) -> None:
        """Hand the bytes over without yielding to the loop. Raises Lost if none was."""
        try:
            self.write(data)
        except OSError as error:
            raise Lost(self._reason_of_loss()) from error

    def abort(self) -> None:
        """Cut the connection; what is not written yet never will be."""
        if isinstance(self.transport, asyncio.WriteTransport):
            with suppress(AttributeError):  # Python 3.11.2: of a TLS connection that has ended already
                self.transport.abort()

    def leave(self) -> None:
        """Say goodbye, without waiting for an answer."""
        if self.usable and isinstance(self.transport, asyncio.WriteTransport):
            self.transport.write(b"QUIT\r\n")
            self.transport.close()
        else:
            self.abort()

    def _reason_of_loss(self, error: Exception | None = None) -> str:
        if isinstance(error, SMTPTimeoutError):
            return "The server did not answer in time."
        if isinstance(error, SMTPResponseException):
            return "The server answered something that is not SMTP."
        said = Reply(0, self.unasked.decode(errors="replace")).words
        return f"The server broke off the connection: {said}" if said else "The server broke off the connection."


def _sane(code: int, text: str) -> Reply:
    if not 200 <= code < PERMANENT.stop:  # noqa: PLR2004  # RFC 5321 §4.2.1: the first digit is 2 to 5
        raise Lost("The server answered something that is not SMTP.")
    return Reply(code, text.encode(errors="replace").decode())  # the parser leaves lone surrogates in


def _keep_nothing_back(transport: asyncio.BaseTransport) -> None:
    # Drained then means: the kernel has it. With a limit of 0 asyncio's TLS pauses and never resumes.
    if isinstance(transport, asyncio.WriteTransport):
        transport.set_write_buffer_limits(high=1, low=0)


@lru_cache
def tls_context(authorities: Path | None) -> ssl.SSLContext:
    """Answer the one context of all connections: a fresh one costs 25 ms a handshake. Raises OSError for a bad file."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authorities is not None:
        context.load_verify_locations(authorities)
    return context


async def resolve(server: Server, timeout_seconds: float) -> list[str]:
    """Answer the addresses that may be connected to. Raises Lost when there are none."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_seconds):
            found = await loop.getaddrinfo(server.host, server.port, type=SOCK_STREAM)
    except (OSError, ValueError) as error:  # a timeout is an OSError, a label of 64 signs or a NUL a ValueError
        raise Lost(f"The name of the server was not found: {_brief(error)}") from error
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    allowed = [address for address in addresses if server.allow_insecure or is_public(address)]
    if not allowed:
        raise Lost("The server's address is private: this deployment does not allow that.")
    return allowed


async def connect(server: Server, timeouts: Timeouts) -> Wire:
    """Answer a connection on which the greeting is due. Raises Lost."""
    if server.security == "none" and not server.allow_insecure:
        raise Lost("Mail without TLS is not allowed by this deployment.")
    reason = ""
    # The checked addresses themselves are connected to: a second look-up might answer another one.
    for address in (await resolve(server, timeouts.dns_seconds))[:ADDRESSES_TRIED]:
        try:
            async with asyncio.timeout(timeouts.connect_seconds):
                return await _connect(server, address)
        except OSError as error:
            reason = _reason(error, "The connection")
    raise Lost(reason)


async def _connect(server: Server, address: str) -> Wire:
    loop = asyncio.get_running_loop()
    if server.security == "tls":
        context = tls_context(server.authorities)
        _, wire = await loop.create_connection(Wire, address, server.port, ssl=context, server_hostname=server.host)
    else:
        _, wire = await loop.create_connection(Wire, address, server.port)
    return wire


def _reason(error: Exception, part: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The server's certificate is not trusted: {error.verify_message}"
    return f"{'TLS' if isinstance(error, ssl.SSLError) else part} failed: {_brief(error)}"


def _brief(error: Exception) -> str:
    if isinstance(error, TimeoutError | SMTPTimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "no agreement").replace("_", " ").lower()
    return str(error.strerror) if isinstance(error, OSError) and error.strerror else type(error).__name__
