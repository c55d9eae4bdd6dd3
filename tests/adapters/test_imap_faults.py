"""The IMAP adapter against servers that misbehave: each fault of the client beneath it, and each kind of silence."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import uvloop

from outrider.reply_watcher.imap import Wire
from outrider.reply_watcher.imap_answers import Folder
from outrider.reply_watcher.imap_session import COMMAND_SECONDS, IDLE_SECONDS, Session
from outrider.reply_watcher.imap_values import AuthFailed, Broken, Mailbox, MailboxFailed, Unreachable
from tests.kernel.until import until
from tests.support.scripted_imap import DROP, HANG, scripted

INBOX = Folder("INBOX", "inbox")
SECONDS = 0.5
"""The deadline of a command here: short, because these servers keep silent on purpose."""


async def opened(mailbox: Mailbox, seconds: float = SECONDS) -> Session:
    session = await Session.open(mailbox, seconds)
    assert await session.examine(INBOX)
    return session


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"hello": HANG}, "no answer within 0.5 s"),
        ({"hello": DROP}, "lost"),
        ({"hello": b"* BYE too many connections\r\n"}, "too many connections"),
        ({"hello": b"220 mail.example ESMTP\r\n"}, "ESMTP"),
        ({"CAPABILITY": HANG}, "no answer"),
        ({"CAPABILITY": b"%t OK\r\n"}, "no answer|OK"),
        ({"LOGIN": HANG}, "no answer"),
        ({"LOGIN": DROP}, "lost"),
        ({"LOGIN": b"OTHER OK in\r\n"}, "unreadable"),
        ({"LOGIN": b"%t NO [UNAVAILABLE] later\r\n"}, "later"),
        ({"LOGIN": b"%t NO [ALERT] Too many simultaneous connections.\r\n"}, "simultaneous"),
    ],
)
async def test_a_server_that_lets_nobody_in_is_unreachable(
    answers: dict[str, bytes | None], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with scripted(**answers) as (mailbox, _):
        with pytest.raises(Unreachable, match=words):
            await Session.open(mailbox, SECONDS)
    assert "swordfish" not in caplog.text


async def test_a_refused_login_is_not_unreachable() -> None:
    async with scripted(LOGIN=b"%t NO [AUTHENTICATIONFAILED] Application-specific password required\r\n") as (
        mailbox,
        _,
    ):
        with pytest.raises(AuthFailed, match="Application-specific"):
            await Session.open(mailbox, SECONDS)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (HANG, "no answer"),
        (DROP, "lost"),
        (b"* SEARCH 5 6", "no answer"),
        (b"* SEARCH {5}\r\n12", "no answer"),
        (b"OTHER OK found\r\n", "unreadable"),
        (b"\xff\xfe OK\r\n* \xff\r\n", "no answer|unreadable"),
        (b"%t NO mailbox is locked\r\n", "locked"),
        (b"%t BAD what\r\n", "what"),
        (b"* SEARCH " + b"1 " * 9_000_000 + b"\r\n", "more than it was asked for"),
    ],
    ids=["hang", "drop", "half a line", "half a literal", "other tag", "bytes", "no", "bad", "flood"],
)
async def test_a_bad_answer_breaks_the_session_for_good(answer: bytes | None, words: str) -> None:
    async with scripted(SEARCH=answer) as (mailbox, _), asyncio.timeout(60):
        session = await opened(mailbox, SECONDS if words != "more than it was asked for" else 30)
        with pytest.raises(Broken, match=words):
            await session.uids_after(0)
        with pytest.raises(Broken):
            await session.uids_after(0)
        await session.close()


async def test_a_burst_of_thousands_of_lines_is_read() -> None:
    burst = b"".join(b"* %d EXPUNGE\r\n" % number for number in range(5000, 0, -1))
    async with scripted(SEARCH=burst + b"* SEARCH 6 5\r\n%t OK found\r\n") as (mailbox, _):
        session = await opened(mailbox)
        assert await session.uids_after(4) == [5, 6]
        await session.close()


async def test_a_number_that_no_server_may_give_is_none() -> None:
    """RFC 3501 section 9: a number has 32 bits."""
    beyond = b"9" * 5000
    found = b"* SEARCH 5 " + beyond + b"\r\n%t OK found\r\n"
    head = b"* 1 FETCH (UID " + beyond + b' BODY[HEADER]<0> "A: ")\r\n* 2 FETCH (UID 5 BODY[HEADER]<0> "A: ")\r\n'
    async with scripted(SEARCH=found, FETCH=head + b"%t OK fetched\r\n") as (mailbox, _):
        session = await opened(mailbox)
        assert await session.uids_after(0) == [5]
        assert [head.uid async for head in session.headers([5])] == [5]
        await session.close()


async def test_a_search_of_a_hundred_thousand_is_read() -> None:
    many = b" ".join(b"%d" % number for number in range(1, 100_001))
    async with scripted(SEARCH=b"* SEARCH " + many + b"\r\n%t OK found\r\n") as (mailbox, _):
        session = await opened(mailbox)
        assert await session.uids_after(10) == list(range(11, 100_001))
        await session.close()


@pytest.mark.parametrize(
    "answer",
    [
        b'* 1 FETCH (UID 5 RFC822.SIZE 9 INTERNALDATE "01-Nov-2026 10:00:00 +0000" BODY[HEADER]<0> {3}\r\nA: )\r\n',
        b'* 1 FETCH (BODY[HEADER]<0> {3}\r\nA:  RFC822.SIZE 9 INTERNALDATE " 1-Nov-2026 10:00:00 +0000" UID 5)\r\n',
        b'* 2 FETCH (UID 6 FLAGS (\\Seen))\r\n* 1 FETCH (UID 5 RFC822.SIZE 9 BODY[HEADER]<0> "A: ")\r\n* 3 EXISTS\r\n',
    ],
)
async def test_a_fetch_is_understood_in_every_form(answer: bytes) -> None:
    async with scripted(FETCH=answer + b"%t OK fetched\r\n") as (mailbox, asked):
        session = await opened(mailbox)
        [head] = [head async for head in session.headers([5, 6])]
        assert (head.uid, head.size, head.content) == (5, 9, b"A: ")
        assert "UID FETCH 5,6 (UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER]<0.65536>)" in asked[-1]
        await session.close()


async def test_a_message_that_the_server_cannot_read_hides_no_other() -> None:
    good = b'* 2 FETCH (UID 6 RFC822.SIZE 9 BODY[HEADER]<0> "A: ")\r\n%t OK fetched\r\n'
    refused, there = b"%t NO message is corrupt\r\n", b"* 1 FETCH (UID 5)\r\n%t OK fetched\r\n"
    async with scripted(FETCH=[refused, refused, there, good]) as (mailbox, _):
        session = await opened(mailbox)
        assert [head.uid async for head in session.headers([5, 6])] == [6]
        await session.close()


@pytest.mark.parametrize("words", [b"NO mailbox is gone", b"NO [UNAVAILABLE] later", b"BAD what"])
async def test_a_server_that_refuses_every_fetch_breaks_the_session(words: bytes) -> None:
    async with scripted(FETCH=b"%t " + words + b"\r\n") as (mailbox, _):
        session = await opened(mailbox)
        with pytest.raises(Broken):
            _ = [head async for head in session.headers([5, 6])]


async def test_headers_are_fetched_25_at_a_time() -> None:
    async with scripted(FETCH=b"%t OK fetched\r\n") as (mailbox, asked):
        session = await opened(mailbox)
        assert [head async for head in session.headers(range(1, 61))] == []
        sets = [re.findall(r"FETCH ([\d,]+)", line)[0].split(",") for line in asked if "FETCH" in line]
        assert [len(one) for one in sets] == [25, 25, 10]
        await session.close()


async def test_an_idling_client_is_rung() -> None:
    async with scripted(IDLE=b"+ idling\r\n* OK still here\r\n* 3 EXISTS\r\n") as (mailbox, asked):
        session = await opened(mailbox)
        assert await session.uids_after(0) == [5, 6]
        assert await session.wait(60)
        assert asked[-1] == "DONE\r\n"
        assert await session.uids_after(5) == [6]
        await session.close()


@pytest.mark.parametrize("idle", [HANG, DROP, b"%t BAD what\r\n", b"+ idling\r\n* BYE shutdown\r\n"])
async def test_an_idle_that_does_not_begin_or_last_is_noticed(idle: bytes | None) -> None:
    async with scripted(IDLE=idle, DONE=DROP) as (mailbox, _), asyncio.timeout(30):
        session = await opened(mailbox)
        await session.uids_after(0)
        with pytest.raises(Broken):
            await session.wait(1)
        await session.close()


@asynccontextmanager
async def swallowing(port: int) -> AsyncGenerator[tuple[int, asyncio.Event]]:
    """A way to the server that forwards nothing any more, either way, once the event is set; it closes nothing."""
    swallows = asyncio.Event()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not swallows.is_set():
                writer.write(data)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(forward(reader, far_writer), forward(far_reader, writer))
        finally:
            far_writer.close()
            writer.close()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1]), swallows


async def test_a_half_open_connection_is_noticed_within_a_minute() -> None:
    """Nothing comes through any more, and nobody closes: TCP itself is content."""
    assert IDLE_SECONDS + COMMAND_SECONDS < 60
    async with scripted() as (mailbox, asked), swallowing(mailbox.port) as (port, swallows):
        session = await opened(replace(mailbox, port=port), 3)
        await session.uids_after(0)
        waiting = asyncio.create_task(session.wait(3600))
        await until("it idles", lambda: any("IDLE" in line for line in asked))
        swallows.set()
        with pytest.raises(Broken, match="no answer within 3 s"):
            await waiting
        await session.close()


async def test_a_burst_while_idling_is_read() -> None:
    burst = b"".join(b"* %d EXPUNGE\r\n" % number for number in range(5000, 0, -1))
    async with scripted(IDLE=b"+ idling\r\n" + burst + b"* 3 EXISTS\r\n") as (mailbox, _):
        session = await opened(mailbox)
        await session.uids_after(0)
        assert await session.wait(60)
        await session.close()


async def test_a_server_that_cannot_idle_is_asked_at_the_end() -> None:
    plain = b"* CAPABILITY IMAP4rev1\r\n%t OK done\r\n"
    async with scripted(CAPABILITY=plain, NOOP=b"* 3 EXISTS\r\n%t OK done\r\n") as (mailbox, asked):
        session = await opened(mailbox)
        assert not session.idles
        await session.uids_after(0)
        assert await session.wait(0.05)
        assert not any("IDLE" in line for line in asked)
        await session.close()


async def test_junk_and_all_mail_are_found_by_their_use() -> None:
    listed = (
        b'* LIST (\\HasNoChildren) "/" "INBOX"\r\n* LIST (\\All \\HasNoChildren) "/" "[Gmail]/Alle Nachrichten"\r\n'
        b'* LIST (\\Junk) "/" {12}\r\n[Gmail]/Sp"m\r\n* LIST (\\Noselect) NIL [Gmail]\r\n%t OK done\r\n'
    )
    for offers, first in ((b"", INBOX), (b" X-GM-EXT-1", Folder("[Gmail]/Alle Nachrichten", "all"))):
        capability = b"* CAPABILITY IMAP4rev1" + offers + b"\r\n%t OK done\r\n"
        async with scripted(CAPABILITY=capability, LIST=listed) as (mailbox, _):
            session = await opened(mailbox)
            assert await session.folders() == [first, Folder('[Gmail]/Sp"m', "junk")]
            await session.close()


async def test_starttls_that_is_not_offered_or_followed_by_more_is_refused() -> None:
    offering = b"* CAPABILITY IMAP4rev1 STARTTLS\r\n%t OK done\r\n"
    scripts: list[dict[str, bytes | None]] = [
        {},
        {"CAPABILITY": offering, "STARTTLS": b"%t OK go\r\n* CAPABILITY"},
        {"CAPABILITY": offering, "STARTTLS": b"%t NO not now\r\n"},
        {"CAPABILITY": offering, "STARTTLS": b"%t OK go\r\n"},
    ]
    for script in scripts:
        async with scripted(**script) as (mailbox, asked):
            wanting = Mailbox(mailbox.host, mailbox.port, "ann", "swordfish", "starttls", allow_insecure=True)
            with pytest.raises(MailboxFailed):
                await Session.open(wanting, SECONDS)
            assert not any("swordfish" in line for line in asked)


async def test_a_cancelled_wait_leaves_no_task_behind() -> None:
    async with scripted() as (mailbox, _):
        before = asyncio.all_tasks()
        session = await opened(mailbox)
        await session.uids_after(0)
        waiting = asyncio.create_task(session.wait(600))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await session.close()
        left = {task for task in asyncio.all_tasks() - before if "converse" not in repr(task)}
        if left:  # cancelled, each needs a turn to end
            await asyncio.wait(left, timeout=10)
        assert all(task.done() for task in left)


def test_a_connection_that_uvloop_refuses_to_write_to_is_broken() -> None:
    """Found by the kill loop: it raises RuntimeError where asyncio would only drop what is written."""

    async def story() -> None:
        async with scripted() as (mailbox, _):
            wire = await Wire.connect(mailbox, SECONDS)
            wire.cut("the server was killed")
            with pytest.raises(Broken, match="was killed"):
                await wire.ask("NOOP")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


async def test_what_came_between_noop_and_idle_is_asked_for_once_more() -> None:
    """Found by the bench: a server that tells an idling client only of what comes later."""
    quiet, came = b"%t OK done\r\n", b"* 3 EXISTS\r\n%t OK done\r\n"
    async with scripted(NOOP=[quiet, came], IDLE=b"+ idling\r\n") as (mailbox, _), asyncio.timeout(30):
        session = await opened(mailbox, 10)
        await session.uids_after(0)
        assert await session.wait(60)
        await session.close()
