"""Copies of people that are kept for a while are gone afterwards, without anybody asking."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from outrider.api.sweeping import sweep_for_ever
from outrider.events import vault
from outrider.events.ids import new_id
from outrider.events.vault import Entry
from tests.support.kernel import ACCOUNT, kernel

PERSON = {"rows": [{"person": {"email": "ann@example.com"}}]}


async def test_what_has_expired_is_swept_and_nothing_else(urls: Mapping[str, str]) -> None:
    async with kernel(urls, "api") as k:
        old, young, kept = new_id(), new_id(), new_id()
        now = k.clock.real()
        await vault.put(
            k.pool,
            [
                Entry(old, "rows-0", ACCOUNT, "import", PERSON, now - timedelta(seconds=1)),
                Entry(young, "rows-0", ACCOUNT, "import", PERSON, now + timedelta(hours=24)),
                Entry(kept, "name", ACCOUNT, "campaign", {"name": "Q2"}),
            ],
        )
        sweeping = asyncio.create_task(sweep_for_ever(k.pool, k.clock))
        try:
            async with asyncio.timeout(30):
                while await vault.get(k.pool, ACCOUNT, old, "rows-0") is not None:
                    await asyncio.wait([sweeping], timeout=0.02)
        finally:
            sweeping.cancel()
        assert await vault.get(k.pool, ACCOUNT, young, "rows-0") == PERSON
        assert await vault.get(k.pool, ACCOUNT, kept, "name") == {"name": "Q2"}
