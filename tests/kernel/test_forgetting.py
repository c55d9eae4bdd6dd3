"""Forgetting a person waits for whoever keeps words about them at that moment, and removes those too."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from outrider.dispatcher.erasing import erase
from outrider.events import vault
from outrider.events.vault import Entry
from outrider.sender.recording import KEEP_WORDS
from tests.kernel.until import until
from tests.support.kernel import ACCOUNT, kernel

ADA = "ada@example.org"
WAITS = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
DAY = timedelta(days=1)
NAMED = "select owner, name from log.vault where value::text like '%ada%'"

Kept = tuple[tuple[UUID, str, str], ...]


async def test_what_is_kept_at_the_moment_of_forgetting_is_forgotten_too(urls: Mapping[str, str]) -> None:
    person, test, credential = uuid4(), uuid4(), uuid4()
    words, outcome = {"reply": f"550 {ADA} is nobody"}, {"failures": [{"email": ADA}]}
    about_the_person: Kept = ((person, "person", "smtp-reply-1"), (credential, "server", "smtp_error"))
    async with kernel(urls) as dispatcher, kernel(urls, "sender") as sender:
        owner = await asyncpg.connect(urls["owner"])
        for kept in (about_the_person, ((test, "emails", "outcome"),)):
            await vault.put(
                dispatcher.pool,
                [
                    Entry(person, "person", ACCOUNT, "contact", {"email": ADA}),
                    Entry(credential, "server", ACCOUNT, "credential", {"from_email": "me@example.com"}),
                    Entry(test, "emails", ACCOUNT, "campaign", {"emails": [ADA]}, datetime.now(UTC) + DAY),
                ],
            )
            async with sender.pool.acquire() as db, db.transaction():
                for whose, there, name in kept:
                    value = outcome if name == "outcome" else words
                    assert await db.fetchval(KEEP_WORDS, whose, there, name, value, ACCOUNT)
                forgetting = asyncio.ensure_future(erase(dispatcher.pool, ACCOUNT, person, [], []))
                await until("forgetting waits", lambda: owner.fetchval(WAITS))
            await forgetting
            assert await owner.fetch(NAMED) == []
            whose, there, name = kept[0]
            assert not await sender.pool.fetchval(KEEP_WORDS, whose, there, name, words, ACCOUNT)
        await owner.close()
