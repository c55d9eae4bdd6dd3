"""An inbound message, read: pure, and for any bytes at all; what cannot be read is empty."""

import email
import email.header
import email.utils
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from functools import cached_property
from typing import Final, cast

from outrider.events.rendering_text import text_of
from outrider.reply_watcher.mail_words import own_words

SNIPPET_MAX: Final = 200
TEXT_MAX: Final = 100_000
"""Characters of text that are looked at: what a person or a mail system says stands before that."""
_HTML_MAX: Final = 200_000
_IDS_MAX: Final = 64
_PARTS_MAX: Final = 200
_PACKED: Final = re.compile(r"[A-Za-z0-9+/=\s]{16,}")
_ID: Final = re.compile(r"<[^<>\s@]{1,250}@[^<>\s@]{1,250}>")
_BARE_ID: Final = re.compile(r"(?<![\w.<-])[0-9a-fA-F]{32}\.[0-9a-fA-F]{18}@[\w.-]{1,250}")
_UNDECLARED: Final = re.compile(
    r"\s{0,9}This is a MIME-encapsulated message\.?\s{1,9}--([\w./=+-]{8,70})\r?\n", re.ASCII
)
_ADDRESS: Final = re.compile(r"[^\s<>,;:\"()\[\]]{1,64}@[^\s<>,;:\"()\[\]]{1,253}")


@dataclass(frozen=True)
class Mail:
    """What a message says about itself and about the one that it answers."""

    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    """As written: the oldest first."""
    returned: tuple[str, ...]
    """Message-IDs in returned headers, then in reports and text."""
    sender: str
    """The address alone, its domain in lower case; empty if there is none."""
    recipients: tuple[str, ...]
    subject: str
    sent_at: datetime | None
    thread: str
    """Gmail's thread id where a header carries it (Takeout, gateways); a fetch tells it more surely."""
    text: str = field(repr=False)
    """The body as plain text, without what was returned or attached."""
    message: Message = field(repr=False, compare=False)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Every Message-ID that may be the one answered, the most trustworthy first, each once."""
        return tuple(dict.fromkeys((*self.in_reply_to, *reversed(self.references), *self.returned)))

    @cached_property
    def words(self) -> str:
        """What the sender wrote himself: without quotes, without the signature."""
        return own_words(self.text)

    @property
    def snippet(self) -> str:
        """The beginning of the sender's own words, on one line."""
        return _line(self.words)[:SNIPPET_MAX]

    def header(self, name: str) -> str:
        """Answer the first header of this name, decoded, on one line; empty if there is none."""
        return header(self.message, name)


def parse(raw: bytes) -> Mail:
    """Read a message or the beginning of one. Raises nothing."""
    try:
        message = _declared(email.message_from_bytes(raw.lstrip(b"\r\n")))
    except Exception:  # noqa: BLE001  # the parser promises not to raise, but mail finds its faults
        message = Message()
    senders = _addresses(message, "From") or _addresses(message, "Sender")
    text = body(message)
    to, copied = _addresses(message, "To"), _addresses(message, "Cc")
    return Mail(
        message_id=next(iter(_ids(header(message, "Message-ID"))), ""),
        in_reply_to=tuple(_ids(header(message, "In-Reply-To"))),
        references=tuple(_ids(header(message, "References"))),
        returned=tuple(_returned(message, text)),
        sender=senders[0] if senders else "",
        recipients=(*to, *copied),
        subject=header(message, "Subject"),
        sent_at=_date(header(message, "Date")),
        thread=header(message, "X-GM-THRID").strip(),
        text=text,
        message=message,
    )


def _declared(message: Message) -> Message:
    """Read a message again whose parts stand there while its header lost that it has any. May raise."""
    payload = message.get_payload()
    found = _UNDECLARED.match(payload) if isinstance(payload, str) else None
    if not found or message.get_content_type() != "text/plain":
        return message
    del message["Content-Type"]
    del message["Content-Transfer-Encoding"]
    message["Content-Type"] = f'multipart/mixed; boundary="{found[1]}"'
    return email.message_from_bytes(message.as_bytes())


def header(message: Message, name: str) -> str:
    """Answer the first header of this name, decoded, on one line; empty if there is none. Raises nothing."""
    try:
        value = message.get(name)
        decoded = "" if value is None else _decoded(value)
    except Exception:  # noqa: BLE001  # broken encoded words raise of several kinds
        return ""
    return _line(decoded)


