"""The sandbox as a process: ordinary SMTP, IMAP and HTTP clients see people who do what their addresses say."""

import email
import email.policy
import imaplib
import os
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

ANN = "ann@sales.example"
SPEED = 36000
DEADLINE_SECONDS = 120.0

Found = TypeVar("Found")


@dataclass
class World:
    """A sandbox process and how to talk to it."""

    home: Path
    smtp: int = 0
    imap: int = 0
    control: str = ""
    process: "subprocess.Popen[bytes]" = field(init=False)

    def start(self) -> None:
        """Start it and return once it is ready."""
        self.home.mkdir(exist_ok=True)
        if not self.control:
            self.smtp, self.imap, control = spare_port(), spare_port(), spare_port()
            self.control = f"http://127.0.0.1:{control}"
        environment = {
            **os.environ,
            "OUTRIDER_SMTP_PORT": str(self.smtp),
            "OUTRIDER_IMAP_PORT": str(self.imap),
            "OUTRIDER_SANDBOX_CONTROL_PORT": self.control.rpartition(":")[2],
            "OUTRIDER_SANDBOX_HOME": str(self.home / "sandbox"),
            "OUTRIDER_CLOCK": f"2026-11-23T08:00:00Z@{SPEED}",
        }
        self.process = subprocess.Popen([sys.executable, "-m", "outrider.local.sandbox"], env=environment)
        eventually(lambda: self.get("/health"))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; answers its exit code."""
        self.process.send_signal(number)
        return self.process.wait(10)

    def get(self, path: str) -> Any:  # noqa: ANN401  # JSON
        """Answer what the control listener says, None if it does not listen."""
        try:
            return httpx.get(self.control + path, timeout=5).json()
        except httpx.TransportError:
            return None

    def record(self, recipient: str) -> dict[str, list[dict[str, Any]]]:
        """Answer what the record says about a recipient."""
        told = self.get("/record")
        return {
            kind: [entry for entry in told[kind] if entry["recipient"] == recipient]
            for kind in ("accepted", "refused", "answered")
        }

    def send(self, recipient: str, number: int = 1, html: str = "") -> str:
        """Send the letter of this number in the thread; answers its Message-ID. Raises what smtplib raises."""
        identifier = f"<{number}.{recipient}>"
        letter = EmailMessage(policy=email.policy.SMTP.clone(max_line_length=900))
        letter["From"], letter["To"], letter["Subject"] = f"Ann <{ANN}>", recipient, "Hi Zoë"
        letter["Message-ID"] = identifier
        if number > 1:
            letter["In-Reply-To"] = letter["References"] = f"<1.{recipient}>"
        letter.set_content("Hello\nthere\n")
        if html:
            letter.add_alternative(html, subtype="html")
        with smtplib.SMTP("127.0.0.1", self.smtp, local_hostname="test", timeout=10) as client:
            client.login(ANN, "any")
            client.sendmail(ANN, recipient, letter.as_bytes())
        return identifier

    def inbox(self, user: str = ANN) -> dict[int, EmailMessage]:
        """Answer the mail in the user's INBOX by UID, read by IMAP."""
        with imaplib.IMAP4("127.0.0.1", self.imap, timeout=10) as client:
            client.login(user, "any")
            client.select("INBOX", readonly=True)
            uids: list[bytes] = client.uid("SEARCH", "ALL")[1][0].split()
            found: dict[int, list[bytes | tuple[bytes, bytes]]] = {
                int(uid): client.uid("FETCH", uid.decode(), "(BODY.PEEK[])")[1] for uid in uids
            }
            # A server may tell of new mail in the same answer: the message is the part that has a literal.
            return {
                uid: parsed(next(part[1] for part in parts if isinstance(part, tuple))) for uid, parts in found.items()
            }

    def answers_to(self, identifier: str) -> list[EmailMessage]:
        """Answer the mail in the INBOX that names this message."""
        return [mail for mail in self.inbox().values() if identifier.encode() in mail.as_bytes()]


def parsed(content: bytes) -> EmailMessage:
    """Parse a message."""
    return email.message_from_bytes(content, policy=email.policy.default)


