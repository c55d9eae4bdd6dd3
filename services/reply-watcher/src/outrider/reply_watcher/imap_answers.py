"""What an IMAP server's answer says: pure readers of the lines that the client collected (RFC 3501 section 7)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

Line = bytes | bytearray
"""One line of an answer; a bytearray is the content of a literal."""

Role = Literal["inbox", "junk", "all"]

_LIST: Final = re.compile(rb'\((?P<flags>[^)]*)\) (?:NIL|"(?:[^"\\]|\\.)*") (?P<name>.*)', re.DOTALL)
_NUMBER: Final = re.compile(rb"\d{1,10}")  # of 32 bits (RFC 3501): a longer one is none
_FETCH: Final = re.compile(rb"\d+ FETCH \(")
_UID: Final = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE: Final = re.compile(rb"\bRFC822\.SIZE (\d{1,18})\b")
_DATE: Final = re.compile(rb'\bINTERNALDATE "([^"]+)"')
_THREAD: Final = re.compile(rb"\bX-GM-THRID (\d+)")
_SECTION: Final = re.compile(rb'\bBODY\[[^\]]*\](?:<\d+>)? (?P<content>\{|NIL|"(?P<quoted>(?:[^"\\]|\\.)*)")')
_UID_VALIDITY: Final = re.compile(rb"\[UIDVALIDITY (\d{1,10})\]")
_UID_NEXT: Final = re.compile(rb"\[UIDNEXT (\d{1,10})\]")
_EXISTS: Final = re.compile(rb"\b(\d{1,10}) EXISTS")
_JUNK_NAMES: Final = frozenset({"junk", "spam", "junk e-mail", "junk email", "bulk mail"})


@dataclass(frozen=True)
class Folder:
    """A folder worth scanning."""

    name: str
    """As the server spells it (modified UTF-7)."""
    role: Role


@dataclass(frozen=True)
class Head:
    """A message as far as one cheap fetch tells."""

    uid: int
    size: int
    """Octets of the whole message."""
    received_at: datetime | None
    """When the server took it in (INTERNALDATE)."""
    thread: str
    """Gmail's thread id, else empty."""
    content: bytes
    """The header, or the message, cut at the asked length."""


def folders(lines: Sequence[Line], *, gmail: bool) -> list[Folder]:
    """Answer what is worth scanning: the inbox (on Gmail all mail, which holds it), and junk by its use or its name."""
    listed = list(_listed(lines))
    by_use = {flag: name for flags, name in listed for flag in flags.lower().split()}
    junk = by_use.get("\\junk") or next((name for _, name in listed if _last(name) in _JUNK_NAMES), None)
    found = [Folder("INBOX", "inbox")]
    if gmail and "\\all" in by_use:
        found = [Folder(by_use["\\all"], "all")]
    if junk is not None:
        found.append(Folder(junk, "junk"))
    return found


def _last(name: str) -> str:
    return re.split(r"[./]", name)[-1].lower()


def _listed(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    for index, line in enumerate(lines):
        match = None if isinstance(line, bytearray) else _LIST.match(line)
        if match is None:
            continue
        name = match["name"]
        if re.fullmatch(rb"\{\d+\}", name):
            name = bytes(lines[index + 1]) if index + 1 < len(lines) else b""
        elif name.startswith(b'"'):
            name = _unquoted(name[1:-1])
        yield match["flags"].decode("ascii", "replace"), name.decode("utf-8", "replace")


def uid_validity(lines: Sequence[Line]) -> int | None:
    """Answer the UIDVALIDITY that the answer to EXAMINE names."""
    return _first_number(_UID_VALIDITY, lines)


def uid_next(lines: Sequence[Line]) -> int:
    """Answer the UID that the next message will have at least, 0 where it was not said."""
    return _first_number(_UID_NEXT, lines) or 0


def exists(lines: Sequence[Line]) -> int:
    """Answer how many messages the folder has, 0 where it was not said."""
    return _first_number(_EXISTS, lines) or 0


def _first_number(pattern: re.Pattern[bytes], lines: Sequence[Line]) -> int | None:
    found = (pattern.search(line) for line in lines)
    return next((int(match[1]) for match in found if match), None)


def uids(lines: Sequence[Line]) -> list[int]:
    """Answer the numbers of a SEARCH, ascending, each once."""
    return sorted({int(word) for line in lines for word in line.split() if _NUMBER.fullmatch(word)})


def heads(lines: Sequence[Line]) -> list[Head]:
    """Answer the messages of a FETCH that came with a section; those gone meanwhile are missing."""
    found = (_head(group) for group in _grouped(lines))
    return [head for head in found if head is not None]


def _grouped(lines: Sequence[Line]) -> Iterator[list[Line]]:
    group: list[Line] = []
    for line in lines:
        if not isinstance(line, bytearray) and _FETCH.match(line):
            if group:
                yield group
            group = []
        group.append(line)
    if group:
        yield group


def _head(group: Sequence[Line]) -> Head | None:
    words = b" ".join(line for line in group if not isinstance(line, bytearray))
    uid, section = _UID.search(words), _SECTION.search(words)
    if uid is None or section is None:
        return None
    literal = next((line for line in group if isinstance(line, bytearray)), b"")
    content = _unquoted(section["quoted"]) if section["quoted"] is not None else bytes(literal)
    size, date, thread = _SIZE.search(words), _DATE.search(words), _THREAD.search(words)
    return Head(
        int(uid[1]),
        int(size[1]) if size else len(content),
        _moment(date[1]) if date else None,
        thread[1].decode() if thread else "",
        content,
    )


def _moment(text: bytes) -> datetime | None:
    try:
        return datetime.strptime(text.decode("ascii").strip(), "%d-%b-%Y %H:%M:%S %z")
    except ValueError:
        return None


def _unquoted(text: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", text)
