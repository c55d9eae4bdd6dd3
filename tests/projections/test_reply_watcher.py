"""What the reply-watcher knows: the same tables whether built as things happen, again, or anew from the first event."""

from collections.abc import AsyncGenerator, Mapping
from uuid import UUID, uuid4

import pytest

from outrider.events.campaign import CampaignChanged, CampaignDeleted, CampaignSettings
from outrider.events.contact import ContactForgotten
from outrider.events.credential import CredentialChanged, CredentialReenabled, CredentialRemoved
from outrider.events.database import Pool
from outrider.events.projector import caught_up
from outrider.reply_watcher.watching import MAILBOXES, shared
from tests.support.inbox import ANN, PASSWORD, Inbox, inbox
from tests.support.mail import imap_server

TABLES = ("mailboxes", "deliveries", "contacts", "campaigns")


@pytest.fixture
async def box(urls: Mapping[str, str]) -> AsyncGenerator[Inbox]:
    async with imap_server({ANN: PASSWORD}) as server, inbox(urls, server) as found:
        yield found


async def dump(tables: Pool) -> dict[str, list[str]]:
    return {
        table: [row["row"] for row in await tables.fetch(f"select t::text as row from {table} t order by 1")]  # noqa: S608  # our own tables
        for table in TABLES
    }


async def changed(box: Inbox, credential: UUID, *mailboxes: UUID | None) -> None:
    """The credential has these mailboxes one after the other; the reader sees them at once."""
    events = [
        CredentialChanged(credential_id=credential, campaign_id=box.campaign, daily_limit=9, mailbox_id=mailbox)
        for mailbox in mailboxes
    ]
    await box.record("dispatcher", f"credential-{credential}", *events)


async def reenabled(box: Inbox, credential: UUID, times: int = 1) -> None:
    event = CredentialReenabled(credential_id=credential, campaign_id=box.campaign)
    await box.record("dispatcher", f"credential-{credential}", *[event] * times)


async def removed(box: Inbox, credential: UUID) -> None:
    event = CredentialRemoved(credential_id=credential, campaign_id=box.campaign)
    await box.record("dispatcher", f"credential-{credential}", event)


async def test_the_tables_come_out_the_same_whether_run_on_again_or_rebuilt(box: Inbox) -> None:
    second, gone = uuid4(), uuid4()
    await box.add(second)
    await box.add(gone)
    await box.begin()
    await box.person(await box.sent("a"), "before@example.com")
    await box.person(forgotten := await box.sent("b", known=False))
    await box.record("dispatcher", f"contact-{forgotten.contact}", ContactForgotten(contact_id=forgotten.contact))
    settings = CampaignSettings(stop_on_suspected_reply=False)
    await box.record(
        "dispatcher", f"campaign-{box.campaign}", CampaignChanged(campaign_id=box.campaign, settings=settings)
    )
    await changed(box, second, uuid4(), None, uuid4())
    await reenabled(box, box.credential, 2)
    await removed(box, gone)
    own, box.campaign = box.campaign, uuid4()
    await box.add(uuid4())
    await box.begin()
    await box.sent("c")
    await box.record("dispatcher", f"campaign-{box.campaign}", CampaignDeleted(campaign_id=box.campaign))
    box.campaign = own
    await caught_up(box.reader)
    once = await dump(box.watcher.tables)
    assert {table: len(rows) for table, rows in once.items()} == {
        "mailboxes": 2,
        "deliveries": 2,
        "contacts": 2,
        "campaigns": 1,
    }

    assert await box.reader.catch_up() == 0
    assert await dump(box.watcher.tables) == once
    for table in (*TABLES, "checkpoints"):
        await box.watcher.tables.execute(f"truncate {table}")
    while await box.reader.catch_up(3):
        pass
    assert await dump(box.watcher.tables) == once


async def test_a_shared_mailbox_is_watched_once_by_what_changed_last_since_the_first(box: Inbox) -> None:
    first = (await box.watched()).since
    second = uuid4()
    await box.add(second)
    assert (await box.watched()).credentials == (second, box.credential)
    await changed(box, box.credential, box.mailbox)
    await caught_up(box.reader)
    before = await box.watched()
    assert (before.credentials, before.since) == ((box.credential, second), first)
    await reenabled(box, second)
    await caught_up(box.reader)
    after = await box.watched()
    assert after.credentials == (second, box.credential)
    assert after.changed > before.changed
    await removed(box, second)
    await caught_up(box.reader)
    assert (await box.watched()).credentials == (box.credential,)


async def test_a_mailbox_that_is_named_later_is_read_from_the_credentials_beginning(box: Inbox) -> None:
    since, other = (await box.watched()).since, uuid4()
    await changed(box, box.credential, None)
    await caught_up(box.reader)
    assert shared(await box.watcher.tables.fetch(MAILBOXES)) == {}
    await changed(box, box.credential, other)
    await caught_up(box.reader)
    assert shared(await box.watcher.tables.fetch(MAILBOXES))[other].since == since


async def test_a_text_that_was_changed_under_way_has_a_version_of_63_bits(box: Inbox) -> None:
    await box.begin()
    delivery = await box.sent("a", template_version=2**63 - 1)
    await caught_up(box.reader)
    found = await box.watcher.tables.fetchval(
        "select template_version from deliveries where delivery_id = $1", delivery.delivery
    )
    assert found == 2**63 - 1
