"""One mail as bytes, ready for DATA but for dot-stuffing.

Pure, and its own assembly: EmailMessage needs 1.3 ms a mail, encodes long List-Unsubscribe URIs (which no provider
then reads) and lets NUL through. No value can add a header or a part: text is cleaned, structured values are refused.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final
from uuid import UUID

from outrider.events.ids import BadAddress, parse_address

LONGEST_LINE: Final = 998
"""Octets without CRLF. RFC 5322 2.1.1."""

_FOLD_AT: Final = 76  # RFC 2047 2: a line with an encoded word; RFC 5322 would have 78
_WORD_FRAME: Final = len("=?utf-8?q??=")
_LONGEST_WORD: Final = 75
_LONGEST_PLAIN_NAME: Final = 60
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_BLANKS: Final = re.compile(r"\s{2,}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_PLAIN_TEXT: Final = re.compile(r"[!-~]{1,60}(?: [!-~]{1,60})*")
_PLAIN_PHRASE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_Q_SAFE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")  # RFC 2047 5 (3)
_Q: Final = ["_" if octet == ord(" ") else chr(octet) if octet in _Q_SAFE else f"={octet:02X}" for octet in range(256)]
_ID: Final = re.compile(r"<[!-;=?-~]{1,900}>")
_URL: Final = re.compile(r"https?://[!-;=?-~]+")


class BadHeader(ValueError):
    """An address, id or URL that cannot stand in a header as it is; `header` names it, the value is not repeated."""

    def __init__(self, header: str) -> None:
        """Name the header."""
        super().__init__(f"{header}: the value cannot stand in a header")
        self.header = header


@dataclass(frozen=True, slots=True)
class Mail:
    """All that one message says. Addresses as `ids.parse_address` answers them, ids with their angle brackets."""

    delivery: UUID
    """Names the message; its boundary is made of it."""
    message_id: str
    date: datetime
    """Aware; written in UTC."""
    from_email: str
    to_email: str
    subject: str
    html: str
    text: str
    from_name: str | None = None
    to_name: str | None = None
    reply_to: str | None = None
    in_reply_to: str | None = None
    references: Sequence[str] = ()
    unsubscribe_url: str | None = None
    """Adds List-Unsubscribe and List-Unsubscribe-Post (RFC 8058)."""


def build(mail: Mail) -> bytes:
    """The whole message with CRLF line ends, no line over 998 octets; raises BadHeader.

    ASCII throughout, unless an address has a UTF-8 local part: such a message needs SMTPUTF8 (see `needs_smtputf8`).
    """
    boundary = f"=_{mail.delivery.hex}"  # neither quoted-printable nor base64 can contain "=_"
    lines = [
        f"Date: {format_datetime(mail.date.astimezone(UTC))}",
        _mailbox("From", mail.from_name, mail.from_email),
        _mailbox("To", mail.to_name, mail.to_email),
        *([_mailbox("Reply-To", None, mail.reply_to)] if mail.reply_to else []),
        _unstructured("Subject", mail.subject),
        f"Message-ID: {_checked(_ID, 'Message-ID', mail.message_id)}",
        *([f"In-Reply-To: {_checked(_ID, 'In-Reply-To', mail.in_reply_to)}"] if mail.in_reply_to else []),
        *_references(mail.references),
        *_unsubscribing(mail.unsubscribe_url),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "",
        f"--{boundary}",
        *_part("plain", mail.text),
        f"--{boundary}",
        *_part("html", mail.html),
        f"--{boundary}--",
        "",
    ]
    return "\r\n".join(lines).encode()


def needs_smtputf8(mail: Mail) -> bool:
    """Whether an address has a UTF-8 local part, which only servers with SMTPUTF8 take (RFC 6531)."""
    return not (mail.from_email + mail.to_email + (mail.reply_to or "")).isascii()


def clean(text: str) -> str:
    """The text as a header can show it: controls and line separators become one space, the ends are trimmed."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", _UNSAFE.sub(" ", text)).strip()