def _line(text: str) -> str:
    """The text on one line, without what no database keeps: NUL, lone surrogates and other control signs."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _decoded(value: object) -> str:
    pieces = email.header.decode_header(str(value) if isinstance(value, str) else value)  # type: ignore[arg-type]
    return "".join(piece if isinstance(piece, str) else _text(piece, charset or "") for piece, charset in pieces)


def parts(message: Message) -> Iterator[Message]:
    """Give the leaves of the message, and what it returns as one leaf each (message/rfc822 and the like)."""
    waiting = [message]
    for _ in range(_PARTS_MAX):
        if not waiting:
            return
        part = waiting.pop(0)
        inner = _inner(part)
        if part.get_content_maintype() == "multipart" and inner:
            waiting[:0] = inner
        else:
            yield part


def content(part: Message) -> str:
    """Answer the text of a leaf, decoded; of a returned or report part its header lines and text. Raises nothing."""
    try:
        return _content(part)[:TEXT_MAX]
    except Exception:  # noqa: BLE001  # undecodable content raises of several kinds
        return ""


def _content(part: Message) -> str:
    inner = _inner(part)
    if inner:
        return "\n\n".join(_flat(one) for one in inner[:_PARTS_MAX])
    payload = part.get_payload(decode=True)
    return _text(payload, part.get_content_charset() or "") if isinstance(payload, bytes) else ""


def _inner(part: Message) -> list[Message]:
    """The messages inside; empty for a leaf."""
    payload = cast("list[Message | str] | str | None", part.get_payload())
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []


def _flat(message: Message) -> str:
    """The header lines as they stood and the text below: reports are headers to the parser."""
    lines = [f"{name}: {value}" for name, value in message.items()]
    below = "\n".join(content(part) for part in parts(message))
    if not lines and _PACKED.fullmatch(below):  # a report in base64, which the standard forbids
        packed = Message()
        packed["Content-Transfer-Encoding"] = "base64"
        packed.set_payload(below)
        return content(packed)
    return "\n".join([*lines, "", below])


def _text(raw: bytes, charset: str) -> str:
    for encoding in ("utf-8" if charset.lower() in ("", "us-ascii") else charset, "utf-8"):
        try:
            return raw.decode(encoding)
        except (LookupError, ValueError):
            continue
    return raw.decode("latin-1")


def body(message: Message) -> str:
    """Answer the text that a reader sees first: plain if there is any, else from HTML. Raises nothing."""
    html = ""
    for part in parts(message):
        if part.get_content_disposition() == "attachment" or part.get_content_maintype() not in ("text", "multipart"):
            continue  # a multipart is a leaf where its boundary is wrong
        if part.get_content_subtype() != "html":
            text = content(part)
            if text.strip():
                return text
        elif not html:
            html = content(part)
    return plain(html) if html else ""


def plain(html: str) -> str:
    """Answer HTML as text; what no parser can read loses its tags. Raises nothing."""
    try:
        return text_of(html[:_HTML_MAX])[:TEXT_MAX]
    except Exception:  # noqa: BLE001  # lxml and deep nesting raise of several kinds
        return re.sub(r"<[^<>]{0,2000}>", " ", html[:_HTML_MAX])[:TEXT_MAX]


def _returned(message: Message, text: str) -> Iterator[str]:
    """Message-IDs of what came back: returned headers first, then reports, then text."""
    found: dict[str, None] = {}
    leaves = list(parts(message))
    for part in leaves:
        if part.get_content_type() in ("message/rfc822", "text/rfc822-headers", "message/global", "text/rfc822"):
            named = re.search(r"^Message-ID\s*:\s*(<[^<>\s]+>)", content(part), re.IGNORECASE | re.MULTILINE)
            found |= {named[1]: None} if named else {}
    for part in leaves:
        if part.get_content_maintype() in ("message", "text"):
            found |= dict.fromkeys(_ids(content(part)))
    found |= dict.fromkeys(_ids(text))
    yield from list(found)[:_IDS_MAX]


def _ids(text: str) -> list[str]:
    named = [match.group() for match in _ID.finditer(text)]
    return named + [f"<{bare}>" for bare in _BARE_ID.findall(text)]


def _addresses(message: Message, name: str) -> list[str]:
    try:
        values = [str(value) for value in message.get_all(name, [])]
        pairs = email.utils.getaddresses(values)
    except Exception:  # noqa: BLE001  # broken headers raise of several kinds
        return []
    found = [address for _, address in pairs if "@" in address]
    return [tidy(address) for address in (found or [one for value in values for one in _ADDRESS.findall(value)])]


def tidy(address: str) -> str:
    """Answer the address trimmed, its domain in lower case."""
    local, at, domain = address.strip().strip("<>").rpartition("@")
    return f"{local}{at}{domain.lower()}"


def addresses_in(text: str) -> list[str]:
    """Answer what looks like an address, in order, each once."""
    return list(dict.fromkeys(tidy(found.rstrip(".'")) for found in _ADDRESS.findall(text)))


def _date(text: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
