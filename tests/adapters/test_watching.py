"""The watch over mailboxes: one replica at a time, woken by the bell, and no mailbox's trouble is another's."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from outrider.events.leases import take
from outrider.events.mailbox import MailboxOpened, MailboxRefused
from outrider.reply_watcher import watching
from outrider.reply_watcher.watching import LATE_SECONDS, Watchers
from tests.kernel.until import until
from tests.support.inbox import ANN, PASSWORD, Inbox, inbox, reply
from tests.support.mail import imap_server
from tests.support.scripted_imap import HANG, Flood, scripted
from tests.support.shown import shown

EVE = "eve@sales.example"
STATES = ("watched", "late", "refused", "unwatched")
REFUSED = {
    "reply": "[AUTHENTICATIONFAILED] Invalid authentication credentials.",
    "advice": "Check user name and password. "
    "It is tried again when the credential is changed (PATCH), and every few hours.",
}
"""As the server puts it, and what we say to that."""


@pytest.fixture
async def box(urls: Mapping[str, str]) -> AsyncGenerator[Inbox]:
    async with imap_server({ANN: PASSWORD, EVE: PASSWORD}) as server, inbox(urls, server) as found:
        yield found


@asynccontextmanager
async def running(*watchers: Watchers) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(one.run()) for one in watchers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def answered(box: Inbox, number: int, user: str = ANN) -> None:
    """A new answer is recorded soon."""
    sent = await box.sent(f"p{number}")
    await box.arrives(reply(sent, number=number), user=user)

    async def recorded() -> bool:
        return sent.delivery in await box.kinds()

    await until(f"answer {number} is recorded", recorded)


async def error(box: Inbox) -> object:
    return await box.words(box.credential, "imap_error")


async def test_an_answer_is_recorded_at_the_bell_by_one_replica_and_then_by_the_other(box: Inbox) -> None:
    first, second = box.watchers(), box.watchers()
    async with running(first):
        await answered(box, 1)
        async with running(second):
            await answered(box, 2)
            assert box.server.connections == 1
            await first.stop()
            await answered(box, 3)
            assert box.server.connections == 2
    assert await box.watcher.pool.fetchval("select count(*) from log.leases") == 0


async def test_a_mailbox_of_a_replica_that_is_gone_is_taken_over_once_its_lease_runs_out(box: Inbox) -> None:
    await box.add(uuid4(), EVE, mailbox=uuid4())
    lease = f"mailbox-{box.mailbox}"
    assert await take(box.watcher.pool, lease, uuid4(), 3600)
    async with running(box.watchers()):
        await answered(box, 1, EVE)
        assert box.server.connections == 1
        await box.watcher.pool.execute("update log.leases set until = clock_timestamp() where name = $1", lease)
        await answered(box, 2)


async def test_a_lost_connection_is_made_again(box: Inbox) -> None:
    async with running(box.watchers()):
        await answered(box, 1)
        await box.server.drop_connections()
        await answered(box, 2)
    assert box.server.connections == 2


async def test_a_mailbox_that_floods_or_hangs_delays_no_other(box: Inbox) -> None:
    flood = Flood()
    async with (
        scripted(SEARCH=flood.search, FETCH=flood.fetch, IDLE=b"+ idling\r\n* 9 EXISTS\r\n") as (flooding, _),
        scripted(SEARCH=HANG) as (hanging, asked),
    ):
        for user, mailbox in (("flood@sales.example", flooding), ("hang@sales.example", hanging)):
            await box.add(uuid4(), user, mailbox=uuid4(), port=mailbox.port)
        async with running(box.watchers()):
            await until("one floods", lambda: flood.searched >= 2)
            await until("one hangs", lambda: any("SEARCH" in line for line in asked))
            await answered(box, 1)
            await answered(box, 2)
            before = flood.searched
            await until("it floods on", lambda: flood.searched > before)


async def test_a_wrong_password_is_told_and_not_repeated_until_it_changes_and_hurts_no_other(
    box: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await box.add(uuid4(), EVE, mailbox=uuid4())
    await box.changed(box.credential, "wrong")
    watchers = box.watchers()
    async with running(watchers):

        async def told() -> bool:
            return await error(box) == REFUSED

        await until("the server's words are kept", told)
        await answered(box, 1, EVE)
        await watchers.measure()
        assert [shown("outrider_mailboxes", state=state) for state in STATES] == [2, 0, 1, 0]
        assert shown("outrider_mailbox_scan_age_seconds") == pytest.approx(0, abs=LATE_SECONDS)
        monkeypatch.setattr(watching, "LATE_SECONDS", -1.0)
        await watchers.measure()
        assert [shown("outrider_mailboxes", state=state) for state in STATES] == [2, 1, 1, 0]
        await answered(box, 2, EVE)
        assert box.server.connections == 2
        await box.changed(box.credential, PASSWORD)
        await answered(box, 3)
        assert await error(box) == {"reply": None}
        assert box.server.connections == 3
    found, _, _ = await box.watcher.log.read_after(0, {"MailboxRefused", "MailboxOpened"}, 100)
    ids = {"credential_id": box.credential, "mailbox_id": box.mailbox}
    assert [item.event for item in found] == [MailboxRefused(**ids), MailboxOpened(**ids)]


async def test_a_wrong_password_of_one_campaign_leaves_the_shared_mailbox_watched_by_the_other(box: Inbox) -> None:
    newer = uuid4()
    await box.add(newer, password="typo")
    async with running(box.watchers()):
        await answered(box, 1)
        assert box.server.connections == 2
        await box.server.drop_connections()
        await answered(box, 2)
        assert box.server.connections == 3, "the one that was refused is left alone"
    assert await error(box) is None
    assert await box.words(newer, "imap_error") == REFUSED


async def test_a_removed_mailbox_is_watched_no_more(box: Inbox) -> None:
    async with running(box.watchers()):
        await answered(box, 1)
        await box.watcher.tables.execute("delete from mailboxes")

        async def free() -> bool:
            return not await box.watcher.pool.fetchval("select count(*) from log.leases")

        await until("nobody watches", free)
