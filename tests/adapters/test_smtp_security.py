"""SMTP and trust: TLS is never weakened, private addresses are refused, passwords go to one mechanism."""

import base64
import hmac
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from outrider.local import certificate
from outrider.sender.smtp import (
    Accepted,
    Connections,
    CredentialFailed,
    NotSent,
    Outcome,
    Rejected,
    Server,
    Timeouts,
    verify,
)
from tests.support.mail import SmtpSink, Stall, smtp_sink
from tests.support.rude_smtp import Peer, Rude, rude

ANN, BOB = "ann@sales.example", "bob@example.com"
USERS = {ANN: "secret"}
MESSAGE = b"Subject: Hi\r\n\r\nbye\r\n"
HASTY = Timeouts(command_seconds=10, data_seconds=10, reply_seconds=10)


def server_of(sink: SmtpSink, security: Literal["tls", "starttls", "none"] = "none") -> Server:
    """Answer how to reach the sink."""
    return Server("localhost", sink.port, security, ANN, "secret", allow_insecure=True, authorities=sink.authority)


@asynccontextmanager
async def connected(server: Server, limit: int = 2, timeouts: Timeouts = HASTY) -> AsyncGenerator[Connections]:
    """Close them at the end, as a sender does."""
    connections = Connections(server, limit, timeouts)
    try:
        yield connections
    finally:
        await connections.close()


async def send(connections: Connections, recipient: str = BOB, message: bytes = MESSAGE) -> Outcome:
    """Send with a minute to go."""
    return await connections.send(ANN, recipient, message, time.monotonic() + 60)


def reached(peer: Rude) -> Server:
    """Answer how to reach it, in plain."""
    return Server("localhost", peer.port, "none", allow_insecure=True)


async def test_tls_is_never_given_up() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink, "starttls")) as connections:
        assert await send(connections) == NotSent("The server offers no STARTTLS.")
        assert "auth" not in [moment.stage for moment in sink.moments]
    async with smtp_sink(USERS, security="starttls") as sink, connected(server_of(sink, "starttls")) as connections:
        sink.behave("starttls", "454 4.7.0 TLS not available")
        assert await send(connections) == NotSent("STARTTLS was refused: 454 4.7.0 TLS not available")
    async with smtp_sink(USERS) as sink, connected(server_of(sink, "tls")) as connections:
        assert await send(connections) == NotSent("TLS failed: wrong version number")


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_no_known_authority_is_refused(security: Literal["tls", "starttls"]) -> None:
    async with smtp_sink(USERS, security=security) as sink:
        async with connected(replace(server_of(sink, security), authorities=None)) as connections:
            outcome = await send(connections)
        assert outcome == NotSent("The server's certificate is not trusted: self-signed certificate")
        assert "auth" not in [moment.stage for moment in sink.moments]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "::1", "10.0.0.1"])
async def test_a_private_address_is_refused_unless_allowed(host: str) -> None:
    async with connected(Server(host, 25, "tls")) as connections:
        outcome = await send(connections)
    assert outcome == NotSent("The server's address is private: this deployment does not allow that.")


async def test_mail_without_tls_is_refused_unless_allowed() -> None:
    async with smtp_sink(USERS) as sink, connected(replace(server_of(sink), allow_insecure=False)) as connections:
        assert await send(connections) == NotSent("Mail without TLS is not allowed by this deployment.")
        assert sink.connections == 0


@pytest.mark.parametrize("host", ["", "a\0b", "." * 3, "a" * 70 + ".example", "no-such-host.invalid"])
async def test_a_name_that_leads_nowhere_is_not_sent(host: str) -> None:
    async with connected(Server(host, 25, "starttls")) as connections:
        outcome = await send(connections)
    assert isinstance(outcome, NotSent)
    assert outcome.reason.startswith("The ")


async def test_a_port_where_nobody_listens_is_not_sent() -> None:
    async with smtp_sink(USERS) as sink:
        nobody = server_of(sink)
    async with connected(nobody) as connections:
        assert isinstance(await send(connections), NotSent)


async def test_a_missing_file_of_authorities_is_not_sent() -> None:
    async with connected(
        Server("localhost", 1, "tls", allow_insecure=True, authorities=Path("/nowhere"))
    ) as connections:
        assert isinstance(await send(connections), NotSent)


async def test_bad_addresses_never_reach_a_server() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        bad = "bob@example.com>\r\nRCPT TO:<eve@example.com"
        outcome = await send(connections, bad)
        assert outcome == Rejected("hard", 553, "5.1.3 This is not an e-mail address", "address")
        outcome = await connections.send(bad, BOB, MESSAGE, time.monotonic() + 60)
        assert outcome == CredentialFailed("policy", 553, "5.1.7 The sender is not an e-mail address")
        assert sink.connections == 0


async def test_verify_says_nothing_when_the_login_works() -> None:
    async with smtp_sink(USERS, security="starttls") as sink:
        assert await verify(server_of(sink, "starttls"), 10) is None
        assert not sink.messages


async def test_verify_says_why_a_login_fails() -> None:
    async with smtp_sink({ANN: "other"}) as sink:
        assert await verify(server_of(sink), 10) == "535 5.7.8 Username and password not accepted"
    async with smtp_sink(offers_auth=False) as sink:
        assert await verify(server_of(sink), 10) == "The server offers no login."
        assert await verify(server_of(sink, "starttls"), 10) == "The server offers no STARTTLS."
        sink.behave("ehlo", Stall())
        assert await verify(server_of(sink), 0.2) == "The server did not answer in time."


