"""HTTP out: one POST to an address that was looked at, answered by an Outcome, never by an exception."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, cast

import httpcore

from outrider.events.public_addresses import is_public

SECONDS: Final = 10.0
"""For everything: the name, the connection, the request and the answer."""
MOST_BYTES: Final = 65_536
"""Of an answer, which nobody reads."""
LOOKUPS: Final = 32
"""At once: a name server that hangs holds up as many names, and no more."""
OK: Final = range(200, 300)
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Outcome(NamedTuple):
    """What became of one attempt."""

    status: int | None
    """None: there was no answer."""
    error: str | None
    """None: it was taken."""


class _Refused(Exception):
    """The name leads to an address that nothing is sent to."""


class Poster:
    """Connections to everybody's endpoints."""

    def __init__(self, *, inside: bool, trust_ca: str = "", resolve: Resolve | None = None) -> None:
        """`inside`: private addresses may be reached. `trust_ca` is a file of further authorities."""
        context = ssl.create_default_context()
        if trust_ca:
            context.load_verify_locations(trust_ca)
        self._lookups = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="webhooks.dns")
        backend = _Checked(resolve or self._resolve, inside=inside)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, max_connections=None, keepalive_expiry=5.0, network_backend=backend
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """The endpoint was asked once. Redirects are answers like others; what it says beside its status is dropped."""
        status: int | None = None
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._pool.stream("POST", url, headers=list(headers.items()), content=body) as said,
            ):
                status = said.status
                size = 0
                async for chunk in said.aiter_stream():
                    size += len(chunk)
                    if size > MOST_BYTES:
                        return Outcome(status, "the answer is too large")
        except _Refused:
            return Outcome(None, "the address is not allowed")
        except (TimeoutError, httpcore.TimeoutException):
            return Outcome(status, "no answer in time")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
            return Outcome(status, _reason(error))
        return Outcome(status, None if status in OK else f"answered {status}")

    async def close(self) -> None:
        """Every connection is closed."""
        await self._pool.aclose()
        self._lookups.shutdown(wait=False, cancel_futures=True)

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        """Every address of the name, as the system finds them."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._lookups, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(one[4][0]) for one in found))


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to no address that was not looked at; names are resolved here, at every connection, and nowhere else."""

    def __init__(self, resolve: Resolve, *, inside: bool) -> None:
        self._resolve = resolve
        self._inside = inside
        self._sockets = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolve(host, port)
        if not self._inside and not all(is_public(address) for address in addresses):
            raise _Refused
        failed: Exception = httpcore.ConnectError("the name has no address")
        for address in addresses:
            try:
                return _Closing(await self._sockets.connect_tcp(address, port, timeout, local_address, socket_options))
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failed = error
        raise failed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Closing(httpcore.AsyncNetworkStream):
    """A connection that is closed where TLS does not come about, in whatever way.

    httpcore closes it after a failure, and leaves it open where it is cancelled, as it is when the time is over.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # the interface is httpcore's
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # the interface is httpcore's
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the interface is httpcore's
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # the interface is httpcore's
        return self._stream.get_extra_info(info)


def _reason(error: Exception) -> str:
    """In words that hold nothing of what the other side said."""
    causes = [error, error.__cause__, error.__context__]
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return "the certificate or TLS was not accepted"
    if isinstance(error, socket.gaierror):
        return "the name has no address"
    if isinstance(error, httpcore.ConnectError):
        return "no connection"
    return "the connection broke off"