def spare_port() -> int:
    """Answer a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(look: Callable[[], Found]) -> Found:
    """Look until there is something, and answer it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run one sandbox for the module."""
    world = World(tmp_path_factory.mktemp("sandbox") / "home")
    world.start()
    yield world
    assert world.stop() == 0


def test_most_people_stay_silent(world: World) -> None:
    identifier = world.send("ada@example.com")
    [accepted] = world.record("ada@example.com")["accepted"]
    assert accepted["message_id"] == identifier
    assert (accepted["user"], accepted["sender"], accepted["step"]) == (ANN, ANN, 1)
    assert (accepted["subject"], accepted["text"].split()) == ("Hi Zoë", ["Hello", "there"])
    assert not world.record("ada@example.com")["answered"]


def test_an_unknown_recipient_is_refused_with_550(world: World) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused, match=r"550.*5\.1\.1"):
        world.send("gone+refused@example.com")
    assert world.record("gone+refused@example.com")["refused"][0]["stage"] == "rcpt"


def test_a_greylist_defers_the_first_time_only(world: World) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused, match=r"451.*4\.7\.1"):
        world.send("li+grey@example.com")
    world.send("li+grey@example.com")
    world.send("li+grey@example.com", 2)
    assert [letter["step"] for letter in world.record("li+grey@example.com")["accepted"]] == [1, 2]


def test_a_reply_comes_in_the_thread_with_the_letter_quoted(world: World) -> None:
    identifier = world.send("bo+reply1@example.com")
    [reply] = eventually(lambda: world.answers_to(identifier))
    assert reply["in-reply-to"] == identifier
    assert reply["subject"] == "Re: Hi Zoë"
    assert reply["auto-submitted"] is None
    body = reply.get_body(("plain",))
    assert body is not None
    assert "> Hello" in body.get_content()


def test_who_answers_the_second_letter_is_silent_after_the_first(world: World) -> None:
    first = world.send("cy+reply2@example.com")
    second = world.send("cy+reply2@example.com", 2)
    [reply] = eventually(lambda: world.answers_to(second))
    assert reply["references"].split() == [first, second]


def test_who_is_away_has_a_machine_say_so(world: World) -> None:
    identifier = world.send("di+away@example.com")
    [reply] = eventually(lambda: world.answers_to(identifier))
    assert reply["auto-submitted"] == "auto-replied"
    assert reply["in-reply-to"] == identifier


def test_a_bounce_is_a_report_with_the_headers_returned(world: World) -> None:
    identifier = world.send("ed+bounce@example.com")
    [report] = eventually(lambda: world.answers_to(identifier))
    assert report.get_content_type() == "multipart/report"
    _, status, returned = report.iter_parts()
    assert isinstance(status, EmailMessage)
    _, recipient = status.iter_parts()
    assert (recipient["action"], recipient["status"]) == ("failed", "5.1.1")
    assert recipient["final-recipient"] == "rfc822; ed+bounce@example.com"
    assert f"Message-ID: {identifier}" in returned.get_content()


def test_who_opens_has_the_image_loaded(world: World) -> None:
    asked: list[str] = []

    class Image(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
            pass

    with HTTPServer(("127.0.0.1", 0), Image) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = f"http://127.0.0.1:{server.server_port}/t/o/token.gif?a=1&amp;b=2"
        world.send("eve+open@example.com", html=f'<p>Hi</p><img width="1" src="{source}">')
        [opened] = eventually(lambda: world.record("eve+open@example.com")["answered"])
        server.shutdown()
    assert (opened["deed"], opened["status"]) == ("open", 200)
    assert asked == ["/t/o/token.gif?a=1&b=2"]


def test_the_password_wrong_is_wrong(world: World) -> None:
    sending = smtplib.SMTP("127.0.0.1", world.smtp, local_hostname="test", timeout=10)
    with sending, pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
        sending.login(ANN, "wrong")
    with imaplib.IMAP4("127.0.0.1", world.imap, timeout=10) as client, pytest.raises(imaplib.IMAP4.error):
        client.login(ANN, "wrong")


def test_a_rule_can_be_given_from_outside(world: World) -> None:
    rule = {"stage": "dot", "answer": "554 5.7.1 Message looks like spam", "recipient": "flo@example.com", "times": 1}
    assert httpx.post(world.control + "/rules", json=rule).is_success
    with pytest.raises(smtplib.SMTPDataError, match="looks like spam"):
        world.send("flo@example.com")
    world.send("flo@example.com")
    assert httpx.delete(world.control + "/rules").is_success


def test_a_message_can_be_put_into_a_mailbox(world: World) -> None:
    content = b"From: a@example.com\r\nSubject: Out of the blue\r\n\r\nHi\r\n"
    uid = httpx.post(world.control + "/mailboxes/Guy@sales.example/INBOX", content=content).json()["uid"]
    assert world.inbox("guy@sales.example")[uid]["subject"] == "Out of the blue"
    [stored] = world.get("/mailboxes/guy@sales.example/INBOX")
    assert (stored["flags"], stored["content"]) == ([], content.decode())


def test_a_killed_sandbox_keeps_its_record_and_does_what_was_left(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start()
    replied = world.send("hal+reply1@example.com")
    eventually(lambda: world.answers_to(replied))
    pending = world.send("ida+reply1+open@example.com")  # an image is loaded after 5 s
    world.stop(signal.SIGKILL)
    with (tmp_path / "sandbox" / "journal.jsonl").open("a") as journal:
        journal.write('{"kind": "acc')  # as if it had been cut short
    before = world.home / "sandbox" / "uidvalidity"
    validity = before.read_text()
    world.start()
    assert [letter["message_id"] for letter in world.get("/record")["accepted"]] == [replied, pending]
    assert replied.encode() in world.inbox()[101].as_bytes()
    eventually(lambda: len(world.record("ida+reply1+open@example.com")["answered"]) == 2)
    assert before.read_text() == validity
    assert world.stop() == 0
