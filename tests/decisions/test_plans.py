"""What an account's plan lets out, and how it is shared out among its credentials."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outrider.dispatcher.plans import share_out
from outrider.dispatcher.telling import ROUND, fairly
from outrider.events.claims import Places
from outrider.events.gates import plan_closed

LANES = [UUID(int=n) for n in range(4)]


@pytest.mark.parametrize(
    ("limit", "sends", "why"),
    [(None, 10**9, ""), (2, 1, ""), (2, 2, "plan_limit_reached"), (1, 2, "plan_limit_reached")],
)
def test_a_plan_is_closed_once_as_much_was_accepted_as_it_allows(limit: int | None, sends: int, why: str) -> None:
    assert plan_closed(limit, sends) == why


def test_a_credential_that_wants_little_leaves_the_rest_to_the_others() -> None:
    shared = share_out(7, {LANES[0]: Places(1, 1), LANES[1]: Places(20, 2), LANES[2]: Places(0, 0)})
    assert shared == {LANES[0]: Places(1, 1), LANES[1]: Places(6, 2), LANES[2]: Places(0, 0)}


@given(st.integers(0, 60), st.lists(st.integers(0, 20), min_size=4, max_size=4))
def test_no_more_is_shared_out_than_there_is_and_nobody_has_two_more_than_another(room: int, wanted: list[int]) -> None:
    shared = share_out(room, {lane: Places(n, n) for lane, n in zip(LANES, wanted, strict=True)})
    given_places = [shared[lane].every for lane in LANES]
    assert sum(given_places) == min(room, sum(wanted))
    assert all(got <= n for got, n in zip(given_places, wanted, strict=True))
    unmet = [got for got, n in zip(given_places, wanted, strict=True) if got < n]
    assert all(got <= min(unmet, default=20) + 1 for got in given_places)


def test_an_account_with_thousands_to_tell_leaves_another_its_turn_in_every_round() -> None:
    crowd, few = [UUID(int=n) for n in range(3000)], [UUID(int=n) for n in range(5000, 5003)]
    accounts = {**dict.fromkeys(crowd, UUID(int=1)), **dict.fromkeys(few, UUID(int=2))}
    told = fairly({lane: Places(20, 20) for lane in accounts}, accounts)
    assert [told[lane] for lane in few] == [Places(20, 20)] * 3
    assert sum(places.every for places in told.values()) == ROUND
    assert max(told[lane].every for lane in crowd) == 1
