"""The people of the sandbox: what somebody does with mail stands in the address, and the letters they write back. Pure.

    ada@example.com                 reads it and stays silent, like most of us
    ada+open@example.com            has the images of the first letter loaded
    ada+reply1@example.com          answers in the thread, here after the first letter; reply2: after the second
    ada+away@example.com            has an automatic reply (RFC 3834) answer the first letter, and writes nothing else
    ada+refused@example.com         is unknown to the server: 550 at RCPT
    ada+grey@example.com            is behind a greylist: 451 at the first RCPT, accepted afterwards
    ada+slow@example.com            has a server that keeps the sender waiting a second after it took a letter
    ada+bounce@example.com          is accepted, and comes back as a report (RFC 3464) an hour later

Tags may be combined: `ada+grey+open@example.com`.
"""

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from typing import Literal
from zlib import crc32

REFUSED = "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table"
GREYLISTED = "451 4.7.1 <{address}>: Recipient address rejected: Greylisted, please try again later"
UNFOLDED = email.policy.SMTP.clone(max_line_length=990)  # folding would encode a Message-ID of more than 78 signs

Deed = Literal["open", "reply", "auto_reply", "bounce"]


@dataclass(frozen=True)
class Habits:
    """What somebody does with mail."""

    opens: bool = False
    away: bool = False
    refused: bool = False
    greylisted: bool = False
    bounces: bool = False
    slow: bool = False
    replies_after: int = 0
    """The letter that is answered; 0: none."""


@dataclass(frozen=True)
class Letter:
    """One message as its recipient got it."""

    recipient: str
    author: str
    """Where an answer goes: Reply-To or From."""
    subject: str
    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    text: str
    html: str
    headers: str
    """The header block as received."""

    @property
    def thread(self) -> str:
        """The first message of the conversation."""
        return (*self.references, self.message_id)[0]


def habits(address: str) -> Habits:
    """Answer what the tags in the local part say; an unknown tag says nothing."""
    tags = address.rpartition("@")[0].casefold().split("+")[1:]
    answered = [int(tag.removeprefix("reply")) for tag in tags if re.fullmatch("reply[1-9]", tag)]
    return Habits(
        opens="open" in tags,
        away="away" in tags,
        refused="refused" in tags,
        greylisted="grey" in tags,
        bounces="bounce" in tags,
        slow="slow" in tags,
        replies_after=answered[0] if answered else 0,
    )


def deeds(address: str, step: int) -> Iterator[tuple[Deed, timedelta]]:
    """Answer what somebody does about the letter of this number in a thread, and how long after it came."""
    known = habits(address)
    if known.bounces:
        if step == 1:
            yield "bounce", timedelta(hours=1)
        return
    if known.opens and step == 1:
        yield "open", timedelta(hours=1)
    if known.away and step == 1:
        yield "auto_reply", timedelta(minutes=1)
    if step == known.replies_after:
        yield "reply", timedelta(hours=2 + crc32(address.encode()) % 5)