async def test_mail_goes_without_login_where_none_is_offered() -> None:
    async with smtp_sink(offers_auth=False) as sink, connected(server_of(sink)) as connections:
        assert isinstance(await send(connections), Accepted)
        assert sink.messages[0].user == ""


async def test_cram_md5_keeps_the_password_at_home() -> None:
    challenge = b"<1896.697170952@peer>"
    heard: list[str] = []

    async def challenges(peer: Peer) -> None:
        await peer.greet("AUTH PLAIN LOGIN CRAM-MD5")
        heard.extend(await peer.answer(f"334 {base64.b64encode(challenge).decode()}", "235 ok"))
        await peer.hear()

    async with rude(challenges) as peer:
        server = replace(reached(peer), username="ann", password="secret")
        assert await verify(server, 10) is None
    digest = hmac.digest(b"secret", challenge, "md5").hex()
    assert heard == ["AUTH CRAM-MD5", base64.b64encode(f"ann {digest}".encode()).decode()]


async def test_the_next_mechanism_is_tried_only_if_the_first_is_not_known() -> None:
    heard: list[str] = []

    async def knows_login_only(peer: Peer) -> None:
        await peer.greet("AUTH CRAM-MD5 LOGIN")
        heard.extend(await peer.answer("504 5.5.4 What", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "535 5.7.8 No"))

    async def knows_none(peer: Peer) -> None:
        await peer.greet("AUTH XOAUTH2")

    async with rude(knows_login_only, knows_none) as peer:
        server = replace(reached(peer), username="ann", password="secret")
        connections = Connections(server, 1, HASTY)
        outcome = await connections.send(ANN, BOB, MESSAGE, time.monotonic() + 60)
        assert outcome == CredentialFailed("auth_failed", 535, "5.7.8 No")
        assert heard == ["AUTH CRAM-MD5", "AUTH LOGIN", "YW5u", "c2VjcmV0"]
        outcome = await connections.send(ANN, BOB, MESSAGE, time.monotonic() + 60)
        assert outcome == CredentialFailed(
            "auth_failed", 504, "5.5.4 The server offers no login that is supported here"
        )
        await connections.close()


async def test_what_a_server_echoes_of_a_login_is_told_without_the_password() -> None:
    async def echoes_plain(peer: Peer) -> None:
        await peer.greet("AUTH PLAIN")
        line = await peer.hear()
        await peer.say(f'501-syntax error in "{line}"', f"501-{line[:-9]}...", f"501 {line.upper()} by pa55word")

    async def echoes_login(peer: Peer) -> None:
        await peer.greet("AUTH LOGIN")
        _, user = await peer.answer("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6")
        await peer.say(f"454 {user} then {await peer.hear()}?")

    async def echoes_the_mechanism_before(peer: Peer) -> None:
        await peer.greet("AUTH PLAIN LOGIN")
        said = await peer.answer("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "504 What")
        await peer.say(f"535 {await peer.hear()} after {' '.join(said)}")

    async with rude(echoes_plain, echoes_login, echoes_the_mechanism_before, echoes_plain) as peer:
        server = replace(reached(peer), username="ann.larsson", password="pa55word")
        async with connected(server, 1) as connections:
            plain = 'syntax error in "AUTH PLAIN ***" AUTH PLAIN ***... AUTH PLAIN *** by ***'
            assert await send(connections) == CredentialFailed("auth_failed", 501, plain)
            assert await send(connections) == NotSent("The server put off the login: 454 *** then ***?")
            assert await send(connections) == CredentialFailed(
                "auth_failed", 535, "AUTH PLAIN *** after AUTH LOGIN *** ***"
            )
        assert await verify(server, 10) == f"501 {plain}"


async def test_words_injected_before_tls_are_not_heard_inside_it(tmp_path: Path) -> None:
    authority, key = certificate.make(tmp_path)

    async def is_in_the_middle(peer: Peer) -> None:
        await peer.greet("STARTTLS")
        await peer.hear()
        await peer.say("220 go", "250-evil", "250 AUTH PLAIN")
        await peer.writer.start_tls(certificate.server_context(authority, key))
        await peer.hear()
        await peer.say("250 no login here")
        await peer.hear()

    async with rude(is_in_the_middle) as peer:
        server = replace(reached(peer), security="starttls", authorities=authority, username="ann")
        assert await verify(server, 10) == "The server offers no login."


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    authority, key = certificate.make(tmp_path, "mail.other.example")
    async with rude(context=certificate.server_context(authority, key)) as peer:
        server = replace(reached(peer), security="tls", authorities=authority)
        reason = await verify(server, 10)
        assert reason is not None
        assert reason.startswith("The server's certificate is not trusted: Hostname mismatch")


async def test_a_server_that_never_shakes_hands_is_given_up() -> None:
    async with rude(Peer.fall_silent) as peer:
        timeouts = replace(HASTY, connect_seconds=0.2)
        connections = Connections(replace(reached(peer), security="tls"), 1, timeouts)
        outcome = await connections.send(ANN, BOB, MESSAGE, time.monotonic() + 60)
        assert outcome == NotSent("The connection failed: timed out")
        await connections.close()
