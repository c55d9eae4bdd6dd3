"""How often a key may ask."""

import pytest

from outrider.api.limits import RateLimit
from outrider.api.problems import RateLimited
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