def read(content: bytes, recipient: str) -> Letter:
    """Answer the message as a mail program shows it."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    author = message.get("reply-to") or message.get("from")
    addresses: tuple[Address, ...] = author.addresses if author is not None else ()
    return Letter(
        recipient=recipient,
        author=addresses[0].addr_spec if addresses else "",
        subject=str(message.get("subject", "")),
        message_id=str(message.get("message-id", "")).strip(),
        in_reply_to=str(message.get("in-reply-to", "")).strip(),
        references=tuple(str(message.get("references", "")).split()),
        text=_part(message, "plain"),
        html=_part(message, "html"),
        headers=re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0].decode("utf-8", "replace"),
    )


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None and part.get_content_subtype() == kind else ""


def pixel(letter: Letter) -> str:
    """Answer the address of the tracking image in the HTML, or an empty string."""
    found = re.search(r"<img\b[^>]*\bsrc=[\"']([^\"']*/t/o/[^\"']+)[\"']", letter.html, re.IGNORECASE)
    return found[1].replace("&amp;", "&") if found else ""


def _answer(letter: Letter, kind: str, subject: str, at: datetime) -> EmailMessage:
    domain = letter.recipient.rpartition("@")[2]
    message = EmailMessage(policy=UNFOLDED)
    message["From"] = letter.recipient
    message["To"] = letter.author
    message["Subject"] = subject
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{kind}.{crc32(letter.message_id.encode()):08x}@{domain}>"
    if letter.message_id:
        message["In-Reply-To"] = letter.message_id
        message["References"] = " ".join((*letter.references, letter.message_id))
    return message


def reply(letter: Letter, at: datetime) -> bytes:
    """Answer what a human writes back: above the quoted letter, in the thread, every other one with an HTML part."""
    subject = letter.subject if letter.subject.lower().startswith("re:") else f"Re: {letter.subject}"
    message = _answer(letter, "reply", subject, at)
    choice = crc32(letter.recipient.encode()) % len(HUMAN)
    words, attribution = HUMAN[choice]
    line = attribution.format(at=at, author=letter.author)
    quoted = "\n".join(f"> {row}".rstrip() for row in letter.text.splitlines())
    message.set_content(f"{words}\n\n{line}\n{quoted}\n")
    if choice % 2:
        above = "".join(f"<p>{escape(row)}</p>" for row in words.split("\n\n"))
        message.add_alternative(
            f'<html><body>{above}<div class="gmail_quote">{escape(line)}<blockquote>{letter.html}</blockquote></div>'
            "</body></html>",
            subtype="html",
        )
    return message.as_bytes()


HUMAN = (
    ("Thanks for writing. Could we talk on Thursday?\n\nBest regards", "On {at:%d %b %Y, at %H:%M}, {author} wrote:"),
    ("Interesting, tell me more about the price.\n\nCheers", "On {at:%a, %d %b %Y at %H:%M} {author} wrote:"),
    ("Danke für die Nachricht, gern nächste Woche.\n\nViele Grüße", "Am {at:%d.%m.%Y} um {at:%H:%M} schrieb {author}:"),
    ("Merci, c'est noté. Je reviens vers vous.\n\nCordialement", "Le {at:%d/%m/%Y} à {at:%H:%M}, {author} a écrit :"),
)


def automatic_reply(letter: Letter, at: datetime) -> bytes:
    """Answer what a mailbox says while its owner is away (RFC 3834)."""
    message = _answer(letter, "away", f"Automatic reply: {letter.subject}", at)
    message["Auto-Submitted"] = "auto-replied"
    message["X-Auto-Response-Suppress"] = "All"
    message["Precedence"] = "bulk"
    message["Return-Path"] = "<>"
    back = at + timedelta(days=9)
    message.set_content(f"I am out of the office until {back:%d %B %Y} and read no mail. I will answer afterwards.\n")
    return message.as_bytes()


def report(letter: Letter, sender: str, at: datetime) -> bytes:
    """Answer the report of a failed delivery that the recipient's server sends back (RFC 3464), headers returned."""
    domain = letter.recipient.rpartition("@")[2]
    boundary = f"report_{crc32(letter.message_id.encode()):08x}"
    returned = "\r\n".join(letter.headers.splitlines())
    text = REPORT.format(
        domain=domain,
        sender=sender,
        recipient=letter.recipient,
        date=format_datetime(at),
        number=f"{crc32(letter.message_id.encode()):08x}",
        boundary=boundary,
    )
    tail = f"\n\n--{boundary}--\n".replace("\n", "\r\n")
    return (text.replace("\n", "\r\n") + returned + tail).encode("utf-8", "replace")


REPORT = """Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.{domain}>
To: {sender}
Subject: Undelivered Mail Returned to Sender
Date: {date}
Message-ID: <dsn.{number}@mx.{domain}>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"

This is a MIME-encapsulated message.

--{boundary}
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

<{recipient}>: host mailbox.{domain} said: 550 5.1.1 Mailbox does not exist

--{boundary}
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.{domain}
Arrival-Date: {date}

Final-Recipient: rfc822; {recipient}
Original-Recipient: rfc822; {recipient}
Action: failed
Status: 5.1.1
Remote-MTA: dns; mailbox.{domain}
Diagnostic-Code: smtp; 550 5.1.1 Mailbox does not exist

--{boundary}
Content-Type: text/rfc822-headers

"""
