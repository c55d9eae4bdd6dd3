"""The mailbox on Dovecot, a server of the world outside: what the tests of the wheel-only server say holds here too.

Skipped, and said so, where it is not installed: apt-get install dovecot-imapd dovecot-lmtpd.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import cast

import pytest

from outrider.events.inbound import BounceReceived, ReplyReceived
from outrider.reply_watcher.imap_session import Session
from outrider.reply_watcher.imap_values import AuthFailed, Mailbox, Security, Unreachable
from tests.adapters import test_scanning as scans
from tests.support.dovecot import JUNK, MISSING, Dovecot, dovecot, is_installed
from tests.support.inbox import ANN, PASSWORD, Inbox, bounce, inbox, reply
from tests.support.mail import Mailboxes

pytestmark = pytest.mark.skipif(not is_installed(), reason=MISSING)

SECONDS = 20.0
MAIL = b"From: bob@example.com\r\nSubject: Hi\r\n\r\nHello\r\n"


@pytest.fixture
async def server() -> AsyncGenerator[Dovecot]:
    async with dovecot({ANN: PASSWORD}) as found:
        yield found


@pytest.fixture
async def box(urls: Mapping[str, str], server: Dovecot) -> AsyncGenerator[Inbox]:
    async with inbox(urls, cast("Mailboxes", server)) as found:  # as far as a scan is concerned
        yield found


def door(server: Dovecot, security: Security = "none", password: str = PASSWORD) -> Mailbox:
    port = server.tls_port if security == "tls" else server.port
    return Mailbox("127.0.0.1", port, ANN, password, security, True, server.authority)  # noqa: FBT003  # the host is local


STORIES = (
    scans.test_each_class_is_recorded_about_the_message_it_answers_and_nothing_is_marked,
    scans.test_a_message_found_again_under_another_number_or_in_another_folder_is_not_doubled,
    scans.test_a_message_that_no_database_could_keep_stops_nothing,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__[5:])
async def test_a_scan_tells_the_same(box: Inbox, story: Callable[[Inbox], Awaitable[None]]) -> None:
    await story(box)


async def test_what_a_mail_server_delivers_is_read_in_every_folder_and_marked_nowhere(
    box: Inbox, server: Dovecot
) -> None:
    answered, came_back = await box.sent("a"), await box.sent("b")
    await server.deliver(ANN, reply(answered), sender="a@example.com")
    await box.arrives(bounce(came_back), folder=JUNK)
    before = [await box.server.stored(ANN, folder) for folder in ("INBOX", JUNK)]
    assert await box.scan() == 2
    assert await box.kinds() == {answered.delivery: [ReplyReceived], came_back.delivery: [BounceReceived]}
    after = [await box.server.stored(ANN, folder) for folder in ("INBOX", JUNK)]
    assert after == before
    assert {flag for folder in after for one in folder for flag in one.flags} == set()


async def test_every_way_in_rings_finds_junk_by_its_use_and_reads_the_last_message_once(server: Dovecot) -> None:
    ways: tuple[Security, ...] = ("none", "starttls", "tls")
    for number, security in enumerate(ways, 1):
        async with await Session.open(door(server, security), SECONDS) as session:
            inbox_folder, junk = await session.folders()
            assert (inbox_folder.role, junk.role, junk.name) == ("inbox", "junk", JUNK)
            assert await session.examine(inbox_folder)
            assert await session.uids_after(number - 1) == []  # n:* names the last message even where it is below
            waiting = asyncio.create_task(session.wait(SECONDS))
            await server.append(ANN, MAIL)
            assert await waiting
            assert await session.uids_after(number - 1) == [number]
            [head] = [head async for head in session.messages([number])]
            assert head.content == MAIL


async def test_a_large_message_is_read_as_far_as_it_matters(server: Dovecot) -> None:
    huge = MAIL + b"x" * 78 + b"\r\n" + (b"y" * 78 + b"\r\n") * 50_000
    await server.append(ANN, huge)
    async with await Session.open(door(server), SECONDS) as session:
        assert await session.examine((await session.folders())[0])
        [head] = [head async for head in session.messages([1])]
        assert (head.size, head.content) == (len(huge), huge[:131_072])


async def test_a_wrong_password_and_an_unknown_authority_are_told_apart(server: Dovecot) -> None:
    with pytest.raises(AuthFailed):
        await Session.open(door(server, "tls", "wrong"), SECONDS)
    stranger = Mailbox("127.0.0.1", server.tls_port, ANN, PASSWORD, "tls", allow_insecure=True)
    with pytest.raises(Unreachable, match="certificate"):
        await Session.open(stranger, SECONDS)
