"""How often a key may ask, and how much may come."""

import pytest
from litestar.types import HTTPReceiveMessage, HTTPRequestEvent

from outrider.api.front import IMPORT_BYTES
from outrider.api.limits import RateLimit
from outrider.api.problems import PayloadTooLarge, RateLimited
from outrider.api.uploads import Upload
from outrider.events.ids import new_id


def test_a_key_that_asks_too_often_is_told_when_to_come_again() -> None:
    now = [1000.0]
    limit, key, other = RateLimit(60, lambda: now[0]), new_id(), new_id()
    for _ in range(60):
        limit.take(key)
    with pytest.raises(RateLimited) as refused:
        limit.take(key)
    assert refused.value.details == {"retry_after": 1}
    limit.take(other)
    now[0] += 2
    limit.take(key)
    limit.take(key)
    with pytest.raises(RateLimited):
        limit.take(key)


def test_no_limit_is_none() -> None:
    limit, key = RateLimit(0), new_id()
    for _ in range(10_000):
        limit.take(key)


async def test_a_body_without_an_announced_length_ends_where_it_is_too_large() -> None:
    part = b"x" * 1024 * 1024

    async def receive() -> HTTPReceiveMessage:
        return HTTPRequestEvent(type="http.request", body=part, more_body=True)

    blocks, taken = Upload(receive, IMPORT_BYTES).blocks(), 0
    while taken < IMPORT_BYTES:
        block, last = await anext(blocks)
        assert not last
        taken += len(block)
    with pytest.raises(PayloadTooLarge):
        await anext(blocks)
    assert taken == IMPORT_BYTES
