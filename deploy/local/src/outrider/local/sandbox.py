"""The mail world of one machine: SMTP in, IMAP out, and people between them who answer as `people` declares.

    export OUTRIDER_SMTP_PORT=2525 OUTRIDER_IMAP_PORT=1143 OUTRIDER_SANDBOX_CONTROL_PORT=8025
    OUTRIDER_SANDBOX_HOME=.outrider/sandbox python -m outrider.local.sandbox

Any pair of user and password logs in, unless the password is `wrong` (535). The mailbox of an answer is the one of the
user who sent the letter. On the control port: GET /health, GET /record (all that was taken, refused and answered),
GET /letters/<number> (as it came), GET and POST /mailboxes/<user>/<folder> (look, or put a message in), POST /rules
(`{"stage", "answer", "recipient"?, "user"?, "times"?}`; the answer is a reply line, "drop" or "stall") and
DELETE /rules.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import httpx
import uvicorn
from litestar import Litestar, Request, delete, get, post
from litestar.datastructures import State

from outrider.local import people
from outrider.local.imap_server import ImapServer
from outrider.local.people import GREYLISTED, REFUSED, Deed, deeds, habits
from outrider.local.sandbox_record import Accepted, Record
from outrider.local.smtp_server import DROP, SIZE_MAX, Answer, Moment, Rule, SmtpServer, Stage, Stall, first

LONGEST_SECONDS = 5.0
"""Nobody takes longer, in real seconds, for what takes business hours: on an ordinary clock one would wait for ever."""
OPEN_SECONDS = 5.0
"""Nobody loads an image sooner after the message came: what is fetched before its acceptance is recorded, or within 2 s
of that, is a scanner's and no open, and a busy machine may record late."""
SLOW_SECONDS = 1.0
"""A slow server answers so long after it wrote a letter down."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.0"

HttpRequest = Request[None, None, State]


@dataclass(frozen=True)
class Settings:
    """Where it listens, what it keeps, how fast business time goes."""

    smtp_port: int
    imap_port: int
    control_port: int
    home: Path
    speed: float = 1.0
    """Business seconds per real second."""

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "Settings":
        """Answer what the environment says; raises KeyError or ValueError."""
        clock = environment.get("OUTRIDER_CLOCK", "")
        return cls(
            smtp_port=int(environment["OUTRIDER_SMTP_PORT"]),
            imap_port=int(environment["OUTRIDER_IMAP_PORT"]),
            control_port=int(environment["OUTRIDER_SANDBOX_CONTROL_PORT"]),
            home=Path(environment["OUTRIDER_SANDBOX_HOME"]),
            speed=float(clock.rpartition("@")[2]) if clock else 1.0,
        )


def knows(_user: str, password: str) -> bool:
    """Answer whether the pair logs in."""
    return password != "wrong"  # noqa: S105  # the declared rule


@dataclass
class Sandbox:
    """The servers and the people."""

    settings: Settings
    record: Record = field(init=False)
    rules: list[Rule] = field(default_factory=list[Rule])
    smtp: SmtpServer = field(init=False)
    imap: ImapServer = field(init=False)
    _doing: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _delivering: asyncio.Lock = field(default_factory=asyncio.Lock)
    _web: httpx.AsyncClient = field(init=False)

    async def start(self) -> None:
        """Listen, with the mail of the last run in the mailboxes and what people still had to do taken up again."""
        self.record = Record(self.settings.home)
        self.record.open()
        self._web = httpx.AsyncClient(timeout=10, headers={"User-Agent": BROWSER}, trust_env=False)
        self.imap = ImapServer(knows, port=self.settings.imap_port, uid_validity=self.record.uid_validity())
        for delivered in self.record.delivered:
            content = self.record.content(delivered["file"])
            await self.imap.append(delivered["mailbox"], content, delivered["folder"])
        done = {(answered["number"], answered["deed"]) for answered in self.record.answered}
        for message in self.record.accepted:
            self._expect(message, done)
        await self.imap.start()
        self.smtp = SmtpServer(self.decide, self.accept, port=self.settings.smtp_port)
        await self.smtp.start()

    async def stop(self) -> None:
        """Listen no more; what was written down stays."""
        await self.smtp.stop()
        await self.imap.stop()
        for task in self._doing:
            task.cancel()
        await asyncio.gather(*self._doing, return_exceptions=True)
        await self._web.aclose()
        self.record.close()

    def decide(self, moment: Moment) -> Answer | None:
        """Answer the SMTP client as the rules say, then as people are; refusals are written down."""
        answer = first(self.rules, moment)
        if answer is None and moment.stage == "auth" and not knows(moment.user, moment.password):
            answer = "535 5.7.8 Username and password not accepted"
        if answer is None and moment.stage == "rcpt":
            answer = self._at_the_door(moment.recipient)
        if answer is None and moment.stage == "accepted" and habits(moment.recipient).slow:
            answer = Stall(SLOW_SECONDS)
        if isinstance(answer, str):
            self.record.refuse(moment, answer)
        return answer

    def _at_the_door(self, recipient: str) -> str | None:
        known = habits(recipient)
        if known.refused:
            return REFUSED.format(address=recipient)
        if known.greylisted and not self.record.greylisted_before(recipient):
            return GREYLISTED.format(address=recipient)
        return None

    async def accept(self, moment: Moment) -> None:
        """Write the message down; its recipients will do with it what they do."""
        for message in self.record.accept(moment):
            self._expect(message, set())

    def _expect(self, message: Accepted, done: set[tuple[int, str]]) -> None:
        for deed, after in deeds(message["recipient"], message["step"]):
            if (message["number"], deed) not in done:
                seconds = min(after.total_seconds() / self.settings.speed, LONGEST_SECONDS)
                least = OPEN_SECONDS if deed == "open" else 0.0
                task = asyncio.create_task(self._do(message, deed, max(seconds, least)))
                self._doing.add(task)
                task.add_done_callback(self._doing.discard)

    async def _do(self, message: Accepted, deed: Deed, seconds: float) -> None:
        age = (datetime.now(UTC) - datetime.fromisoformat(message["at"])).total_seconds()
        await asyncio.sleep(max(0.0, seconds - age))
        letter, at, status = self.record.letter(message), datetime.now(UTC), 0
        match deed:
            case "open":
                status = await self._load(people.pixel(letter))
            case "reply":
                await self._send_back(message, people.reply(letter, at))
            case "auto_reply":
                await self._send_back(message, people.automatic_reply(letter, at))
            case "bounce":
                await self._send_back(message, people.report(letter, message["sender"], at))
        self.record.answer(message, deed, status)

    async def _load(self, address: str) -> int:
        """Load an image of this machine; answers the status, 0 for none."""
        with contextlib.suppress(httpx.HTTPError, ValueError):
            if urlsplit(address).hostname in LOOPBACK:
                return (await self._web.get(address)).status_code
        return 0

    async def _send_back(self, message: Accepted, content: bytes) -> None:
        await self.deliver(message["user"] or message["sender"], "INBOX", content)

    async def deliver(self, mailbox: str, folder: str, content: bytes) -> int:
        """Put a message into a mailbox, written down first. Answers its UID."""
        async with self._delivering:  # in the order of the record: the UIDs are the same after a restart
            self.record.deliver(mailbox, folder, content)
            return await self.imap.append(mailbox, content, folder)

    def told(self) -> dict[str, object]:
        """Answer the whole record."""
        return {
            "accepted": self.record.accepted,
            "refused": self.record.refused,
            "answered": self.record.answered,
            "waiting": len(self._doing),
        }


ANSWERS: Mapping[str, Answer] = {"drop": DROP, "stall": Stall()}


@dataclass
class NewRule:
    """The body of POST /rules."""

    stage: Stage
    answer: str
    recipient: str | None = None
    user: str | None = None
    times: int | None = None


def control(sandbox: Sandbox) -> Litestar:
    """Answer the control listener; the servers run while it does."""

    @get("/health")
    async def health() -> dict[str, object]:
        return {"status": "ok", "smtp_port": sandbox.smtp.port, "imap_port": sandbox.imap.port}

    @get("/record")
    async def record() -> dict[str, object]:
        return sandbox.told()

    @get("/letters/{number:int}", media_type="message/rfc822")
    async def letter(number: int) -> bytes:
        return sandbox.record.content(f"{number:06}.eml")

    @get("/mailboxes/{user:str}/{folder:str}")
    async def look(user: str, folder: str) -> list[dict[str, object]]:
        stored = await sandbox.imap.messages(user, folder)
        return [
            {"uid": one.uid, "flags": sorted(one.flags), "content": one.content.decode("utf-8", "replace")}
            for one in stored
        ]

    @post("/mailboxes/{user:str}/{folder:str}")
    async def put(user: str, folder: str, request: HttpRequest) -> dict[str, object]:
        return {"uid": await sandbox.deliver(user, folder, await request.body())}

    @post("/rules")
    async def add_rule(data: NewRule) -> dict[str, object]:
        answer = ANSWERS.get(data.answer, data.answer)
        sandbox.rules.append(Rule(data.stage, answer, data.recipient, data.user, data.times))
        return {"rules": len(sandbox.rules)}

    @delete("/rules")
    async def forget_rules() -> None:
        sandbox.rules.clear()

    @contextlib.asynccontextmanager
    async def running(_: Litestar) -> AsyncGenerator[None]:
        await sandbox.start()
        try:
            yield
        finally:
            await sandbox.stop()

    handlers = [health, record, letter, look, put, add_rule, forget_rules]
    return Litestar(
        handlers, lifespan=[running], openapi_config=None, logging_config=None, request_max_body_size=SIZE_MAX
    )


def main() -> int:
    """Run until SIGINT or SIGTERM. Answers 1 if it could not start."""
    settings = Settings.from_env(os.environ)
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd names every address
    config = uvicorn.Config(
        control(Sandbox(settings)),
        host="127.0.0.1",
        port=settings.control_port,
        loop="asyncio",  # aiosmtpd's STARTTLS is made of asyncio's own parts
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)  # uvicorn stops first, then raises the signal once more


if __name__ == "__main__":
    sys.exit(main())
