"""From a mailbox to the cancelled follow-up, beside many other mailboxes that one process watches; and a backlog."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from tests.support.client import until
from tests.support.scripted_imap import Flood, scripted
from tests.support.story import DAY, Story, delivery_of

PATIENCE = 600.0
LOOK_SECONDS = 0.01
AT_ONCE = 100
"""Mail accounts in one campaign."""
WATCHED = "select count(*) from log.leases where starts_with(name, 'mailbox-') and until >= clock_timestamp()"
FAR = "select max(uid) from reply_watcher_work.cursors"
READ = "select count(distinct mailbox_id) from reply_watcher_work.cursors"
OPEN = """
select count(*) from dispatcher_work.todos t
where t.kind = 'send_step' and t.ordinal = 2 and t.done_at is null and t.owner = any($1)
"""
OWNER = "select enrollment_id from reply_watcher.deliveries where delivery_id = $1"


@dataclass
class Figures:
    """What was measured. Seconds are real, and MiB what the process held at the end."""

    mailboxes: int
    answers: int
    watched_seconds: float
    """Until every mailbox was read for the first time and is watched."""
    watcher_mebibytes: float
    median_seconds: float
    p99_seconds: float
    worst_seconds: float
    backlog: int
    """Messages of strangers that lay in one more mailbox when it was read for the first time; 0: not measured."""
    backlog_seconds: float
    """Until all of them were looked at."""
    backlog_mebibytes: float
    """By which the process was larger meanwhile, at most."""


async def measured(story: Story, mailboxes: int, answers: int, backlog: int) -> Figures:
    """Answers come one after the other; each is over when its follow-up is cancelled. Then the backlog is read."""
    connection = await asyncpg.connect(story.database_url)
    try:
        begun = time.monotonic()
        await _watch(story, connection, mailboxes)
        watched = time.monotonic() - begun
        seconds = sorted([await _answered(story, connection, number) for number in await _mailed(story, answers)])
        resident = _memory(story, "VmRSS")
        read = await _read(story, connection, backlog) if backlog else 0.0
        grown = _memory(story, "VmHWM") - resident if backlog else 0.0
    finally:
        await connection.close()
    return Figures(
        mailboxes,
        len(seconds),
        watched,
        resident,
        seconds[len(seconds) // 2],
        seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)],
        seconds[-1],
        backlog,
        read,
        grown,
    )


async def _watch(story: Story, connection: "asyncpg.Connection", mailboxes: int) -> None:
    """So many mailboxes are read and watched; ann's is one of them."""
    names = ["ann", *(f"box{number}" for number in range(1, mailboxes))]
    for at in range(0, len(names), AT_ONCE):
        story.campaign(0, DAY, credentials=[story.credential(name) for name in names[at : at + AT_ONCE]])
    async with asyncio.timeout(PATIENCE):
        while await connection.fetchval(READ) < mailboxes or await connection.fetchval(WATCHED) < mailboxes:  # noqa: ASYNC110  # in Postgres
            await asyncio.sleep(0.2)


async def _mailed(story: Story, answers: int) -> list[tuple[UUID, str, str]]:
    """So many people had the first letter: their enrollments, addresses and Message-IDs."""
    story.dispatched(story.people(answers), 0, DAY)
    letters = until(
        "everybody is mailed", lambda: found if len(found := story.letters()) == answers else None, PATIENCE
    )
    connection = await asyncpg.connect(story.database_url)
    try:
        return [
            (await connection.fetchval(OWNER, delivery_of(one)), one["recipient"], one["message_id"]) for one in letters
        ]
    finally:
        await connection.close()


async def _answered(story: Story, connection: "asyncpg.Connection", mailed: tuple[UUID, str, str]) -> float:
    """The answer lies in the mailbox; seconds until its follow-up is cancelled."""
    enrollment, address, message_id = mailed
    begun = time.monotonic()
    story.put(
        "ann",
        f"From: {address}\r\nTo: ann@{story.from_domain}\r\nSubject: Re: Hi\r\nMessage-ID: <{enrollment}@x.example>\r\n"
        f"In-Reply-To: {message_id}\r\n\r\nYes, please.\r\n".encode(),
    )
    async with asyncio.timeout(PATIENCE):
        while await connection.fetchval(OPEN, [enrollment]):  # noqa: ASYNC110  # the same
            await asyncio.sleep(LOOK_SECONDS)
    return time.monotonic() - begun


async def _read(story: Story, connection: "asyncpg.Connection", messages: int) -> float:
    """Seconds until a mailbox with so many messages was read to its end for the first time."""
    flood = Flood(messages)
    async with scripted(SEARCH=flood.search, FETCH=flood.fetch) as (mailbox, _), asyncio.timeout(3 * PATIENCE):
        story.campaign(0, credentials=[story.credential("backlog", imap_port=mailbox.port)])
        begun = time.monotonic()
        while await connection.fetchval(FAR) < messages:  # noqa: ASYNC110  # in Postgres
            await asyncio.sleep(0.2)
        return time.monotonic() - begun


def _memory(story: Story, what: str) -> float:
    """MiB that the reply-watcher holds (VmRSS), or held at most (VmHWM)."""
    machine = story.system.machine
    status = Path(f"/proc/{machine.pid('reply-watcher')}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{what}:")) / 1024
