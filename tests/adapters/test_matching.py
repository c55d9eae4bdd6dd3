"""To whom an answer belongs that names no message of ours: Gmail's thread tells it, or sender and subject."""

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from outrider.events.contact import ContactForgotten
from outrider.events.inbound import AutoReplyReceived, InboundEvent, OptOutReceived, ReplyReceived
from outrider.events.projector import caught_up
from outrider.reply_watcher.imap_session import Session
from outrider.reply_watcher.scanning import Scan
from tests.support.inbox import ANN, PASSWORD, Inbox, Sent, bounce, inbox, reply
from tests.support.mail import imap_server
from tests.support.scripted_imap import scripted


@pytest.fixture
async def box(urls: Mapping[str, str]) -> AsyncGenerator[Inbox]:
    async with imap_server({ANN: PASSWORD}) as server, inbox(urls, server) as found:
        yield found


def fresh(sent: Sent, subject: str = "AW: [EXTERN]  hello BOB", text: str = "Yes!", headers: str = "") -> bytes:
    """A mail of the person's that names nothing."""
    return (
        f"From: Bob <{sent.address.upper()}>\r\nTo: {ANN}\r\nSubject: {subject}\r\n{headers}"
        f"Message-ID: <{uuid4()}@example.com>\r\nContent-Type: text/plain\r\n\r\n{text}\r\n"
    ).encode()


async def recorded(box: Inbox) -> dict[object, tuple[type[InboundEvent], bool]]:
    """Type and suspicion of what stands in the log, by delivery."""
    found = [item.event for item in await box.inbound() if isinstance(item.event, InboundEvent)]
    return {event.delivery_id: (type(event), event.suspected) for event in found}


async def test_an_answer_without_references_is_suspected_by_its_sender_and_subject(box: Inbox) -> None:
    await box.begin()
    answered, away, left, moved, gone, colleague, other, early, forged, came_back = [
        await box.sent(name) for name in ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
    ]
    for sent in (answered, away, left, gone, other, early, forged, came_back):
        await box.person(sent)
    await box.person(moved, "d.former@example.com")
    await box.record("dispatcher", f"contact-{gone.contact}", ContactForgotten(contact_id=gone.contact))
    await caught_up(box.reader)
    genuine = forged.message_id
    changed = genuine[:40] + ("0" if genuine[40] != "0" else "1") + genuine[41:]
    await box.arrives(fresh(answered))
    await box.arrives(fresh(away, "Automatic reply: Hello Bob", "I am away.", "Auto-Submitted: auto-replied\r\n"))
    await box.arrives(fresh(left, "Re: Hello Bob", "Please remove me from your list."))
    await box.arrives(fresh(moved).replace(b"D@EXAMPLE.COM", b"d.former@example.com"))
    await box.arrives(fresh(gone))
    await box.arrives(fresh(colleague, "Re: Hello Bob"))  # whom we never mailed
    await box.arrives(fresh(other, "Hello Rob"))
    await box.server.append(ANN, fresh(early), at=datetime(2026, 1, 1, tzinfo=UTC))
    await box.arrives(fresh(forged, headers=f"In-Reply-To: {changed}\r\n"))
    report = bounce(came_back).replace(came_back.message_id.encode(), b"<x@y.example>")
    await box.arrives(report.replace(b"MAILER-DAEMON@mx.example.com", came_back.address.encode()))

    await box.scan()
    assert await recorded(box) == {
        answered.delivery: (ReplyReceived, True),
        away.delivery: (AutoReplyReceived, True),
        left.delivery: (OptOutReceived, True),
        moved.delivery: (ReplyReceived, True),
    }
    assert all(item.event.stops for item in await box.inbound() if isinstance(item.event, ReplyReceived))
    assert await box.scan() == 0


async def test_a_suspicion_stops_nothing_where_the_campaign_does_not_want_it_to(box: Inbox) -> None:
    await box.begin(stops=False)
    suspected, sure = await box.sent("a"), await box.sent("b")
    await box.person(suspected)
    await box.person(sure)
    await box.arrives(fresh(suspected))
    await box.arrives(reply(sure))
    await box.scan()
    found = [item.event for item in await box.inbound() if isinstance(item.event, ReplyReceived)]
    assert {event.delivery_id: event.stops for event in found} == {suspected.delivery: False, sure.delivery: True}


def fetched(*messages: tuple[int, int, bytes]) -> bytes:
    """The answer of a Gmail server to a FETCH: UID, thread and content."""
    lines = [
        b"* %d FETCH (X-GM-THRID %d UID %d RFC822.SIZE %d BODY[]<0> {%d}\r\n%b)\r\n"
        % (uid, thread, uid, len(content), len(content), content)
        for uid, thread, content in messages
    ]
    return b"".join(lines) + b"%t OK done\r\n"


async def test_gmails_thread_tells_whose_answer_it_is_that_lost_its_references(box: Inbox) -> None:
    first, second, third = await box.sent("a"), await box.sent("b"), await box.sent("c")
    for sent in (first, second, third):
        await box.person(sent)
    own = f"From: {ANN}\r\nMessage-ID: %s\r\nSubject: Hello\r\n\r\nHi\r\n"
    stray = fresh(first, "Another subject").replace(b"A@EXAMPLE.COM", b"colleague@elsewhere.example")
    found = [
        (1, 77, (own % first.message_id).encode()),  # our copies tell which thread it is
        (2, 78, (own % second.message_id).encode()),
        (3, 78, (own % third.message_id).encode()),  # two people in one thread
        (4, 77, stray),
        (5, 78, fresh(third, "Another subject")),
        (6, 78, stray),
        (7, 77, f"From: {ANN}\r\nSubject: more\r\n\r\nmy own words\r\n".encode()),
        (8, 79, fresh(second, "Another subject")),  # of somebody whom we mailed, about something else
    ]
    bodies = [one for one in found if one[0] in {4, 5, 6, 8}]
    async with (
        scripted(
            CAPABILITY=b"* CAPABILITY IMAP4rev1 X-GM-EXT-1\r\n%t OK done\r\n",
            LIST=b'* LIST (\\All) "/" "[Gmail]/All Mail"\r\n%t OK done\r\n',
            SEARCH=b"* SEARCH 1 2 3 4 5 6 7 8\r\n%t OK found\r\n",
            FETCH=[fetched(*found), fetched(*bodies)],
        ) as (mailbox, asked),
        await Session.open(mailbox, 5) as session,
    ):
        await box.scanner.scan(Scan(await box.watched(), mailbox, {ANN}, session))
    assert "FETCH 4,5,6,8 " in [line for line in asked if "FETCH" in line][-1]
    assert await recorded(box) == {first.delivery: (ReplyReceived, False), third.delivery: (ReplyReceived, False)}