def _checked(pattern: re.Pattern[str], header: str, value: str) -> str:
    if not pattern.fullmatch(value):
        raise BadHeader(header)
    return value


def _address(header: str, text: str) -> str:
    try:
        return parse_address(text)
    except BadAddress:
        raise BadHeader(header) from None


def _references(ids: Sequence[str]) -> list[str]:
    if not ids:
        return []
    return ["References: " + "\r\n ".join(_checked(_ID, "References", one) for one in ids)]


def _unsubscribing(url: str | None) -> list[str]:
    if url is None:
        return []
    line = f"List-Unsubscribe: <{_checked(_URL, 'List-Unsubscribe', url)}>"
    if len(line) > LONGEST_LINE:
        raise BadHeader("List-Unsubscribe")  # folded or encoded it would be read by nobody
    return [line, "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]


def _mailbox(header: str, name: str | None, address: str) -> str:
    address = _address(header, address)
    phrase = _phrase(len(header) + 2, _BLANKS.sub(" ", clean(name))) if name else ""
    if not phrase:
        return f"{header}: {address}"
    last = len(phrase) - phrase.rfind("\r\n") - 2 if "\r\n" in phrase else len(header) + 2 + len(phrase)
    gap = " " if last + len(address) + 3 <= _FOLD_AT else "\r\n "
    return f"{header}: {phrase}{gap}<{address}>"


def _phrase(column: int, name: str) -> str:
    if len(name) > _LONGEST_PLAIN_NAME or not name.isascii() or "=?" in name:
        return _encoded_words(column, name)
    if _PLAIN_PHRASE.fullmatch(name) or not name:
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unstructured(header: str, text: str) -> str:
    value = clean(text)
    column = len(header) + 2
    if not value:
        return f"{header}: "
    if "=?" in value or not _PLAIN_TEXT.fullmatch(value):
        return f"{header}: {_encoded_words(column, value)}"
    if column + len(value) <= _FOLD_AT:
        return f"{header}: {value}"
    lines, line = list[str](), ""
    for word in value.split(" "):
        if line and column + len(line) + 1 + len(word) > _FOLD_AT:
            lines.append(line)
            line, column = word, 1
        else:
            line = f"{line} {word}" if line else word
    return f"{header}: " + "\r\n ".join([*lines, line])


def _encoded_words(column: int, text: str) -> str:
    """RFC 2047 words, folded, never split inside a character; quoted or base64, whichever is shorter."""
    octets = text.encode()
    quoted = sum(1 if octet in _Q_SAFE or octet == ord(" ") else 3 for octet in octets) * 3 <= len(octets) * 4
    words, start, room = list[str](), 0, _FOLD_AT - column - _WORD_FRAME
    while start < len(text):
        end, used = start, 0
        while end < len(text) and (used := used + _cost(text[end], quoted=quoted)) <= (
            room if quoted else room // 4 * 3
        ):
            end += 1
        words.append(_word(text[start:end], quoted=quoted))
        start, room = end, _LONGEST_WORD - _WORD_FRAME
    return "\r\n ".join(words)


def _cost(character: str, *, quoted: bool) -> int:
    octets = character.encode()
    return sum(len(_Q[octet]) for octet in octets) if quoted else len(octets)


def _word(text: str, *, quoted: bool) -> str:
    if quoted:
        return f"=?utf-8?q?{''.join(_Q[octet] for octet in text.encode())}?="
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode('ascii')}?="


def _part(subtype: str, text: str) -> list[str]:
    octets = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    if len(octets) * 4 > len(text) * 5:  # mostly beyond ASCII: quoted-printable would triple it
        encoding, body = "base64", base64.encodebytes(octets.replace(b"\n", b"\r\n")).removesuffix(b"\n")
    else:
        encoding, body = "quoted-printable", binascii.b2a_qp(octets)
    return [
        f'Content-Type: text/{subtype}; charset="utf-8"',
        f"Content-Transfer-Encoding: {encoding}",
        "",
        body.decode("ascii").replace("\n", "\r\n"),
    ]
