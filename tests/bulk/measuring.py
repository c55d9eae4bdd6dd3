"""Enroll and plan many contacts of one account while another one's ten mails go out, and what that took."""

import asyncio
import json
import threading
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import cast
from uuid import UUID

import asyncpg

from tests.support.client import Answer, Json, until
from tests.support.story import Story
from tests.support.system import System

TEN = 10
PATIENCE = 1800.0
LOOK_SECONDS = 0.2
MEBIBYTE = 1024
"""In the kibibytes of /proc."""
ROWS = """
select coalesce(sum(pg_column_size(e)), 0) from log.events e
where e.account_id = $1 and e.type = any($2)
"""
PLANNED = """
select (data ->> 'scheduled')::int as scheduled from log.events where account_id = $1 and type = 'BatchPlanned'
"""


@dataclass
class Figures:
    """What was measured."""

    contacts: int
    enroll_seconds: float = 0.0
    plan_seconds: float = 0.0
    enrolled: int = 0
    accepted: int = 0
    """What the 202 of the dispatch said."""
    scheduled: int = 0
    log_bytes: float = 0.0
    """Of the events that enroll and plan one contact, as Postgres keeps them, without its indexes."""
    alone: float = 0.0
    """Seconds from the other account's dispatch until its ten mails were accepted, before anything of this begins."""
    beside_enrolling: float = 0.0
    beside_planning: float = 0.0
    grown: Mapping[str, float] = field(default_factory=dict[str, float])
    """MiB that each process held at most above what it had at the start."""


@dataclass
class Memory:
    """What processes hold, looked at again and again."""

    system: System
    base: dict[str, float] = field(default_factory=dict[str, float])
    most: dict[str, float] = field(default_factory=dict[str, float])

    def look(self) -> None:
        """Take one sample; a process that is away is left out."""
        for name in self.system.machine.names():
            held = _resident(self.system.machine.pid(name))
            self.base.setdefault(name, held)
            self.most[name] = max(held, self.most.get(name, held))

    @contextmanager
    def watched(self) -> Generator[None]:
        """Look while the block runs."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(LOOK_SECONDS):
                self.look()

        self.look()
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @property
    def grown(self) -> Mapping[str, float]:
        """MiB above the first sample, by process."""
        return {name: round(self.most[name] - base, 1) for name, base in self.base.items()}


def _resident(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / MEBIBYTE for line in lines if line.startswith("VmRSS")), 0.0)


async def measured(big: Story, small: Story, contacts: int, *, delay_minutes: int, fresh: bool = False) -> Figures:
    """Enroll and plan so many; with `fresh` the processes begin anew behind the import, whose memory is another story.

    Their first steps are due `delay_minutes` after the dispatch: with 0 all of them compete with the ten.
    """
    found = Figures(contacts)
    import_id = _imported(big, contacts)
    credential = big.credential(daily_limit=100_000)
    campaign = big.campaign(delay_minutes, 3 * 24 * 60, credentials=[credential])
    if fresh:
        for name in ("api", "dispatcher"):
            big.system.kill(name)
            big.system.revive(name)
    _ten(small, "before")  # whatever the import left to do is done behind this
    found.alone = _ten(small, "alone")
    memory = Memory(big.system)
    with memory.watched(), ThreadPoolExecutor(1) as beside:
        began = time.monotonic()
        enrolling = beside.submit(_asked, big, f"/campaigns/{campaign}/enroll", {"contact_import_id": import_id})
        found.beside_enrolling = _ten(small, "early")
        found.enrolled = cast("int", cast("Json", enrolling.result().body)["enrolled"])
        found.enroll_seconds = time.monotonic() - began
        began = time.monotonic()
        answer = _asked(big, f"/campaigns/{campaign}/dispatch", {})
        found.accepted = cast("int", cast("Json", answer.body).get("accepted", 0))
        found.beside_planning = _ten(small, "late")
        await _ends(big, found)
        found.plan_seconds = time.monotonic() - began
    found.grown = memory.grown
    return found


def _imported(story: Story, contacts: int) -> str:
    people = [{"email": story.address(f"p{number}")} for number in range(contacts)]
    body = {"contact_import": {"name": "Many", "contacts": people}}
    import_id = cast("str", cast("Json", _asked(story, "/contact_imports", body).body)["id"])

    def is_there() -> bool:
        return cast("Json", story.client.get(f"/contact_imports/{import_id}").body)["status"] == "completed"

    until("the import is complete", is_there, PATIENCE)
    return import_id


def _asked(story: Story, path: str, body: object) -> Answer:
    """Its verdict, however late."""
    response = story.client.web.post(path, json=body, timeout=PATIENCE)
    answer = Answer(response.status_code, response.text, response.headers)
    assert answer.status < HTTPStatus.BAD_REQUEST, answer
    if "command_id" not in cast("Json", answer.body):
        return answer

    def verdict() -> Answer | None:
        told = story.client.get(response.headers["location"])
        command = cast("Json", told.body)
        if command["status"] == "accepted":
            return None
        assert command["status"] == "succeeded", told
        return Answer(cast("int", command["http_status"]), json.dumps(command["body"]), told.headers)

    return until(f"a verdict on {path}", verdict, PATIENCE)


def _ten(story: Story, called: str) -> float:
    """Seconds from the dispatch of ten people until their mails were accepted."""
    campaign = story.campaign(0)
    story.enroll(campaign, story.people(TEN, called=called))
    began = time.monotonic()
    _asked(story, f"/campaigns/{campaign}/dispatch", {})
    story.client.until(campaign, "ten mails are accepted", lambda shown: shown.emails_sent == TEN, PATIENCE)
    return time.monotonic() - began


async def _ends(story: Story, found: Figures) -> None:
    """The plan is written; what it came to."""
    connection = await asyncpg.connect(story.database_url)
    try:
        account = UUID(story.account_id)
        deadline = time.monotonic() + PATIENCE
        while (row := await connection.fetchrow(PLANNED, account)) is None:
            assert time.monotonic() < deadline, "the plan has no end"
            await asyncio.sleep(LOOK_SECONDS)
        found.scheduled = row["scheduled"]
        kinds = ["EnrollmentCreated", "StepsScheduled"]
        found.log_bytes = round(float(await connection.fetchval(ROWS, account, kinds)) / found.contacts, 1)
    finally:
        await connection.close()
