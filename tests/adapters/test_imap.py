"""The IMAP adapter against a real server: what it finds, what it leaves untouched, and how it learns of trouble."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta

import pytest

from outrider.reply_watcher.imap_answers import Folder
from outrider.reply_watcher.imap_session import BODY_BYTES, Session
from outrider.reply_watcher.imap_values import AuthFailed, Broken, Mailbox, Security, Unreachable, backoff_seconds
from tests.support.mail import Mailboxes, imap_server

ANN = "ann@sales.example"
USERS = {ANN: 'se"cr\\et'}
INBOX = Folder("INBOX", "inbox")
DEADLINE_SECONDS = 60.0


def mail(number: int, body: bytes = b"Hello.\r\n") -> bytes:
    return b"From: bob@example.com\r\nSubject: %d\r\nMessage-ID: <%d@example.com>\r\n\r\n%b" % (number, number, body)


def mailbox(server: Mailboxes) -> Mailbox:
    return Mailbox("127.0.0.1", server.port, ANN, USERS[ANN], "none", allow_insecure=True)


@pytest.fixture
async def server() -> AsyncGenerator[Mailboxes]:
    async with imap_server(USERS) as mailboxes:
        await mailboxes.create(ANN, "INBOX")
        yield mailboxes


async def test_a_scan_over_300_messages_finds_each_once_and_marks_none(server: Mailboxes) -> None:
    sent = [await server.append(ANN, mail(number, b"(" * number)) for number in range(300)]
    before = await server.stored(ANN)
    async with await Session.open(mailbox(server)) as session:
        opened = await session.examine(INBOX)
        assert opened
        assert (opened.messages, opened.uid_validity) == (300, await server.uid_validity(ANN))
        found = await session.uids_after(0)
        heads = [head async for head in session.headers(found)]
        messages = [message async for message in session.messages(found)]
    assert [head.uid for head in heads] == [message.uid for message in messages] == found == sent
    assert [message.content for message in messages] == [stored.content for stored in before]
    assert [head.size for head in heads] == [len(stored.content) for stored in before]
    assert heads[7].content.rstrip() == b"From: bob@example.com\r\nSubject: 7\r\nMessage-ID: <7@example.com>"
    assert heads[7].received_at
    assert abs(heads[7].received_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert await server.stored(ANN) == before


async def test_the_last_message_is_not_found_again(server: Mailboxes) -> None:
    last = await server.append(ANN, mail(1))
    async with await Session.open(mailbox(server)) as session:
        await session.examine(INBOX)
        assert await session.uids_after(last) == []
        assert await session.uids_after(last + 1000) == []
        assert await session.uids_after(last - 1) == [last]
        assert await session.uids_since(date(2020, 1, 1)) == [last]
        assert await session.uids_since(date(2099, 1, 1)) == []


async def test_a_message_gone_meanwhile_is_missing(server: Mailboxes) -> None:
    uid = await server.append(ANN, mail(1))
    async with await Session.open(mailbox(server)) as session:
        await session.examine(INBOX)
        assert [head.uid async for head in session.headers([uid, uid + 5])] == [uid]


async def test_a_huge_message_is_read_up_to_the_bound(server: Mailboxes) -> None:
    uid = await server.append(ANN, mail(1, b"x" * 10_000_000))
    async with await Session.open(mailbox(server)) as session:
        await session.examine(INBOX)
        [message] = [message async for message in session.messages([uid])]
    assert message.size > 10_000_000
    assert len(message.content) == BODY_BYTES


async def test_a_broken_message_is_given_as_it_is(server: Mailboxes) -> None:
    garbage = b"\x00\xff\r\nContent-Type: multipart/mixed; boundary=\r\n) A0 OK\r\n* 1 FETCH ({99}\r\n"
    uid = await server.append(ANN, garbage)
    async with await Session.open(mailbox(server)) as session:
        await session.examine(INBOX)
        [message] = [message async for message in session.messages([uid])]
    assert message.content.rstrip() == garbage.rstrip()  # pymap itself drops a final line feed here


async def test_junk_is_found_by_its_name_and_a_missing_folder_is_none(server: Mailboxes) -> None:
    await server.append(ANN, mail(1), folder="Junk")
    await server.append(ANN, mail(2), folder="Archive")
    async with await Session.open(mailbox(server)) as session:
        assert await session.folders() == [INBOX, Folder("Junk", "junk")]
        assert await session.examine(Folder("No such", "junk")) is None
        assert await session.examine(INBOX)


async def test_another_uid_validity_is_seen(server: Mailboxes) -> None:
    await server.set_uid_validity(ANN, 7)
    async with await Session.open(mailbox(server)) as session:
        opened = await session.examine(INBOX)
    assert opened
    assert opened.uid_validity == 7


async def test_new_mail_rings_and_the_session_goes_on(server: Mailboxes) -> None:
    async with await Session.open(mailbox(server)) as session:
        assert session.idles
        await session.examine(INBOX)
        assert await session.uids_after(0) == []
        for number in range(3):
            waiting = asyncio.create_task(session.wait(DEADLINE_SECONDS))
            uid = await server.append(ANN, mail(number))
            assert await waiting
            assert (await session.uids_after(0))[-1] == uid


async def test_mail_that_came_between_search_and_wait_rings_at_once(server: Mailboxes) -> None:
    uid = await server.append(ANN, mail(0))
    async with await Session.open(mailbox(server)) as session:
        await session.examine(INBOX)
        await session.uids_after(0)
        await server.append(ANN, mail(1))
        assert [head.uid async for head in session.headers([uid])] == [uid]
        assert await session.wait(DEADLINE_SECONDS)


async def test_silence_ends_in_time(server: Mailboxes) -> None:
    async with await Session.open(mailbox(server)) as session:
        await session.examine(INBOX)
        await session.uids_after(0)
        assert not await session.wait(0.05)
        assert not await session.wait(0.05)


async def test_a_dropped_connection_is_noticed_while_waiting_and_when_asking(server: Mailboxes) -> None:
    session = await Session.open(mailbox(server))
    await session.examine(INBOX)
    await session.uids_after(0)
    waiting = asyncio.create_task(session.wait(600))
    await asyncio.sleep(0)  # it waits now
    await server.drop_connections()
    async with asyncio.timeout(DEADLINE_SECONDS):
        with pytest.raises(Broken, match="lost"):
            await waiting
        with pytest.raises(Broken):
            await session.uids_after(0)
        await session.close()


async def test_a_wrong_password_is_told_in_the_servers_words(server: Mailboxes) -> None:
    for password, words in (("wrong", "Invalid authentication"), ("two\r\nlines", "character")):
        with pytest.raises(AuthFailed, match=words):
            await Session.open(dataclasses.replace(mailbox(server), password=password))


async def test_nobody_listening_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        await Session.open(Mailbox("127.0.0.1", 1, ANN, "", "none", allow_insecure=True))
    with pytest.raises(Unreachable, match="TLS"):
        await Session.open(Mailbox("127.0.0.1", 1, ANN, "", "none"))


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_tls_is_real_and_an_unknown_authority_is_refused(security: Security) -> None:
    async with imap_server(USERS, security=security) as server:
        uid = await server.append(ANN, mail(1))
        trusting = Mailbox("127.0.0.1", server.port, ANN, USERS[ANN], security, True, server.authority)  # noqa: FBT003  # local
        async with await Session.open(trusting) as session:
            await session.examine(INBOX)
            assert await session.uids_after(0) == [uid]
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await Session.open(dataclasses.replace(trusting, authority=None))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "10.0.0.8", "169.254.169.254", "192.168.0.1", "::1", "2130706433"]
)
async def test_a_host_of_the_house_is_not_connected_to_unless_allowed(host: str) -> None:
    async with imap_server(USERS) as server:
        for security in ("tls", "starttls"):
            with pytest.raises(Unreachable, match="private"):
                await Session.open(Mailbox(host, server.port, ANN, USERS[ANN], security))


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Mailbox("mail.example", 993, ANN, "secret"))


def test_patience_grows() -> None:
    assert [backoff_seconds(failures) for failures in (0, 1, 2, 3, 99)] == [5, 5, 10, 20, 600]
