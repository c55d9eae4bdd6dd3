"""SMTP against servers that do what no real one should: each connection follows a script, byte by byte."""

import asyncio
import time
from dataclasses import replace

import pytest

from outrider.sender.smtp import (
    Accepted,
    Connections,
    Deferred,
    NotSent,
    Outcome,
    Rejected,
    Server,
    Timeouts,
    Unknown,
)
from tests.support.rude_smtp import Peer, Rude, Script, rude

ANN, BOB = "ann@sales.example", "bob@example.com"
MESSAGE = b"Subject: Hi\r\n\r\nbye\r\n"
LARGE = MESSAGE + b"0123456789\r\n" * 2_000_000
HASTY = Timeouts(command_seconds=10, data_seconds=10, reply_seconds=10)
NOT_SMTP = "The server answered something that is not SMTP."
BROKEN_OFF = "The server broke off the connection."


def reached(peer: Rude) -> Server:
    """Answer how to reach it, in plain."""
    return Server("localhost", peer.port, "none", allow_insecure=True)


async def send_to(
    *scripts: Script, timeouts: Timeouts = HASTY, message: bytes = MESSAGE, recipient: str = BOB
) -> list[Outcome]:
    """Send one message for each script, one after the other; answers what became of them."""
    async with rude(*scripts) as peer:
        connections = Connections(reached(peer), 1, timeouts)
        outcomes = [await connections.send(ANN, recipient, message, time.monotonic() + 60) for _ in scripts]
        await connections.close()
        return outcomes


