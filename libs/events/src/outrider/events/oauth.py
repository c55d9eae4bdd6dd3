"""OAuth2: a fresh access token for a mail account, from the token server of whoever runs it. RFC 6749 section 6.

The only module that speaks HTTP to token servers, and the only one that imports httpx. Nothing is raised: what a server
does is an `Answer`.
"""

import asyncio
import json
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from socket import SOCK_STREAM
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx

from outrider.events.public_addresses import is_public

SECONDS: Final = 15.0
"""For one answer, everything included."""
LARGEST_ANSWER: Final = 65_536
LONGEST_TOKEN: Final = 8192
"""Characters: Microsoft's have 2,000 to 4,000; an AUTH line may have 12,288 octets (RFC 4954)."""
SHORTEST_LIFE_SECONDS: Final = 60.0
USUAL_LIFE_SECONDS: Final = 3600.0
"""What is supposed where a server does not say."""
LONGEST_WORDS: Final = 200
PROVIDERS: Final = {
    "google": "https://oauth2.googleapis.com/token",
    "microsoft": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
}
_TRANSIENT: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down"})


@dataclass(frozen=True, slots=True)
class Grant:
    """What the user consented to, and to whom: with it a token server gives access tokens."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    """Empty for a public client."""
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class House:
    """What the deployment allows and trusts."""

    allow_insecure: bool = False
    """Whether private and loopback addresses, and plain HTTP, may be used."""
    authorities: Path | None = None
    """PEM file of certification authorities trusted beside the usual ones."""


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token, and for how long it is one."""

    access_token: str = field(repr=False)
    seconds: float
    refresh_token: str | None = field(default=None, repr=False)
    """Another refresh token, to be used from now on."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The grant is worth nothing any more, or never was: asking again without a change is useless."""

    error: str
    """The code of RFC 6749 section 5.2, as `invalid_grant`."""
    words: str
    """Why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The token server cannot be asked now."""

    words: str


Answer = Granted | Refused | NoAnswer


async def refresh(grant: Grant, house: House, seconds: float = SECONDS) -> Answer:
    """An access token for this grant, within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            response = await _post(grant, house)
    except TimeoutError:
        return NoAnswer("The token server did not answer in time.")
    except _Unreachable as unreachable:
        return NoAnswer(str(unreachable))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        return NoAnswer(f"The token server was not reached: {_brief(error)}.")
    return _judged(*response)


class _Unreachable(Exception):
    """Why no connection is made."""


async def _post(grant: Grant, house: House) -> tuple[int, bytes]:
    """Status and body. The checked address itself is connected to: a second look-up might answer another one."""
    url = httpx.URL(grant.token_url)
    if url.scheme != "https" and not house.allow_insecure:
        raise _Unreachable("The token server is asked over https alone.")
    address = await _resolve(url, house)
    form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token, "client_id": grant.client_id}
    if grant.client_secret:
        form["client_secret"] = grant.client_secret
    headers = {"Host": url.netloc.decode("ascii"), "Accept": "application/json"}
    async with (
        httpx.AsyncClient(verify=_tls(house.authorities), trust_env=False, timeout=SECONDS) as client,
        client.stream(
            "POST", url.copy_with(host=address), data=form, headers=headers, extensions={"sni_hostname": url.host}
        ) as response,
    ):
        body = b""
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise _Unreachable("The token server's answer is too long.")
        return response.status_code, body


async def _resolve(url: httpx.URL, house: House) -> str:
    port = url.port or (443 if url.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=SOCK_STREAM)
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    allowed = [one for one in addresses if house.allow_insecure or is_public(one)]
    if not allowed:
        raise _Unreachable("The token server's address is private: this deployment does not allow that.")
    return allowed[0]


@lru_cache
def _tls(authorities: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(authorities)
    return context


def _judged(status: int, body: bytes) -> Answer:
    try:
        said: Any = json.loads(body)
    except ValueError:
        said = None
    fields = cast("dict[str, Any]", said) if isinstance(said, dict) else dict[str, Any]()
    if status == HTTPStatus.OK:
        return _granted(fields)
    error = fields.get("error")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or not isinstance(error, str) or error in _TRANSIENT:
        return NoAnswer(f"The token server answered {status}{_quoted(error)}.")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return NoAnswer("The token server is asked too often.")
    return Refused(error, _advice(error))


def _granted(fields: dict[str, Any]) -> Answer:
    token, kind = fields.get("access_token"), fields.get("token_type", "Bearer")
    sound = isinstance(token, str) and 0 < len(token) <= LONGEST_TOKEN and token.isascii() and token.isprintable()
    if not sound or not isinstance(kind, str) or kind.casefold() != "bearer":
        return NoAnswer("The token server answered without an access token.")
    life, rotated = fields.get("expires_in"), fields.get("refresh_token")
    number = isinstance(life, (int, float, str)) and not isinstance(life, bool)
    try:
        seconds = float(life) if number and life is not None else USUAL_LIFE_SECONDS
    except (ValueError, OverflowError):
        seconds = USUAL_LIFE_SECONDS
    keeps = isinstance(rotated, str) and 0 < len(rotated) <= LONGEST_TOKEN
    return Granted(str(token), max(SHORTEST_LIFE_SECONDS, seconds), rotated if keeps else None)


def _advice(error: str) -> str:
    """What its owner has to do. Of the server's own words the code alone: descriptions quote clients and users."""
    if error == "invalid_grant":
        return (
            "The refresh token is not valid any more (invalid_grant): the consent was withdrawn, has expired, or the "
            "password was changed. Let the user consent again, and PATCH oauth2.refresh_token."
        )
    if error in {"invalid_client", "unauthorized_client"}:
        return (
            f"The token server does not know the client ({_short(error)}): its id, its secret or its rights are "
            "wrong. PATCH oauth2 with those of the registration."
        )
    return f"The token server refuses the grant ({_short(error)}): look at the client's registration, and PATCH oauth2."


def _quoted(error: object) -> str:
    return f" ({_short(error)})" if isinstance(error, str) else ""


def _short(error: str) -> str:
    return "".join(sign for sign in error if sign.isascii() and sign.isprintable())[:LONGEST_WORDS]


def _brief(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def is_token_url(text: str) -> bool:
    """Whether it can be asked for tokens at all: http(s), with a host, without credentials or a fragment in it."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    sound = parts.scheme in {"http", "https"} and parts.hostname and not (parts.username or parts.fragment)
    return bool(sound) and text.isascii() and text.isprintable() and " " not in text and port != 0
