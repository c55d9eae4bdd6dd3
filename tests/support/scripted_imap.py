"""An IMAP server that says what a test tells it to, word for word."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from outrider.reply_watcher.imap_values import Mailbox

HANG = None
"""Say nothing, and keep the connection."""
DROP = b""
"""Cut the connection."""
Answer = bytes | list[bytes] | Callable[[bytes], bytes] | None
"""A list holds the answers to one command, one after the other; a function makes one of the line that asks for it."""

WELL = {
    "hello": b"* OK ready\r\n",
    "CAPABILITY": b"* CAPABILITY IMAP4rev1 IDLE\r\n%t OK done\r\n",
    "LOGIN": b"%t OK in\r\n",
    "LIST": b'* LIST () "/" INBOX\r\n%t OK done\r\n',
    "EXAMINE": b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7] fine\r\n%t OK [READ-ONLY] open\r\n",
    "SEARCH": b"* SEARCH 5 6\r\n%t OK found\r\n",
    "NOOP": b"%t OK done\r\n",
    "IDLE": b"+ idling\r\n",
    "DONE": b"%t OK woken\r\n",
    "LOGOUT": DROP,
}
"""What a good server answers; %t stands for the tag."""


@asynccontextmanager
async def scripted(**answers: Answer) -> AsyncGenerator[tuple[Mailbox, list[str]]]:
    """Run a server that answers each command as told, a good server otherwise; gives also what it was asked."""
    script: Mapping[str, Answer] = {**WELL, **answers}
    asked: list[str] = []
    writers: list[asyncio.StreamWriter] = []

    def taken(name: str, line: bytes = b"") -> bytes | None:
        answer = script.get(name, b"%t BAD what\r\n")
        if callable(answer):
            return answer(line)
        return answer.pop(0) if isinstance(answer, list) else answer

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        answer, tag = taken("hello"), b""
        while answer != DROP:
            if answer is not None:
                writer.write(answer.replace(b"%t", tag))
            line = await reader.readline()
            if not line:
                break
            asked.append(line.decode())
            words = line.upper().split()
            tag = tag if words[0] == b"DONE" else words[0]
            name = next(word for word in (words if words[0] == b"DONE" else words[1:]) if word != b"UID").decode()
            answer = taken(name, line)
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        port = int(server.sockets[0].getsockname()[1])
        yield Mailbox("127.0.0.1", port, "ann", "swordfish", "none", allow_insecure=True), asked
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()


class Flood:
    """A mailbox that has so many messages more whenever it is looked at."""

    def __init__(self, size: int = 1000) -> None:
        """Nobody looked yet."""
        self.searched = 0
        self._size = size

    def search(self, _: bytes) -> bytes:
        """As many that were not there before."""
        uids = range(self.searched * self._size + 1, (self.searched + 1) * self._size + 1)
        self.searched += 1
        return b"* SEARCH " + b" ".join(b"%d" % uid for uid in uids) + b"\r\n%t OK found\r\n"

    def fetch(self, line: bytes) -> bytes:
        """The headers that are asked for: of strangers' mail."""
        uids = line.split()[3].split(b",")
        header = b"From: stranger@example.org\r\nSubject: Look at this\r\n\r\n"
        rows = [b"* 1 FETCH (UID %b BODY[HEADER]<0> {%d}\r\n%b)\r\n" % (uid, len(header), header) for uid in uids]
        return b"".join(rows) + b"%t OK fetched\r\n"
