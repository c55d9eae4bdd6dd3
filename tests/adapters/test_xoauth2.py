"""XOAUTH2 on the wire, in SMTP and IMAP: the token goes with the command, and the real verdict is waited for."""

import base64
from dataclasses import dataclass, field

import pytest

from outrider.reply_watcher import imap_values
from outrider.reply_watcher.imap_session import Session
from outrider.reply_watcher.imap_values import AuthFailed, Mailbox, Unreachable
from outrider.sender import smtp, smtp_outcomes
from outrider.sender.smtp import Server
from tests.support.rude_smtp import Peer, Rude, Script, rude

USER = "ann@sales.example"
CHALLENGE = base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}').decode()
FEATURES = ("AUTH LOGIN PLAIN XOAUTH2",)


def said(token: str) -> str:
    return base64.b64encode(f"user={USER}\1auth=Bearer {token}\1\1".encode()).decode()


@dataclass
class Giving:
    """Gives these tokens, the first one kept from before."""

    texts: list[str]
    kept: bool = False
    refused: list[str] = field(default_factory=list[str])

    async def token(self, but_not: str = "") -> smtp_outcomes.Token:
        """Give the next one."""
        self.refused.append(but_not)
        kept, self.kept = self.kept, False
        return smtp_outcomes.Token(self.texts.pop(0), not kept)


@dataclass(frozen=True)
class GivingImap:
    """The same for IMAP."""

    giving: Giving

    async def token(self, but_not: str = "") -> imap_values.Token:
        """Give the next one."""
        return imap_values.Token(*await self.giving.token(but_not))


def server(peer: Rude, bearer: Giving) -> Server:
    return Server("127.0.0.1", peer.port, "none", USER, bearer=bearer, allow_insecure=True)


async def test_smtp_sends_the_token_with_the_command() -> None:
    heard: list[str] = []

    async def script(peer: Peer) -> None:
        await peer.greet(*FEATURES)
        heard.extend(await peer.answer("235 2.7.0 in"))
        await peer.hear()

    async with rude(script) as peer:
        assert await smtp.verify(server(peer, Giving(["tok"])), 10) is None
    assert heard == [f"AUTH XOAUTH2 {said('tok')}"]


async def test_smtp_answers_the_challenge_with_an_empty_line_and_hears_the_verdict() -> None:
    heard: list[str] = []

    async def script(peer: Peer) -> None:
        await peer.greet(*FEATURES)
        heard.extend(await peer.answer(f"334 {CHALLENGE}", "535 5.7.8 Username and Password not accepted"))
        await peer.hear()

    giving = Giving(["tok"])
    async with rude(script) as peer:
        words = await smtp.verify(server(peer, giving), 10)
    assert heard == [f"AUTH XOAUTH2 {said('tok')}", ""]
    assert words is not None
    assert "Username and Password not accepted" in words
    assert giving.refused == [""]  # a fresh one that is refused is not asked for again


async def test_smtp_tries_another_token_where_a_kept_one_is_refused() -> None:
    heard: list[str] = []

    async def script(peer: Peer) -> None:
        await peer.greet(*FEATURES)
        heard.extend(await peer.answer(f"334 {CHALLENGE}", "535 5.7.8 expired", "235 2.7.0 in"))
        await peer.hear()

    giving = Giving(["old", "new"], kept=True)
    async with rude(script) as peer:
        assert await smtp.verify(server(peer, giving), 10) is None
    assert heard == [f"AUTH XOAUTH2 {said('old')}", "", f"AUTH XOAUTH2 {said('new')}"]
    assert giving.refused == ["", "old"]


async def test_smtp_shows_no_token_that_a_server_echoes() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet(*FEATURES)
        line = await peer.hear()
        await peer.say(f"535 5.7.8 no: {line}, that is tok-secret")
        await peer.hear()

    async with rude(script) as peer:
        words = await smtp.verify(server(peer, Giving(["tok-secret"])), 10)
    assert words is not None
    assert "tok-secret" not in words
    assert said("tok-secret") not in words


async def test_smtp_sends_no_token_where_it_is_not_offered() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet("AUTH LOGIN PLAIN")
        await peer.hear()

    giving = Giving([])
    async with rude(script) as peer:
        words = await smtp.verify(server(peer, giving), 10)
    assert words is not None
    assert "XOAUTH2" in words
    assert giving.refused == []


def imap(heard: list[str], *verdicts: str, capabilities: str = "IMAP4rev1 SASL-IR AUTH=XOAUTH2") -> Script:
    """Greets, says what it can, and gives each verdict to an AUTHENTICATE; `+` is a challenge."""

    async def script(peer: Peer) -> None:
        await peer.say("* OK ready")
        left = list(verdicts)
        while line := await peer.hear():
            tag, _, command = line.partition(" ")
            if command.startswith("CAPABILITY"):
                await peer.say(f"* CAPABILITY {capabilities}", f"{tag} OK done")
            elif command.startswith("LOGOUT"):
                return
            else:
                heard.append(command)
                while (verdict := left.pop(0)).startswith("+"):
                    await peer.say(verdict)
                    heard.append(await peer.hear())
                await peer.say(f"{tag} {verdict}")

    return script


def mailbox(peer: Rude, bearer: Giving) -> Mailbox:
    return Mailbox("127.0.0.1", peer.port, USER, "", "none", allow_insecure=True, bearer=GivingImap(bearer))


async def opened(script: Script, giving: Giving) -> None:
    async with rude(script) as peer:
        session = await Session.open(mailbox(peer, giving), 10)
        await session.close()


async def test_imap_sends_the_token_with_the_command_where_the_server_takes_it() -> None:
    heard: list[str] = []
    await opened(imap(heard, "OK in"), Giving(["tok"]))
    assert heard == [f"AUTHENTICATE XOAUTH2 {said('tok')}"]


async def test_imap_waits_to_be_asked_where_the_server_wants_that() -> None:
    heard: list[str] = []
    await opened(imap(heard, "+ ", "OK in", capabilities="IMAP4rev1 AUTH=XOAUTH2"), Giving(["tok"]))
    assert heard == ["AUTHENTICATE XOAUTH2", said("tok")]


async def test_imap_answers_the_challenge_with_an_empty_line_and_hears_the_verdict() -> None:
    heard: list[str] = []
    with pytest.raises(AuthFailed, match="Invalid credentials"):
        await opened(imap(heard, f"+ {CHALLENGE}", "NO [AUTHENTICATIONFAILED] Invalid credentials"), Giving(["tok"]))
    assert heard == [f"AUTHENTICATE XOAUTH2 {said('tok')}", ""]


async def test_imap_tries_another_token_where_a_kept_one_is_refused() -> None:
    heard: list[str] = []
    await opened(imap(heard, f"+ {CHALLENGE}", "NO no", "OK in"), Giving(["old", "new"], kept=True))
    assert heard == [f"AUTHENTICATE XOAUTH2 {said('old')}", "", f"AUTHENTICATE XOAUTH2 {said('new')}"]


async def test_imap_is_only_put_off_by_a_server_that_says_so() -> None:
    with pytest.raises(Unreachable):
        await opened(imap([], "NO [UNAVAILABLE] try again"), Giving(["tok"]))


async def test_imap_sends_no_token_where_it_is_not_offered() -> None:
    heard: list[str] = []
    with pytest.raises(AuthFailed, match="XOAUTH2"):
        await opened(imap(heard, capabilities="IMAP4rev1 AUTH=PLAIN"), Giving(["tok"]))
    assert heard == []
