"""SMTP against a real server: every outcome, connections used again, TLS never weakened."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import pytest

from outrider.events.mime import LONGEST_LINE, Mail, build
from outrider.sender import smtp
from outrider.sender.smtp import (
    Accepted,
    Connections,
    CredentialFailed,
    Deferred,
    NotSent,
    Outcome,
    Rejected,
    Server,
    Timeouts,
    Unknown,
)
from tests.support.mail import DROP, SmtpSink, Stall, smtp_sink

THIRD = 3
ANN, BOB = "ann@sales.example", "bob@example.com"
USERS = {ANN: "secret"}
MESSAGE = b"From: ann@sales.example\r\nSubject: Hi\r\n\r\n.dot\r\n..\r\nbye\r\n"
HASTY = Timeouts(command_seconds=10, data_seconds=10, reply_seconds=10)
BRIEF = replace(HASTY, reply_seconds=0.2)


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


@pytest.mark.parametrize("length", [30, 79, 300, LONGEST_LINE - len("List-Unsubscribe: <>")])
async def test_the_one_click_header_arrives_in_one_line_whatever_its_length(length: int) -> None:
    url = "https://example.com/u/".ljust(length, "x")
    mail = build(
        Mail(
            delivery=UUID(int=1),
            message_id="<a@b>",
            date=datetime(2026, 11, 22, tzinfo=UTC),
            from_email=ANN,
            to_email=BOB,
            subject="Hi",
            html="<p>Hi</p>",
            text="Hi",
            unsubscribe_url=url,
        )
    )
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        assert isinstance(await send(connections, message=mail), Accepted)
        lines = sink.messages[0].content.split(b"\r\n")
    assert f"List-Unsubscribe: <{url}>".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_a_message_arrives_as_it_was_given(security: Literal["tls", "starttls", "none"]) -> None:
    async with smtp_sink(USERS, security=security) as sink, connected(server_of(sink, security)) as connections:
        assert await send(connections) == Accepted("2.0.0 Ok: queued")
        [message] = sink.messages
        assert (message.user, message.sender, message.recipients) == (ANN, ANN, (BOB,))
        assert (message.content, message.secure) == (MESSAGE, security != "none")


@pytest.mark.parametrize("security", ["none", "tls"])
async def test_a_message_larger_than_every_buffer_arrives(security: Literal["tls", "none"]) -> None:
    large = MESSAGE + b".0123456789\r\n" * 200_000
    async with smtp_sink(USERS, security=security) as sink, connected(server_of(sink, security)) as connections:
        assert isinstance(await send(connections, message=large), Accepted)
        assert sink.messages[0].content == large


async def test_bare_line_ends_are_made_whole() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        await send(connections, message=b"Subject: Hi\n\n.\nbye")
        assert sink.messages[0].content == b"Subject: Hi\r\n\r\n.\r\nbye\r\n"


async def test_an_address_beyond_ascii_is_mailed_where_the_server_takes_it() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        assert isinstance(await send(connections, "zoë@bücher.example", "Subject: é\r\n\r\né".encode()), Accepted)
        assert sink.messages[0].recipients == ("zoë@bücher.example",)


@pytest.mark.parametrize("stage", ["rcpt", "data", "dot"])
async def test_a_5xx_rejects_the_message_and_the_connection_goes_on(stage: Literal["rcpt", "data", "dot"]) -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        sink.behave(stage, "550 5.7.1 Not wanted", times=1)
        assert await send(connections) == Rejected("block", 550, "5.7.1 Not wanted", stage)
        assert isinstance(await send(connections), Accepted)
        assert (len(sink.messages), sink.connections) == (1, 1)


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
async def test_a_4xx_defers_the_message(stage: Literal["mail", "rcpt", "data", "dot"]) -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        sink.behave(stage, "451 4.7.1 Later", times=1)
        assert await send(connections) == Deferred(451, "4.7.1 Later")
        assert isinstance(await send(connections), Accepted)
        assert sink.connections == 1


async def test_an_unknown_user_is_a_hard_bounce() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        sink.behave("rcpt", "550 5.1.1 User unknown")
        assert await send(connections) == Rejected("hard", 550, "5.1.1 User unknown", "rcpt")


async def test_a_wrong_password_fails_the_credential_after_one_try() -> None:
    async with smtp_sink({ANN: "other"}) as sink, connected(server_of(sink)) as connections:
        outcome = await send(connections)
        assert outcome == CredentialFailed("auth_failed", 535, "5.7.8 Username and password not accepted")
        assert [moment.stage for moment in sink.moments].count("auth") == 1


async def test_a_login_put_off_is_not_sent() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        sink.behave("auth", "454 4.7.0 Too many logins")
        assert await send(connections) == NotSent("The server put off the login: 454 4.7.0 Too many logins")


async def test_a_daily_limit_holds_the_credential() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        sink.behave("dot", "550 5.4.5 Daily sending limit exceeded")
        assert await send(connections) == CredentialFailed("held_today", 550, "5.4.5 Daily sending limit exceeded")


async def test_a_5xx_at_mail_fails_the_credential() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        sink.behave("mail", "550 5.7.60 Not as this sender")
        assert await send(connections) == CredentialFailed("policy", 550, "5.7.60 Not as this sender")


@pytest.mark.parametrize("stage", ["connect", "ehlo", "auth", "mail", "rcpt", "data", "body"])
async def test_a_loss_before_the_final_dot_is_not_sent(
    stage: Literal["connect", "ehlo", "auth", "mail", "rcpt", "data", "body"],
) -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        sink.behave(stage, DROP)
        large = MESSAGE + b"0123456789\r\n" * 1_000_000  # more than the kernel buffers: the dot is never written
        assert await send(connections, message=large) == NotSent("The server broke off the connection.")
        assert not sink.messages


@pytest.mark.parametrize("stage", ["dot", "accepted"])
async def test_a_loss_after_the_final_dot_is_unknown(stage: Literal["dot", "accepted"]) -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        sink.behave(stage, DROP)
        assert await send(connections) == Unknown("The server broke off the connection.")
        assert len(sink.messages) == (stage == "accepted")


async def test_silence_after_the_final_dot_is_unknown() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink), timeouts=BRIEF) as connections:
        sink.behave("dot", Stall(), times=1)
        assert await send(connections) == Unknown("The server did not answer in time.")


async def test_a_stale_claim_never_enters_data() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        assert await connections.send(ANN, BOB, MESSAGE, time.monotonic() - 1) == NotSent("stale claim")
        assert sink.connections == 0
        sink.behave("rcpt", Stall(), times=1)
        assert await connections.send(ANN, BOB, MESSAGE, time.monotonic() + 0.5) == NotSent("stale claim")
        assert "data" not in [moment.stage for moment in sink.moments]


async def test_one_connection_carries_many_messages_and_no_more_than_its_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "MESSAGES_PER_CONNECTION", 3)
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        for _ in range(5):
            assert isinstance(await send(connections), Accepted)
        assert [message.connection for message in sink.messages] == [1, 1, 1, 2, 2]


async def test_no_more_connections_than_allowed_are_open_at_once() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        outcomes = await asyncio.gather(*(send(connections, f"b{number}@example.com") for number in range(12)))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert (len(sink.messages), sink.connections) == (12, 2)


async def test_a_message_that_waits_too_long_for_a_connection_is_stale() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink), limit=1) as connections:
        sink.behave("rcpt", Stall(), times=1)
        first = asyncio.create_task(send(connections))
        await sink.until(lambda: any(moment.stage == "rcpt" for moment in sink.moments))
        assert await connections.send(ANN, BOB, MESSAGE, time.monotonic() + 0.2) == NotSent("stale claim")
        await connections.close()
        assert await first == NotSent("shutdown")


async def test_a_connection_closed_while_idle_is_replaced() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        assert isinstance(await send(connections), Accepted)
        await sink.server.drop_connections()
        assert isinstance(await send(connections), Accepted)
        assert [message.connection for message in sink.messages] == [1, 2]


async def test_a_connection_that_breaks_at_mail_is_replaced_once() -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        assert isinstance(await send(connections), Accepted)
        sink.behave("mail", "421 4.4.2 Idle too long", times=1)
        assert isinstance(await send(connections), Accepted)
        sink.behave("mail", DROP, times=2)
        assert await send(connections) == NotSent("The server broke off the connection.")
        assert not any(moment.connection > THIRD for moment in sink.moments)


@pytest.mark.parametrize(
    ("stage", "outcome"),
    [("ehlo", NotSent("shutdown")), ("rcpt", NotSent("shutdown")), ("dot", Unknown("shutdown"))],
)
@pytest.mark.parametrize("by", ["close", "cancel"])
async def test_shutdown_leaves_a_definite_fact(
    stage: Literal["ehlo", "rcpt", "dot"], outcome: Outcome, by: Literal["close", "cancel"]
) -> None:
    async with smtp_sink(USERS) as sink, connected(server_of(sink)) as connections:
        sink.behave(stage, Stall())
        sending = asyncio.create_task(send(connections))
        await sink.until(lambda: bool(sink.moments) and sink.moments[-1].stage == stage)
        if by == "close":
            await connections.close()
        else:
            sending.cancel()
        assert await sending == outcome
        await connections.close()
        assert await send(connections) == NotSent("shutdown")


@pytest.mark.parametrize("by", ["close", "cancel"])
async def test_wherever_it_is_interrupted_the_answer_is_true(by: Literal["close", "cancel"]) -> None:
    outcomes: dict[str, Outcome] = {}
    async with smtp_sink(USERS) as sink:
        for turns in range(120):
            async with connected(server_of(sink)) as connections:
                recipient = f"b{turns}@example.com"
                sending = asyncio.create_task(send(connections, recipient))
                for _ in range(turns):
                    await asyncio.sleep(0)
                if by == "close":
                    await connections.close()
                elif not sending.done():
                    sending.cancel()
                try:
                    outcomes[recipient] = await sending
                except asyncio.CancelledError:
                    assert not turns  # cancelled before send() began
        await send_one_more(sink)  # what was still on its way has arrived before it
        arrived = {recipient: len(sink.sent_to(recipient)) for recipient in outcomes}
    kinds = {type(outcome) for outcome in outcomes.values()}
    assert {NotSent, Accepted} <= kinds <= {NotSent, Unknown, Accepted}
    for recipient, outcome in outcomes.items():
        if not isinstance(outcome, Unknown):
            assert arrived[recipient] == isinstance(outcome, Accepted), recipient


async def send_one_more(sink: SmtpSink) -> None:
    """Have one more message accepted."""
    async with connected(server_of(sink)) as connections:
        assert isinstance(await send(connections), Accepted)
