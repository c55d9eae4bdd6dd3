"""A session with a mailbox, read-only: folders are opened with EXAMINE and read with BODY.PEEK, so nothing is marked.

It either does what it is asked or raises one of three failures, after which its connection is gone.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Self

from outrider.reply_watcher import imap_answers
from outrider.reply_watcher.imap import Answer, Wire
from outrider.reply_watcher.imap_answers import Folder, Head, Line
from outrider.reply_watcher.imap_values import AuthFailed, Broken, Mailbox, Unreachable

CHUNK: Final = 25
"""Messages a header fetch: a burst of thousands of lines in one answer is what the client bears worst."""
BODY_CHUNK: Final = 5
HEADER_BYTES: Final = 65_536
BODY_BYTES: Final = 131_072
"""Octets read of one message: text comes before attachments, and a bounce's report before the returned mail."""
COMMAND_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 25.0
"""Then IDLE is issued anew. Of a connection that swallows what is sent nothing else tells, and with the deadline of a
command that makes less than a minute; home routers, which forget a silent connection after ten, are content too."""

SETTLE_SECONDS: Final = 1.0
"""The first IDLE is short, and each is twice as long as the one before: what came between a NOOP and an IDLE, a server
may never tell, and the next NOOP finds it. So a message is late by no more than the mailbox has been quiet."""

_PASSING: Final = re.compile(
    r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\]|too many|simultaneous|try again|temporar|rate limit", re.IGNORECASE
)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Opened:
    """A folder while it is open for reading."""

    folder: Folder
    uid_validity: int
    """UIDs mean the same messages as long as this stays the same."""
    messages: int
    uid_next: int
    """Every message has a lower UID; 0 where the server did not say it."""


