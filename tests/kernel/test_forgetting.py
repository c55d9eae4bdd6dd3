"""Forgetting a person waits for whoever keeps words about them at that moment, and removes those too."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from outrider.dispatcher.erasing import erase, forget_address, forget_people
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


async def test_who_is_deleted_or_moves_leaves_no_copy_for_an_erasure_that_comes_later(urls: Mapping[str, str]) -> None:
    person, others, test, credential = uuid4(), [uuid4() for _ in range(2)], uuid4(), uuid4()
    copies = [
        Entry(test, "emails", ACCOUNT, "campaign", {"emails": [ADA.upper()]}, datetime.now(UTC) + DAY),
        Entry(test, "outcome", ACCOUNT, "campaign", {"failures": []}, datetime.now(UTC) + DAY),
        Entry(credential, "smtp_error", ACCOUNT, "credential", {"reply": f"550 {ADA} is nobody"}),
    ]
    rest = [
        Entry(credential, "server", ACCOUNT, "credential", {"from_email": ADA}),  # an account of ours, not a copy
        Entry(uuid4(), "emails", ACCOUNT, "campaign", {"emails": ["bob@example.org"]}, datetime.now(UTC) + DAY),
    ]
    people = [Entry(one, "person", ACCOUNT, "contact", {"email": ADA}) for one in (person, *others)]
    async with kernel(urls) as dispatcher:
        pool = dispatcher.pool
        await vault.put(pool, [*people, *copies, *rest])
        await forget_address(pool, ACCOUNT, person, ADA.capitalize())
        assert await pool.fetchval("select count(*) from log.vault") == len([*people, *copies, *rest])
        await forget_address(pool, ACCOUNT, person, "ada@example.net")
        await vault.put(pool, [Entry(person, "person", ACCOUNT, "contact", {"email": "ada@example.net"})])
        assert await pool.fetchval("select count(*) from log.vault") == len([*people, *rest])
        await vault.put(pool, copies)
        await forget_people(pool, ACCOUNT, others)
        left = await pool.fetch("select owner from log.vault")
        assert {row["owner"] for row in left} == {person, *(entry.owner for entry in rest)}
        await vault.put(pool, copies)
        assert await erase(pool, ACCOUNT, person, [], []) == {"values": 1}  # another's address by now
