"""AUTH: one mechanism both sides know, and the server's verdict. RFC 4954."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiosmtplib.auth import auth_crammd5_verify, auth_login_encode, auth_plain_encode, auth_xoauth2_encode
from aiosmtplib.errors import SMTPException

from outrider.sender.smtp_outcomes import Bearer, Server
from outrider.sender.smtp_verdicts import TEMPORARY, Reply
from outrider.sender.smtp_wire import Lost, Wire

LOGGED_IN, CHALLENGE, REFUSED = 235, 334, 535
XOAUTH2 = "xoauth2"
UNKNOWN_MECHANISM = frozenset({500, 501, 502, 504})
HEAD: Final = 8
"""Of a word in base64: by so many signs it is told even where a server cuts off what it echoes."""


@dataclass(frozen=True, slots=True)
class _Talk:
    """What is said for a log-in, and the secrets in it: some servers echo what they do not understand."""

    wire: Wire
    timeout_seconds: float
    said: list[str] = field(default_factory=list[str], repr=False)
    """In base64."""

    async def ask(self, command: bytes, word: bytes = b"") -> Reply:
        """The server's answer, as it is. Raises Lost."""
        self.said.append(word.decode())
        return await self.wire.ask(command + word, self.timeout_seconds)

    def hushed(self, text: str, secret: str) -> str:
        """What the server said, with neither the secret nor anything that was said in base64 in it."""
        patterns = [rf"{re.escape(word[:HEAD])}[a-z0-9+/=]*" for word in self.said if word]
        patterns += [re.escape(secret)] if secret else []
        for pattern in patterns:
            text = re.sub(pattern, "***", text, flags=re.IGNORECASE)
        return text


Mechanism = Callable[[_Talk, Server], Awaitable[Reply]]


class LoginRefused(Exception):  # the server's turn, not an error of ours
    """The server refused username and password for good."""

    def __init__(self, reply: Reply) -> None:
        """Keep its words."""
        super().__init__(reply.sentence)
        self.reply = reply


async def log_in(wire: Wire, server: Server, offered: Sequence[str], timeout_seconds: float) -> None:
    """Be logged in. Raises LoginRefused, and Lost when the server asks to try later; neither tells a secret.

    Another mechanism is tried only where the server does not know the first: each failure counts towards a lock-out.
    """
    if server.bearer is not None:
        await _log_in_with_token(wire, server, server.bearer, offered, timeout_seconds)
        return
    preferred = MECHANISMS if server.security != "none" else dict(reversed(MECHANISMS.items()))
    reply = Reply(504, "5.5.4 The server offers no login that is supported here")
    talk = _Talk(wire, timeout_seconds)
    for name in preferred:
        if name in offered:
            reply = await _verdict(talk, preferred[name](talk, server), server.password)
            if reply.code not in UNKNOWN_MECHANISM:
                break
    _judge(reply)


async def _verdict(talk: _Talk, mechanism: Awaitable[Reply], secret: str) -> Reply:
    """The last answer, without a secret in it. Raises Lost, alike."""
    try:
        reply = await mechanism
    except Lost as lost:
        raise Lost(talk.hushed(str(lost), secret)) from None
    return Reply(reply.code, talk.hushed(reply.text, secret))


def _judge(reply: Reply) -> None:
    """Raise LoginRefused or Lost unless it says that we are in."""
    if reply.code == LOGGED_IN:
        return
    if reply.code in TEMPORARY:
        raise Lost(f"The server put off the login: {reply.sentence}")
    raise LoginRefused(reply)


async def _log_in_with_token(
    wire: Wire, server: Server, bearer: Bearer, offered: Sequence[str], timeout_seconds: float
) -> None:
    """Be logged in with an access token; one that was kept may have been withdrawn, so another is tried once."""
    if XOAUTH2 not in offered:
        raise LoginRefused(Reply(504, "5.5.4 The server offers no login with OAuth2 (XOAUTH2)"))
    token = await bearer.token()
    talk = _Talk(wire, timeout_seconds)
    reply = await _verdict(talk, _xoauth2(talk, server, token.text), token.text)
    if reply.code == REFUSED and not token.fresh:
        token = await bearer.token(but_not=token.text)
        reply = await _verdict(talk, _xoauth2(talk, server, token.text), token.text)
    _judge(reply)


async def _xoauth2(talk: _Talk, server: Server, token: str) -> Reply:
    """The initial response on the command's own line; what went wrong comes as a challenge, before the verdict."""
    reply = await talk.ask(b"AUTH XOAUTH2 ", auth_xoauth2_encode(server.username, token))
    return await talk.ask(b"") if reply.code == CHALLENGE else reply


async def _plain(talk: _Talk, server: Server) -> Reply:
    return await talk.ask(b"AUTH PLAIN ", auth_plain_encode(server.username, server.password))


async def _login(talk: _Talk, server: Server) -> Reply:
    reply = await talk.ask(b"AUTH LOGIN")
    for answer in auth_login_encode(server.username, server.password):
        if reply.code != CHALLENGE:
            break
        reply = await talk.ask(b"", answer)
    return reply


async def _cram_md5(talk: _Talk, server: Server) -> Reply:
    reply = await talk.ask(b"AUTH CRAM-MD5")
    if reply.code != CHALLENGE:
        return reply
    try:
        answer = auth_crammd5_verify(server.username, server.password, reply.text)
    except (SMTPException, UnicodeError) as error:
        raise Lost("The server's challenge is not base64.") from error
    return await talk.ask(b"", answer)


# Best first on an encrypted connection; on a plain one the order is reversed, so that the password stays at home.
MECHANISMS: dict[str, Mechanism] = {"plain": _plain, "login": _login, "cram-md5": _cram_md5}
