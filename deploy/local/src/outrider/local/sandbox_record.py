"""What the sandbox wrote down: every message taken, refused or written by itself; kept in a folder over restarts.

A message is written before the client reads its 250, and a line of the journal only after the file that it names.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypedDict, cast

from outrider.local.people import Letter, read
from outrider.local.smtp_server import Moment


class Accepted(TypedDict):
    """A message that was taken."""

    number: int
    at: str
    """Real time, RFC 3339."""
    connection: int
    user: str
    sender: str
    recipient: str
    message_id: str
    in_reply_to: str
    references: list[str]
    subject: str
    thread: str
    step: int
    """Number of the letter in its thread to this recipient; the same Message-ID again has the number it had."""
    text: str
    html: str
    headers: str


class Refused(TypedDict):
    """A line that the client was refused with."""

    at: str
    stage: str
    user: str
    recipient: str
    line: str


class Answered(TypedDict):
    """What somebody did about a message: wrote something into the mailbox, or loaded its image."""

    at: str
    number: int
    """Of the message that it is about."""
    recipient: str
    deed: str
    """`reply`, `auto_reply`, `bounce` or `open`."""
    status: int
    """Of an open: the HTTP status, 0 without an answer."""


class Delivered(TypedDict):
    """A message put into a mailbox."""

    at: str
    mailbox: str
    folder: str
    file: str


@dataclass
class Record:
    """The journal and what it says; one process writes it."""

    home: Path
    accepted: list[Accepted] = field(default_factory=list[Accepted])
    refused: list[Refused] = field(default_factory=list[Refused])
    answered: list[Answered] = field(default_factory=list[Answered])
    delivered: list[Delivered] = field(default_factory=list[Delivered])
    _journal: IO[str] | None = None
    _greylist: set[str] = field(default_factory=set[str])
    _threads: dict[tuple[str, str], list[str]] = field(default_factory=dict[tuple[str, str], list[str]])

    def open(self) -> None:
        """Read what is there, without a last line that was cut short, and be ready to write on."""
        (self.home / "mail").mkdir(parents=True, exist_ok=True)
        path = self.home / "journal.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        if lines and not lines[-1].endswith("\n"):
            path.write_text("".join(lines[:-1]), encoding="utf-8")
            lines = lines[:-1]
        for line in lines:
            self._take(cast("dict[str, object]", json.loads(line)))
        self._journal = path.open("a", encoding="utf-8")

    def uid_validity(self) -> int:
        """Answer one number for the folders of this record, for ever."""
        path = self.home / "uidvalidity"
        if not path.exists():
            path.write_text(str(int(datetime.now(UTC).timestamp())), encoding="utf-8")
        return int(path.read_text(encoding="utf-8"))

    def close(self) -> None:
        """Write no more."""
        if self._journal:
            self._journal.close()

    def _take(self, entry: dict[str, object]) -> None:
        match entry.pop("kind"):
            case "accepted":
                accepted = cast("Accepted", entry)
                self.accepted.append(accepted)
                self._thread(accepted["recipient"], accepted["thread"], accepted["message_id"])
            case "refused":
                refused = cast("Refused", entry)
                self.refused.append(refused)
                if refused["line"].startswith("451"):
                    self._greylist.add(refused["recipient"])
            case "answered":
                self.answered.append(cast("Answered", entry))
            case _:
                self.delivered.append(cast("Delivered", entry))

    def _write(self, kind: str, entry: object) -> None:
        line = {"kind": kind, **cast("dict[str, object]", entry)}
        if self._journal:
            self._journal.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._journal.flush()
        self._take(line)

    def _thread(self, recipient: str, thread: str, message_id: str) -> int:
        letters = self._threads.setdefault((recipient.casefold(), thread), [])
        if message_id not in letters:
            letters.append(message_id)
        return letters.index(message_id) + 1

    def greylisted_before(self, recipient: str) -> bool:
        """Answer whether this recipient was refused for now already."""
        return recipient in self._greylist

    def accept(self, moment: Moment) -> list[Accepted]:
        """Write the message down, once for every recipient."""
        taken: list[Accepted] = []
        for recipient in moment.recipients:
            letter, number = read(moment.content, recipient), len(self.accepted) + 1
            (self.home / "mail" / f"{number:06}.eml").write_bytes(moment.content)
            entry = Accepted(
                number=number,
                at=now(),
                connection=moment.connection,
                user=moment.user,
                sender=moment.sender,
                recipient=recipient,
                message_id=letter.message_id,
                in_reply_to=letter.in_reply_to,
                references=list(letter.references),
                subject=letter.subject,
                thread=letter.thread,
                step=self._thread(recipient, letter.thread, letter.message_id),
                text=letter.text,
                html=letter.html,
                headers=letter.headers,
            )
            self._write("accepted", entry)
            taken.append(entry)
        return taken

    def refuse(self, moment: Moment, line: str) -> None:
        """Write a refusal down."""
        entry = Refused(at=now(), stage=moment.stage, user=moment.user, recipient=moment.recipient, line=line)
        self._write("refused", entry)

    def answer(self, message: Accepted, deed: str, status: int = 0) -> None:
        """Write down that somebody did something about a message."""
        number, recipient = message["number"], message["recipient"]
        entry = Answered(at=now(), number=number, recipient=recipient, deed=deed, status=status)
        self._write("answered", entry)

    def deliver(self, mailbox: str, folder: str, content: bytes) -> None:
        """Write down a message that goes into a mailbox."""
        file = f"in-{len(self.delivered) + 1:06}.eml"
        (self.home / "mail" / file).write_bytes(content)
        self._write("delivered", Delivered(at=now(), mailbox=mailbox, folder=folder, file=file))

    def letter(self, message: Accepted) -> Letter:
        """Answer the message as its recipient got it."""
        return read(self.content(f"{message['number']:06}.eml"), message["recipient"])

    def content(self, file: str) -> bytes:
        """Answer the bytes of a message."""
        return (self.home / "mail" / file).read_bytes()


def now() -> str:
    """Answer the real time."""
    return datetime.now(UTC).isoformat()
