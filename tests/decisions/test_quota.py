"""A credential's day holds as many messages as its limit says, and gives back what no server took."""

from datetime import date
from uuid import UUID

from hypothesis import given as example
from hypothesis import strategies as st

from outrider.events.credential import QuotaClaimed, QuotaReleased
from outrider.events.testing import given
from outrider.sender.quota import QuotaDay, claim, day_id, quota_day, release

CREDENTIAL = UUID(int=5)
TODAY = date(2026, 11, 23)


def delivery(number: int) -> UUID:
    return UUID(int=1000 + number)


def claimed(number: int, counted: int = 1) -> QuotaClaimed:
    return QuotaClaimed(credential_id=CREDENTIAL, day=TODAY, deliveries=(delivery(number),), counted=counted)


def released(number: int, counted: int = 1) -> QuotaReleased:
    return QuotaReleased(credential_id=CREDENTIAL, day=TODAY, deliveries=(delivery(number),), counted=counted)


def asked(number: int, limit: int, state: QuotaDay, *, counted: bool = True) -> list[QuotaClaimed]:
    return list(claim(CREDENTIAL, TODAY, delivery(number), limit, state, counted=counted))


def test_a_day_is_a_stream_of_its_own() -> None:
    assert quota_day.stream(day_id(CREDENTIAL, TODAY)) == f"credentialDay-{CREDENTIAL}+2026-11-23"


def test_a_place_is_claimed_below_the_limit_and_none_at_it() -> None:
    given(quota_day, claimed(1)).when(lambda state: asked(2, 2, state)).then(claimed(2)).when(
        lambda state: asked(3, 2, state)
    ).then()


def test_what_does_not_count_is_claimed_at_the_limit_too() -> None:
    given(quota_day, claimed(1)).when(lambda state: asked(2, 1, state, counted=False)).then(claimed(2, 0))


def test_a_released_place_is_free_again() -> None:
    given(quota_day, claimed(1), released(1)).when(lambda state: asked(2, 1, state)).then(claimed(2))


def test_a_lower_limit_stops_claims_and_takes_nothing_back() -> None:
    given(quota_day, claimed(1), claimed(2)).when(lambda state: asked(3, 1, state)).then()


@example(st.integers(0, 5), st.lists(st.tuples(st.booleans(), st.booleans())))
def test_whatever_is_claimed_and_given_back_it_is_never_negative_nor_over_the_limit(
    limit: int, moves: list[tuple[bool, bool]]
) -> None:
    """Each move claims (counted or not) or gives back the oldest claim that holds a place, as an outcome does once."""
    state, held = quota_day.initial, list[QuotaClaimed]()
    for number, (claims, counted) in enumerate(moves):
        if claims:
            new = asked(number, limit, state, counted=counted)
            assert len(new) == (not counted or state.counted < limit)
            held += new
            state = quota_day.fold(new, state)
        elif held:
            oldest = held.pop(0)
            free = release(CREDENTIAL, TODAY, oldest.deliveries[0], counted=bool(oldest.counted))
            state = quota_day.fold([free], state)
        assert state.counted == sum(one.counted for one in held)
        assert 0 <= state.counted <= limit
