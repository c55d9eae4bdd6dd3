"""Requests with a key, as several attempts at one of them write them down."""

from collections.abc import Mapping
from datetime import UTC, datetime

from outrider.api.idempotency import Held, Idempotency, Reply
from outrider.events.vault import Box
from tests.support.kernel import ACCOUNT, kernel

KEY, REQUEST = b"k" * 32, b"r" * 32


async def test_an_attempt_that_lost_its_hold_does_not_change_the_answer_that_is_kept(urls: Mapping[str, str]) -> None:
    async with kernel(urls, "api") as k:
        store = Idempotency(k.pool, Box([b"b" * 32]))

        async def take() -> Held | Reply:
            return await store.take(ACCOUNT, KEY, REQUEST, datetime.now(UTC))

        slow = await take()
        assert isinstance(slow, Held)
        await store.release(slow)  # as if it had not been heard of for too long
        other = await take()
        assert isinstance(other, Held)
        mine, late = Reply(201, [("a", "b")], b"mine"), Reply(422, [], b"late")
        await store.settle(slow, REQUEST, late)
        await store.settle(other, REQUEST, mine)
        await store.settle(slow, REQUEST, late)
        kept = await take()
        assert isinstance(kept, Reply)
        assert (kept.status, list(kept.headers), kept.body) == (201, [("a", "b")], b"mine")
