"""The mail servers of the tests and of the sandbox are real: ordinary clients talk to them."""

import asyncio
import imaplib
import smtplib
import ssl
from collections.abc import Callable

import aiosmtplib
import pytest

from tests.support.mail import DROP, Mailboxes, SmtpSink, Stall, imap_server, smtp_sink

ANN = "ann@sales.example"
USERS = {ANN: "secret"}
MAIL = b"From: ann@sales.example\r\nTo: bob@example.com\r\nSubject: Hi\r\nMessage-ID: <1@sales.example>\r\n\r\n.dot\r\n"


async def send(sink: SmtpSink, recipient: str = "bob@example.com", content: bytes = MAIL) -> str:
    """Send one message with aiosmtplib; answers the server's words."""
    async with aiosmtplib.SMTP(
        hostname="127.0.0.1", port=sink.port, local_hostname="test", start_tls=False, timeout=10
    ) as client:
        await client.login(ANN, "secret")
        return (await client.sendmail(ANN, [recipient], content))[1]


async def test_an_accepted_message_is_kept_as_sent() -> None:
    async with smtp_sink(USERS) as sink:
        await send(sink)
        [message] = sink.messages
        assert (message.user, message.sender, message.recipients) == (ANN, ANN, ("bob@example.com",))
        assert message.content == MAIL
        assert message.header("subject") == "Hi"


async def test_a_wrong_password_is_refused_with_535() -> None:
    async with smtp_sink({ANN: "other"}) as sink:
        with pytest.raises(aiosmtplib.SMTPAuthenticationError, match="535"):
            await send(sink)
        assert not sink.messages


@pytest.mark.parametrize(("stage", "code"), [("mail", 550), ("data", 452), ("dot", 554), ("rcpt", 451)])
async def test_a_refusal_is_spoken_at_its_stage(stage: str, code: int) -> None:
    async with smtp_sink(USERS) as sink:
        sink.behave(stage, f"{code} no", times=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises(aiosmtplib.SMTPException, match="no"):
            await send(sink)
        assert not sink.messages
        await send(sink)
        assert len(sink.messages) == 1


async def test_only_the_named_recipient_is_refused() -> None:
    async with smtp_sink(USERS) as sink:
        sink.behave("rcpt", "550 5.1.1 No such user", recipient="Gone@example.com")
        await send(sink)
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await send(sink, "gone@example.com")


@pytest.mark.parametrize("stage", ["connect", "ehlo", "auth", "mail", "rcpt", "data", "body", "dot", "accepted"])
async def test_a_dropped_connection_is_seen_by_the_client(stage: str) -> None:
    async with smtp_sink(USERS) as sink:
        sink.behave(stage, DROP, times=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        with pytest.raises((aiosmtplib.SMTPException, ConnectionError)):
            await send(sink)
        assert len(sink.messages) == (stage == "accepted")
        await send(sink)


async def test_a_stalling_server_says_nothing() -> None:
    async with smtp_sink(USERS) as sink:
        sink.behave("mail", Stall())
        reader, writer = await asyncio.open_connection("127.0.0.1", sink.port)
        writer.write(b"EHLO test\r\nMAIL FROM:<ann@sales.example>\r\n")
        await sink.until(lambda: sink.moments[-1].stage == "mail")
        await sink.server.stop()
        assert b"2.1.0" not in await reader.read()
        writer.close()


async def test_tls_and_starttls_are_real() -> None:
    for security in ("tls", "starttls"):
        async with smtp_sink(USERS, security=security) as sink:
            context = ssl.create_default_context(cafile=str(sink.authority))
            async with aiosmtplib.SMTP(
                hostname="127.0.0.1",
                port=sink.port,
                local_hostname="test",
                use_tls=security == "tls",
                start_tls=security == "starttls",
                tls_context=context,
                timeout=10,
            ) as client:
                await client.login(ANN, "secret")
                await client.sendmail(ANN, ["bob@example.com"], MAIL)
            assert sink.messages[0].secure


async def test_an_ordinary_smtp_client_works() -> None:
    def talk(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="test", timeout=10) as client:
            client.login(ANN, "secret")
            client.sendmail(ANN, "bob@example.com", MAIL)

    async with smtp_sink(USERS) as sink:
        await asyncio.to_thread(talk, sink.port)
        assert sink.sent_to("BOB@example.com")


async def with_imaplib(mailboxes: Mailboxes, talk: Callable[[imaplib.IMAP4], None]) -> None:
    """Log in with the standard library's client in a thread."""

    def run() -> None:
        with imaplib.IMAP4("127.0.0.1", mailboxes.port, timeout=10) as client:
            client.login(ANN, "secret")
            talk(client)

    await asyncio.to_thread(run)


async def test_what_was_put_in_is_found_and_stays_unseen() -> None:
    def talk(client: imaplib.IMAP4) -> None:
        client.select("INBOX")
        assert client.uid("SEARCH", "UID", "1:*")[1][0].split() == [b"101", b"102"]
        assert MAIL in client.uid("FETCH", "101", "(BODY.PEEK[])")[1][0]
        assert b"Message-ID" in client.uid("FETCH", "102", "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1][0][1]

    async with imap_server(USERS) as mailboxes:
        assert await mailboxes.append(ANN, MAIL) == 101
        await mailboxes.append(ANN, MAIL)
        await with_imaplib(mailboxes, talk)
        assert await mailboxes.flags(ANN) == {101: frozenset(), 102: frozenset()}
        assert [stored.content for stored in await mailboxes.stored(ANN)] == [MAIL, MAIL]


async def test_a_wrong_password_is_refused_by_imap() -> None:
    async with imap_server({ANN: "other"}) as mailboxes:
        with pytest.raises(imaplib.IMAP4.error, match="Invalid authentication"):
            await with_imaplib(mailboxes, lambda _: None)


async def test_an_idling_client_is_told() -> None:
    async with imap_server(USERS) as mailboxes:
        reader, writer = await asyncio.open_connection("127.0.0.1", mailboxes.port)
        writer.write(b'a LOGIN ann@sales.example "secret"\r\nb SELECT INBOX\r\nc IDLE\r\n')
        async with asyncio.timeout(10):
            await reader.readuntil(b"+ Idling.\r\n")
            await mailboxes.append(ANN, MAIL)
            await reader.readuntil(b"* 1 EXISTS\r\n")
        writer.close()
        await writer.wait_closed()


async def test_a_folder_keeps_or_changes_its_uid_validity() -> None:
    async with imap_server(USERS) as mailboxes:
        await mailboxes.append(ANN, MAIL, folder="Junk")
        await mailboxes.set_uid_validity(ANN, 7, folder="Junk")
        assert await mailboxes.uid_validity(ANN, "Junk") == 7


async def test_imap_over_tls_is_real() -> None:
    def talk(port: int, authority: str) -> None:
        context = ssl.create_default_context(cafile=authority)
        with imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=context, timeout=10) as client:
            client.login(ANN, "secret")

    async with imap_server(USERS, security="tls") as mailboxes:
        await asyncio.to_thread(talk, mailboxes.port, str(mailboxes.authority))