class Session:
    """One logged-in connection, from `open` to `close`, used by one task at a time."""

    def __init__(self, wire: Wire) -> None:
        """Speak over this wire, which is logged in."""
        self._wire = wire
        self._gmail = "X-GM-EXT-1" in wire.offers

    @classmethod
    async def open(cls, mailbox: Mailbox, seconds: float = COMMAND_SECONDS) -> Self:
        """Connect and log in; each of the few steps has so many seconds. Raises AuthFailed or Unreachable."""
        if mailbox.security == "none" and not mailbox.allow_insecure:
            raise Unreachable("a mailbox without TLS is not allowed here")
        wire = await Wire.connect(mailbox, seconds)
        try:
            answer = await _let_in(wire, mailbox)
        except Broken as broken:
            raise Unreachable(broken.words) from None
        except ValueError:
            wire.cut("closed")
            raise AuthFailed("the user name or the password has a character that IMAP cannot carry") from None
        except BaseException:
            wire.cut("closed")
            raise
        if answer.result != "OK":
            wire.cut("closed")
            raise (Unreachable if _PASSING.search(answer.words) else AuthFailed)(answer.words)
        return cls(wire)

    async def __aenter__(self) -> Self:
        """Answer itself."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Log out, or cut the connection where the block failed."""
        if kind is None:
            await self.close()
        else:
            self._wire.cut("closed")

    async def close(self) -> None:
        """Log out; the connection is gone after two seconds, whatever the server does. Raises nothing."""
        await self._wire.leave()

    @property
    def idles(self) -> bool:
        """Whether the server can ring (RFC 2177)."""
        return "IDLE" in self._wire.offers

    async def folders(self) -> list[Folder]:
        """Answer the folders worth scanning: the inbox (on Gmail all mail, which holds it), and junk if any."""
        uses = ("RETURN", "(SPECIAL-USE)") if {"SPECIAL-USE", "LIST-EXTENDED"} <= self._wire.offers else ()
        return imap_answers.folders(await self._good("LIST", '""', '"*"', *uses), gmail=self._gmail)

    async def examine(self, folder: Folder) -> Opened | None:
        """Open the folder read-only; None where the server refuses it."""
        answer = await self._wire.examine(folder.name)
        if answer.result != "OK":
            return None
        validity = imap_answers.uid_validity(answer.lines)
        if validity is None:
            self._wire.cut("closed")
            raise Broken("the server names no UIDVALIDITY")
        return Opened(folder, validity, imap_answers.exists(answer.lines), imap_answers.uid_next(answer.lines))

    async def uids_after(self, uid: int) -> list[int]:
        """Answer the UIDs above this one, ascending: servers answer n:* with the last message even if it is below."""
        found = await self._search("UID", f"{uid + 1}:*")
        return [one for one in found if one > uid]

    async def uids_since(self, day: date) -> list[int]:
        """Answer the UIDs of what the server took in on this day or later, ascending."""
        return await self._search("SINCE", f"{day.day}-{_MONTHS[day.month - 1]}-{day.year}")

    async def headers(self, uids: Sequence[int]) -> AsyncIterator[Head]:
        """Give the headers of these messages, 25 a fetch; those gone or unreadable to the server are missing."""
        async for head in self._fetched(uids, CHUNK, f"BODY.PEEK[HEADER]<0.{HEADER_BYTES}>"):
            yield head

    async def messages(self, uids: Sequence[int]) -> AsyncIterator[Head]:
        """Give these messages with header, cut at 128 KiB, a few a fetch; those gone or unreadable are missing."""
        async for head in self._fetched(uids, BODY_CHUNK, f"BODY.PEEK[]<0.{BODY_BYTES}>"):
            yield head

    async def wait(self, seconds: float) -> bool:
        """Return True once the folder grew since the last search, else False after so many seconds.

        A doorbell only: what came is for a search to find. Without IDLE it rings at the end at the soonest.
        """
        loop, bell = asyncio.get_running_loop(), self._wire.bell
        until, seconds_idle = loop.time() + seconds, SETTLE_SECONDS
        while not bell.is_set() and (left := until - loop.time()) > 0:
            if self.idles:
                await self._good("NOOP")  # not every server tells an idling client what came before
                await self._wire.idle(min(left, seconds_idle))
                seconds_idle = min(seconds_idle * 2, IDLE_SECONDS)
            else:
                await self._wire.listen(min(left, IDLE_SECONDS))
                await self._good("NOOP")  # its answer tells what came
        return bell.is_set()

    async def _search(self, *criteria: str) -> list[int]:
        self._wire.bell.clear()  # before the search: what comes in later rings again
        lines = await self._good("SEARCH", *criteria, prefix="UID")
        return imap_answers.uids(lines[:-1])

    async def _fetched(self, uids: Sequence[int], size: int, section: str) -> AsyncIterator[Head]:
        items = f"(UID RFC822.SIZE INTERNALDATE {'X-GM-THRID ' if self._gmail else ''}{section})"
        for at in range(0, len(uids), size):
            chunk = uids[at : at + size]
            for head in await self._heads(chunk, items):
                yield head

    async def _heads(self, uids: Sequence[int], items: str) -> list[Head]:
        """Fetch them together; one by one where the server refuses that, so that one broken message hides no other."""
        chosen = ",".join(map(str, uids))
        answer = await self._wire.ask("FETCH", chosen, items, prefix="UID")
        if answer.result == "NO" and not _PASSING.search(answer.words):
            if len(uids) > 1:
                return [head for uid in uids for head in await self._heads([uid], items)]
            await self._good("FETCH", chosen, "(UID)", prefix="UID")  # it answers well: the message is what is broken
            return []
        lines = self._judged("FETCH", answer)
        return [head for head in imap_answers.heads(lines) if head.uid in uids]  # it may tell of others unasked

    async def _good(self, name: str, *arguments: str, prefix: str = "") -> list[Line]:
        return self._judged(name, await self._wire.ask(name, *arguments, prefix=prefix))

    def _judged(self, name: str, answer: Answer) -> list[Line]:
        if answer.result != "OK":
            self._wire.cut("closed")
            raise Broken(f"{name}: {answer.words}")
        return answer.lines


async def _let_in(wire: Wire, mailbox: Mailbox) -> Answer:
    """The server's verdict on password or token; a token that was kept may be withdrawn, so another is tried once.

    Raises what the bearer raises, Broken, ValueError.
    """
    if mailbox.bearer is None:
        return await wire.login(mailbox.username, mailbox.password)
    if "AUTH=XOAUTH2" not in wire.offers:
        wire.cut("closed")
        raise AuthFailed("the server offers no login with OAuth2 (XOAUTH2)")
    token = await mailbox.bearer.token()
    answer = await wire.bear(mailbox.username, token.text)
    if answer.result == "NO" and not token.fresh:
        token = await mailbox.bearer.token(but_not=token.text)
        answer = await wire.bear(mailbox.username, token.text)
    return answer