@pytest.mark.parametrize("garbage", [b"\xff\xfe\0\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"99 x\r\n", b"999 x\r\n"])
async def test_garbage_is_not_sent_before_the_dot_and_unknown_after_it(garbage: bytes) -> None:
    async def greets_so(peer: Peer) -> None:
        await peer.say_bytes(garbage)
        await peer.fall_silent()

    async def answers_rcpt_so(peer: Peer) -> None:
        await peer.greet()
        await peer.answer("250 ok")
        await peer.hear()
        await greets_so(peer)

    async def answers_the_dot_so(peer: Peer) -> None:
        await peer.take_message()
        await greets_so(peer)

    outcomes = await send_to(greets_so, answers_rcpt_so, answers_the_dot_so)
    assert outcomes == [NotSent(NOT_SMTP), NotSent(NOT_SMTP), Unknown(NOT_SMTP)]


@pytest.mark.parametrize("line", [b"250 " + b"x" * 8_000_000, b"250-x\r\n" * 1_000_000])
async def test_an_endless_reply_is_cut_off(line: bytes) -> None:
    async def answers_mail_so(peer: Peer) -> None:
        await peer.greet()
        await peer.hear()
        await peer.say_bytes(line)

    async def answers_the_dot_so(peer: Peer) -> None:
        await peer.take_message()
        await peer.say_bytes(line)

    assert await send_to(answers_mail_so, answers_the_dot_so) == [NotSent(NOT_SMTP), Unknown(NOT_SMTP)]


async def test_a_reply_in_pieces_and_lines_is_one_reply() -> None:
    async def stammers(peer: Peer) -> None:
        await peer.greet()
        await peer.hear()
        for piece in (b"2", b"50", b"-2.1.0 so\r", b"\n250-far\r\n25", b"0 good\r\n"):
            await peer.say_bytes(piece)
        await peer.hear()
        await peer.say("550-5.1.1 The address", "550-5.1.1 is\x07 \x1b[31mnot", "550 5.1.1 here")

    assert await send_to(stammers) == [Rejected("hard", 550, "5.1.1 The address 5.1.1 is [31mnot 5.1.1 here", "rcpt")]


async def test_an_incomplete_answer_to_the_dot_is_unknown() -> None:
    async def hangs_up_in_mid_word(peer: Peer) -> None:
        await peer.take_message()
        await peer.say_bytes(b"250 2.0.0 Ok")

    async def says_half(peer: Peer) -> None:
        await peer.take_message()
        await peer.say_bytes(b"250-2.0.0 Ok\r\n")

    assert await send_to(hangs_up_in_mid_word, says_half) == [
        Unknown(f"{BROKEN_OFF[:-1]}: 250 2.0.0 Ok"),
        Unknown(f"{BROKEN_OFF[:-1]}: 250-2.0.0 Ok"),
    ]


async def test_an_answer_and_a_goodbye_in_one_packet_is_accepted_and_the_connection_left() -> None:
    async def says_both(peer: Peer) -> None:
        await peer.take_message()
        await peer.say("250 Queued", "421 Closing")

    assert await send_to(says_both, says_both) == [Accepted("Queued"), Accepted("Queued")]


async def test_an_answer_and_the_end_at_once_is_accepted() -> None:
    async def answers_and_leaves(peer: Peer) -> None:
        await peer.take_message()
        await peer.say("250 Queued")
        peer.writer.close()

    assert await send_to(answers_and_leaves) == [Accepted("Queued")]


async def test_a_421_after_the_dot_is_deferred_and_3xx_unknown() -> None:
    async def goes_away(peer: Peer) -> None:
        await peer.take_message()
        await peer.say("421 4.3.2 Going down")

    async def asks_for_more(peer: Peer) -> None:
        await peer.take_message()
        await peer.say("354 more")

    outcomes = await send_to(goes_away, asks_for_more)
    assert outcomes == [Deferred(421, "4.3.2 Going down"), Unknown("The server is out of step: 354 more")]


async def test_a_positive_answer_to_data_writes_no_content() -> None:
    heard: list[bytes] = []

    async def misunderstands(peer: Peer) -> None:
        await peer.greet()
        await peer.answer("250 ok", "250 ok", "250 ok")
        heard.append(await peer.reader.read())

    assert await send_to(misunderstands) == [NotSent("The server is out of step: 250 ok")]
    assert heard == [b""]


async def test_a_reset_in_mid_data_is_not_sent() -> None:
    async def resets(peer: Peer) -> None:
        await peer.take_envelope()
        await peer.reader.read(1000)
        peer.reset()

    assert await send_to(resets, message=LARGE) == [NotSent(BROKEN_OFF)]


async def test_a_refusal_in_mid_data_is_heard() -> None:
    async def refuses(peer: Peer) -> None:
        await peer.take_envelope()
        await peer.reader.readexactly(1000)
        await peer.say("552 5.3.4 Too big")
        await peer.fall_silent()

    assert await send_to(refuses, message=LARGE) == [Rejected("soft", 552, "5.3.4 Too big", "data")]


async def test_a_refusal_in_the_packet_of_the_354_writes_no_dot() -> None:
    heard: list[bytes] = []

    async def changes_its_mind(peer: Peer) -> None:
        await peer.greet()
        await peer.answer("250 ok", "250 ok")
        await peer.hear()
        await peer.say("354 go", "451 4.3.0 stop")
        heard.append(await peer.reader.read())

    assert await send_to(changes_its_mind) == [Deferred(451, "4.3.0 stop")]
    assert not heard[0].endswith(b".\r\n")


async def test_a_250_before_the_dot_is_no_acceptance() -> None:
    heard: list[bytes] = []

    async def is_hasty(peer: Peer) -> None:
        await peer.greet()
        await peer.answer("250 ok", "250 ok")
        await peer.hear()
        await peer.say("354 go", "250 Queued")
        heard.append(await peer.reader.read())

    assert await send_to(is_hasty) == [NotSent("The server broke off the connection: 250 Queued")]
    assert not heard[0].endswith(b".\r\n")


async def test_a_server_that_stops_reading_in_mid_data_is_given_up() -> None:
    async def stops_reading(peer: Peer) -> None:
        await peer.take_envelope()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # a socket's transport can
        await peer.fall_silent()

    brief = replace(HASTY, data_seconds=0.5)
    outcomes = await send_to(stops_reading, timeouts=brief, message=LARGE)
    assert outcomes == [NotSent("The server did not take the message in time.")]


@pytest.mark.parametrize("silent_at", ["greeting", "ehlo", "mail", "rcpt", "data", "dot"])
async def test_silence_ends_in_time(silent_at: str) -> None:
    async def falls_silent(peer: Peer) -> None:
        if silent_at == "greeting":
            await peer.fall_silent()
        await peer.say("220 peer")
        for command in ("ehlo", "mail", "rcpt", "data"):
            await peer.hear()
            if silent_at == command:
                await peer.fall_silent()
            await peer.say("354 go" if command == "data" else "250 ok")
        await peer.hear_message()
        await peer.fall_silent()

    brief = Timeouts(command_seconds=0.2, data_seconds=0.2, reply_seconds=0.2)
    [outcome] = await send_to(falls_silent, timeouts=brief)
    assert isinstance(outcome, Unknown if silent_at == "dot" else NotSent)
    assert outcome.reason.startswith("The server did not ")


@pytest.mark.parametrize("greeting", ["554 5.7.1 Your address is blocked", "421 Too many connections"])
async def test_a_refused_greeting_is_not_sent(greeting: str) -> None:
    async def refuses(peer: Peer) -> None:
        await peer.say(greeting)

    assert await send_to(refuses) == [NotSent(f"The server takes no connections: {greeting}")]


async def test_a_failure_is_followed_by_rset_and_the_next_message() -> None:
    heard: list[str] = []

    async def refuses_once(peer: Peer) -> None:
        await peer.greet("SIZE 1000", "8BITMIME", "SMTPUTF8")
        heard.extend(await peer.answer("250 ok", "550 5.1.1 no", "250 reset", "250 ok", "250 ok", "354 go"))
        await peer.hear_message()
        await peer.say("250 Queued")

    async with rude(refuses_once) as peer:
        connections = Connections(reached(peer), 1, HASTY)
        deadline = time.monotonic() + 60
        assert isinstance(await connections.send(ANN, BOB, MESSAGE, deadline), Rejected)
        assert isinstance(await connections.send(ANN, BOB, "Subject: é\r\n\r\né".encode(), deadline), Accepted)
        await connections.close()
    assert heard == [
        f"MAIL FROM:<{ANN}> SIZE={len(MESSAGE)}",
        f"RCPT TO:<{BOB}>",
        "RSET",
        f"MAIL FROM:<{ANN}> SIZE=19 BODY=8BITMIME SMTPUTF8",
        f"RCPT TO:<{BOB}>",
        "DATA",
    ]


async def test_a_goodbye_while_idle_is_seen_before_mail() -> None:
    said = asyncio.Event()

    async def says_goodbye(peer: Peer) -> None:
        await peer.take_message()
        await peer.say("250 Queued")
        await asyncio.sleep(0)
        await peer.say("421 4.4.2 Idle too long")
        said.set()
        await peer.fall_silent()

    async def takes_one(peer: Peer) -> None:
        await peer.take_message()
        await peer.say("250 Queued again")

    async with rude(says_goodbye, takes_one) as peer:
        connections = Connections(reached(peer), 1, HASTY)
        deadline = time.monotonic() + 60
        assert await connections.send(ANN, BOB, MESSAGE, deadline) == Accepted("Queued")
        await said.wait()
        assert await connections.send(ANN, BOB, MESSAGE, deadline) == Accepted("Queued again")
        await connections.close()


@pytest.mark.parametrize("how", ["idle", "close"])
async def test_a_connection_is_left_with_quit(how: str) -> None:
    goodbye = asyncio.get_running_loop().create_future()

    async def waits_for_quit(peer: Peer) -> None:
        await peer.take_message()
        await peer.say("250 Queued")
        goodbye.set_result(await peer.hear())
        await peer.say("221 bye")

    async with rude(waits_for_quit) as peer:
        timeouts = replace(HASTY, idle_seconds=0.01) if how == "idle" else HASTY
        connections = Connections(reached(peer), 1, timeouts)
        assert isinstance(await connections.send(ANN, BOB, MESSAGE, time.monotonic() + 60), Accepted)
        if how == "close":
            await connections.close()
        async with asyncio.timeout(10):
            assert await goodbye == "QUIT"
        await connections.close()


async def test_an_address_beyond_ascii_waits_for_a_server_that_takes_it() -> None:
    async def knows_ascii_only(peer: Peer) -> None:
        await peer.greet()
        await peer.hear()

    [outcome] = await send_to(knows_ascii_only, recipient="zoë@example.com")
    assert outcome == Rejected("soft", 553, "5.6.7 The server takes no address beyond ASCII", "address")
