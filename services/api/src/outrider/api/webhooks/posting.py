"""HTTP out: one POST to an address that was looked at, answered by an Outcome, never by an exception."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from outrider.events.public_addresses import is_public

SECONDS: Final = 10.0
"""For everything: the name, the connection, the request and the answer."""
IDLE_SECONDS: Final = 5.0
"""So long a connection is kept for the next delivery. Behind it the name is looked up, and looked at, anew."""
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
    """Connections to everybody's endpoints. To be made where a loop runs."""

    def __init__(self, *, inside: bool, trust_ca: str = "", resolve: Resolve | None = None) -> None:
        """`inside`: private addresses may be reached. `trust_ca` is a file of further authorities."""
        context = ssl.create_default_context()
        if trust_ca:
            context.load_verify_locations(trust_ca)
        self._inside = inside
        self._names = _Names(resolve, inside=inside)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self._names,
                use_dns_cache=False,
                socket_factory=self._socket,
                ssl=context,
                limit=0,
                keepalive_timeout=IDLE_SECONDS,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # ours is over everything
            skip_auto_headers=("Accept-Encoding",),
            auto_decompress=False,
        )

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """The endpoint was asked once. Redirects are answers like others; what it says beside its status is dropped."""
        status: int | None = None
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._session.post(URL(url, encoded=True), headers=headers, data=body, allow_redirects=False) as answer,
            ):
                status = answer.status
                size = 0
                async for chunk in answer.content.iter_any():
                    size += len(chunk)
                    if size > MOST_BYTES:
                        answer.close()
                        return Outcome(status, "the answer is too large")
        except (_Refused, aiohttp.InvalidURL):
            return Outcome(None, "the address is not allowed")
        except TimeoutError:
            return Outcome(status, "no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: of a URL, and of what was answered
            return Outcome(status, _reason(error))
        return Outcome(status, None if status in OK else f"answered {status}")

    async def close(self) -> None:
        """Every connection is closed."""
        await self._session.close()
        await self._names.close()

    def _socket(self, place: "tuple[int, int, int, str, tuple[Any, ...]]") -> socket.socket:
        """A socket for the very address that is connected to, also where a URL has one instead of a name."""
        family, kind, protocol, _, address = place
        if not self._inside and not is_public(str(address[0])):
            raise _Refused
        return socket.socket(family, kind, protocol)


class _Names(AbstractResolver):
    """Names are resolved here, at every connection, and nowhere else; one bad address spoils the name."""

    def __init__(self, resolve: Resolve | None, *, inside: bool) -> None:
        self._lookups = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="webhooks.dns")
        self._addresses = resolve or self._look_up
        self._inside = inside

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family  # of any
        addresses = await self._addresses(host, port)
        if not self._inside and not all(is_public(address) for address in addresses):
            raise _Refused
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return [_place(host, port, address) for address in addresses]

    async def close(self) -> None:
        self._lookups.shutdown(wait=False, cancel_futures=True)

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        """Every address of the name, as the system finds them."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._lookups, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(one[4][0]) for one in found))


def _place(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}


def _reason(error: Exception) -> str:
    """In words that hold nothing of what the other side said."""
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "the certificate or TLS was not accepted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name has no address"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    return "the connection broke off"
