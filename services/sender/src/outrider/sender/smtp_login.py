"""AUTH: one mechanism both sides know, and the server's verdict. RFC 4954."""

from collections.abc import Awaitable, Callable, Sequence

from aiosmtplib.auth import auth_crammd5_verify, auth_login_encode, auth_plain_encode, auth_xoauth2_encode
from aiosmtplib.errors import SMTPException

from outrider.sender.smtp_outcomes import Bearer, Server
from outrider.sender.smtp_verdicts import TEMPORARY, Reply
from outrider.sender.smtp_wire import Lost, Wire

LOGGED_IN, CHALLENGE, REFUSED = 235, 334, 535
XOAUTH2 = "xoauth2"
UNKNOWN_MECHANISM = frozenset({500, 501, 502, 504})

Mechanism = Callable[[Wire, Server, float], Awaitable[Reply]]


class LoginRefused(Exception):  # the server's turn, not an error of ours
    """The server refused username and password for good."""

    def __init__(self, reply: Reply) -> None:
        """Keep its words."""
        super().__init__(reply.sentence)
        self.reply = reply


async def log_in(wire: Wire, server: Server, offered: Sequence[str], timeout_seconds: float) -> None:
    """Be logged in. Raises LoginRefused, and Lost when the server asks to try later.

    Another mechanism is tried only where the server does not know the first: each failure counts towards a lock-out.
    """
    if server.bearer is not None:
        await _log_in_with_token(wire, server, server.bearer, offered, timeout_seconds)
        return
    preferred = MECHANISMS if server.security != "none" else dict(reversed(MECHANISMS.items()))
    reply = Reply(504, "5.5.4 The server offers no login that is supported here")
    for name in preferred:
        if name in offered:
            reply = await preferred[name](wire, server, timeout_seconds)
            if reply.code not in UNKNOWN_MECHANISM:
                break
    _judge(reply)


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
    reply = await _xoauth2(wire, server, token.text, timeout_seconds)
    if reply.code == REFUSED and not token.fresh:
        token = await bearer.token(but_not=token.text)
        reply = await _xoauth2(wire, server, token.text, timeout_seconds)
    _judge(reply)


async def _xoauth2(wire: Wire, server: Server, token: str, timeout_seconds: float) -> Reply:
    """The initial response on the command's own line; what went wrong comes as a challenge, before the verdict."""
    said = auth_xoauth2_encode(server.username, token)
    reply = await wire.ask(b"AUTH XOAUTH2 " + said, timeout_seconds)
    if reply.code == CHALLENGE:
        reply = await wire.ask(b"", timeout_seconds)
    return Reply(reply.code, reply.text.replace(said.decode(), "***").replace(token, "***"))  # some echo commands


async def _plain(wire: Wire, server: Server, timeout_seconds: float) -> Reply:
    return await wire.ask(b"AUTH PLAIN " + auth_plain_encode(server.username, server.password), timeout_seconds)


async def _login(wire: Wire, server: Server, timeout_seconds: float) -> Reply:
    reply = await wire.ask(b"AUTH LOGIN", timeout_seconds)
    for answer in auth_login_encode(server.username, server.password):
        if reply.code != CHALLENGE:
            break
        reply = await wire.ask(answer, timeout_seconds)
    return reply


async def _cram_md5(wire: Wire, server: Server, timeout_seconds: float) -> Reply:
    reply = await wire.ask(b"AUTH CRAM-MD5", timeout_seconds)
    if reply.code != CHALLENGE:
        return reply
    try:
        answer = auth_crammd5_verify(server.username, server.password, reply.text)
    except (SMTPException, UnicodeError) as error:
        raise Lost("The server's challenge is not base64.") from error
    return await wire.ask(answer, timeout_seconds)


# Best first on an encrypted connection; on a plain one the order is reversed, so that the password stays at home.
MECHANISMS: dict[str, Mechanism] = {"plain": _plain, "login": _login, "cram-md5": _cram_md5}
