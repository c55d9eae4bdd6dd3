"""A scan of a real mailbox: what is recorded, what is not, and that nothing is recorded twice whatever is cut."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from outrider.events.inbound import AutoReplyReceived, BounceReceived, OptOutReceived, ReplyReceived
from outrider.events.vault import forget
from tests.kernel.until import until
from tests.support.inbox import ANN, PASSWORD, Inbox, Sent, away, bounce, inbox, reply
from tests.support.mail import imap_server

OTHER_ACCOUNT = UUID("0190b7a4-0000-7000-8000-0000000000ff")
APPEND_LOCK = 6091845621
"""Of `append_groups`: who holds it keeps every append waiting."""


@pytest.fixture
async def box(urls: Mapping[str, str]) -> AsyncGenerator[Inbox]:
    async with imap_server({ANN: PASSWORD}) as server, inbox(urls, server) as found:
        yield found


async def test_each_class_is_recorded_about_the_message_it_answers_and_nothing_is_marked(box: Inbox) -> None:
    replied, bounced, gone, left, silent = [await box.sent(name) for name in ("a", "b", "c", "d", "e")]
    for content in (reply(replied), bounce(bounced), away(gone), reply(left, "Please remove me from your list.")):
        await box.arrives(content)
    before = await box.server.stored(ANN)

    assert await box.scan() == 4
    assert await box.kinds() == {
        replied.delivery: [ReplyReceived],
        bounced.delivery: [BounceReceived],
        gone.delivery: [AutoReplyReceived],
        left.delivery: [OptOutReceived],
    }
    assert silent.delivery not in await box.kinds()
    [(item, event)] = [(item, item.event) for item in await box.inbound() if isinstance(item.event, ReplyReceived)]
    assert (item.stream, event.contact_id, event.position) == (f"inbound-{replied.enrollment}", replied.contact, 1)
    words = {"subject": "Re: Hello", "snippet": "Yes, tell me more."}
    assert await box.words(replied.contact, f"inbound-{item.cause}") == words
    [hard] = [item.event for item in await box.inbound() if isinstance(item.event, BounceReceived)]
    assert (hard.kind, hard.status_code, hard.reason) == ("hard", "5.1.1", "user_unknown")
    assert await box.server.stored(ANN) == before
    assert await box.scan() == 0


async def test_what_is_none_of_ours_records_nothing(box: Inbox) -> None:
    ours, theirs = await box.sent("a"), await box.sent("b", account=OTHER_ACCOUNT)
    forged = ours.message_id[:40] + ("0" if ours.message_id[40] != "0" else "1") + ours.message_id[41:]
    await box.arrives(reply(ours).replace(ours.message_id.encode(), forged.encode()))
    await box.arrives(reply(theirs))
    await box.arrives(f"From: x@example.com\r\nMessage-ID: {ours.message_id}\r\n\r\nour own copy\r\n".encode())
    await box.arrives(reply(ours, "I write further in the thread", sender=ANN.upper()))
    await box.arrives(b"From: news@example.com\r\nSubject: Offers\r\nMessage-ID: <7@example.com>\r\n\r\nBuy!\r\n")
    assert await box.scan() == 0
    assert await box.inbound() == []


async def test_a_report_from_the_mailboxes_own_address_is_read(box: Inbox) -> None:
    sent = await box.sent()
    await box.arrives(bounce(sent).replace(b"MAILER-DAEMON@mx.example.com", ANN.encode()))
    await box.scan()
    assert await box.kinds() == {sent.delivery: [BounceReceived]}


async def test_a_colleagues_answer_to_a_delivery_that_only_the_log_knows_is_recorded(box: Inbox) -> None:
    sent = await box.sent(known=False)
    await box.arrives(reply(sent, sender="colleague@elsewhere.example"))
    assert await box.scan() == 1
    assert await box.kinds() == {sent.delivery: [ReplyReceived]}


async def test_one_answer_among_three_hundred_messages_is_found_and_none_is_marked(box: Inbox) -> None:
    sent = await box.sent()
    for number in range(150):
        await box.arrives(b"From: c@example.com\r\nSubject: %d\r\nMessage-ID: <%d@c>\r\n\r\nHi\r\n" % (number, number))
        await box.arrives(reply(sent) if number == 75 else b"From: d@example.com\r\n\r\n%d\r\n" % number)
    before = await box.server.stored(ANN)
    assert await box.scan() == 1
    assert await box.cursor() == before[-1].uid
    assert await box.server.stored(ANN) == before


async def test_what_is_older_than_the_credential_is_never_read(box: Inbox) -> None:
    sent = await box.sent()
    old = datetime(2020, 1, 1, tzinfo=UTC)
    last = [await box.server.append(ANN, reply(sent, number=number), at=old) for number in range(3)][-1]
    assert await box.scan() == 0
    assert await box.cursor() == last
    await box.arrives(reply(sent, number=9))
    assert await box.scan() == 1


async def test_a_message_that_no_database_could_keep_stops_nothing(box: Inbox) -> None:
    first, second = await box.sent("a"), await box.sent("b")
    await box.arrives(reply(first, "zero \x00 byte").replace(b"Hello", b"\xed\xa0\x80 =?utf-8?q?=00?="))
    await box.arrives(reply(first, "x").replace(b"text/plain; charset=utf-8", b"multipart/mixed; boundary=\x00"))
    await box.arrives(reply(second))
    await box.scan()
    assert set(await box.kinds()) == {first.delivery, second.delivery}


async def test_words_are_not_kept_of_somebody_who_is_forgotten(box: Inbox) -> None:
    sent = await box.sent()
    await forget(box.others["dispatcher"].pool, [sent.contact])
    await box.arrives(reply(sent))
    await box.scan()
    [item] = await box.inbound()
    assert await box.words(sent.contact, f"inbound-{item.cause}") is None


async def test_a_message_found_again_under_another_number_or_in_another_folder_is_not_doubled(box: Inbox) -> None:
    first, second = await box.sent("a"), await box.sent("b")
    await box.arrives(reply(first))
    nameless = reply(second).replace(b"Message-ID: <1", b"X-Id: <1")
    await box.arrives(nameless)
    assert await box.scan() == 2

    await box.server.set_uid_validity(ANN, 7)
    assert await box.scan() == 0
    await box.arrives(reply(first), folder="Junk")
    await box.arrives(nameless, folder="Junk")
    assert await box.scan() == 0
    await box.watcher.work.execute("delete from cursors")
    assert await box.scan() == 0
    await box.arrives(reply(first, "And another thing.", number=2))
    assert await box.scan() == 1
    assert {delivery: len(kinds) for delivery, kinds in (await box.kinds()).items()} == {
        first.delivery: 2,
        second.delivery: 1,
    }


async def several(box: Inbox) -> list[Sent]:
    """Answers enough for two chunks."""
    found = [await box.sent(f"p{number}") for number in range(30)]
    for sent in found:
        await box.arrives(reply(sent))
    return found


async def test_a_scan_cut_between_the_record_and_the_cursor_records_each_message_once(
    box: Inbox, urls: Mapping[str, str]
) -> None:
    sent = await several(box)
    owner = await asyncpg.connect(urls["owner"])
    try:
        async with owner.transaction():
            await owner.execute("lock table reply_watcher_work.cursors in share mode")  # read, but not moved
            scanning = asyncio.create_task(box.scan())

            async def recorded() -> bool:
                return len(await box.inbound()) == 25

            await until("a chunk is recorded", recorded)
            scanning.cancel()
            await asyncio.gather(scanning, return_exceptions=True)
        assert await box.cursor() is None
        assert await box.scan() == 5
    finally:
        await owner.close()
    assert await box.kinds() == {one.delivery: [ReplyReceived] for one in sent}


async def test_a_scan_cut_before_the_record_records_each_message_once_even_if_numbered_anew(
    box: Inbox, urls: Mapping[str, str]
) -> None:
    sent = await several(box)
    owner = await asyncpg.connect(urls["owner"])
    try:
        await owner.execute("select pg_advisory_lock($1)", APPEND_LOCK)
        scanning = asyncio.create_task(box.scan())

        async def at_it() -> bool:
            return bool(await box.watcher.work.fetchval("select count(*) from findings"))

        await until("the first message is found", at_it)
        scanning.cancel()
        await asyncio.gather(scanning, return_exceptions=True)
        assert await box.inbound() == []
        await box.server.set_uid_validity(ANN, 7)
        await owner.execute("select pg_advisory_unlock($1)", APPEND_LOCK)
        await box.scan()
    finally:
        await owner.close()
    assert await box.kinds() == {one.delivery: [ReplyReceived] for one in sent}


async def test_two_scans_at_once_record_each_message_once(box: Inbox) -> None:
    sent = await several(box)
    assert sum(await asyncio.gather(box.scan(), box.scan())) == len(sent)
    assert await box.kinds() == {one.delivery: [ReplyReceived] for one in sent}
    assert await box.cursor() == (await box.server.stored(ANN))[-1].uid


async def test_a_late_opt_out_from_a_deleted_campaign_is_heard_where_its_mailbox_is_still_watched(box: Inbox) -> None:
    sent = await box.sent(known=False)
    await box.watcher.tables.execute("delete from deliveries")
    await box.add(uuid4())
    await box.arrives(reply(sent, "unsubscribe"))
    await box.scan()
    assert await box.kinds() == {sent.delivery: [OptOutReceived]}
