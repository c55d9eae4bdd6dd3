"""Decisions about accounts, plans and keys."""

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from hypothesis import given as examples
from hypothesis import strategies as st

from outrider.dispatcher.account import (
    Account,
    account,
    change_plan,
    close_account,
    issue_key,
    open_account,
    revoke_key,
)
from outrider.events.account import (
    AccountClosed,
    AccountNotFound,
    AccountOpened,
    ApiKeyIssued,
    ApiKeyNotFound,
    ApiKeyRevoked,
    CannotRevokeLastKey,
    ChangePlan,
    CloseAccount,
    IssueApiKey,
    OpenAccount,
    PlanChanged,
    RevokeApiKey,
)
from outrider.events.errors import Refused
from outrider.events.message import Event
from outrider.events.testing import given

A, C, K1, K2 = (UUID(int=n) for n in range(1, 5))
HASH = "0" * 64
OPENED = AccountOpened(account_id=A, monthly_limit=None)
FIRST = ApiKeyIssued(account_id=A, key_id=K1, key_hash=HASH, key_prefix="ok_live_a")
SECOND = ApiKeyIssued(account_id=A, key_id=K2, key_hash=HASH, key_prefix="ok_live_a")
OPEN = partial(open_account, OpenAccount(command_id=C, account_id=A, key_id=K1, key_hash=HASH, key_prefix="ok_live_a"))
ISSUE = partial(issue_key, IssueApiKey(command_id=C, account_id=A, key_id=K2, key_hash=HASH, key_prefix="ok_live_a"))
CLOSE = partial(close_account, CloseAccount(command_id=C, account_id=A))
PLAN = partial(change_plan, ChangePlan(command_id=C, account_id=A, monthly_limit=1000))


def revoke(key: UUID) -> Callable[[Account], Sequence[Event]]:
    return partial(revoke_key, RevokeApiKey(command_id=C, account_id=A, key_id=key))


def test_an_account_is_opened_with_its_first_key() -> None:
    given(account).when(OPEN).then(OPENED, FIRST)


def test_an_open_account_is_not_opened_again() -> None:
    given(account, OPENED, FIRST).when(OPEN).then()


def test_another_limit_changes_the_plan() -> None:
    given(account, OPENED).when(PLAN).then(PlanChanged(account_id=A, monthly_limit=1000)).when(PLAN).then()


def test_an_unknown_account_has_no_plan_and_no_keys() -> None:
    for decide in (PLAN, ISSUE, revoke(K1)):
        given(account).when(decide).refused(AccountNotFound)


def test_a_key_is_issued_once() -> None:
    given(account, OPENED, FIRST).when(ISSUE).then(SECOND).when(ISSUE).then()


def test_a_key_is_revoked_while_another_is_left() -> None:
    revoked = ApiKeyRevoked(account_id=A, key_id=K1)
    given(account, OPENED, FIRST, SECOND).when(revoke(K1)).then(revoked).when(revoke(K1)).refused(ApiKeyNotFound)


def test_the_last_key_stays() -> None:
    given(account, OPENED, FIRST).when(revoke(K1)).refused(CannotRevokeLastKey)


def test_a_closed_account_has_no_key_and_is_not_opened_again() -> None:
    revoked = [ApiKeyRevoked(account_id=A, key_id=key) for key in (K1, K2)]
    closed = given(account, OPENED, FIRST, SECOND).when(CLOSE).then(*revoked, AccountClosed(account_id=A))
    closed.when(OPEN).then()
    for decide in (CLOSE, PLAN, ISSUE, revoke(K1)):
        closed.when(decide).refused(AccountNotFound)


def test_a_revoked_key_is_not_issued_again() -> None:
    history = (OPENED, FIRST, SECOND, ApiKeyRevoked(account_id=A, key_id=K2))
    given(account, *history).when(ISSUE).then()


HISTORY = st.lists(
    st.sampled_from([OPENED, FIRST, SECOND, PlanChanged(account_id=A, monthly_limit=5)])
    | st.sampled_from([K1, K2]).map(lambda key: ApiKeyRevoked(account_id=A, key_id=key)),
    max_size=8,
)


@examples(HISTORY, st.sampled_from([OPEN, PLAN, ISSUE, CLOSE, revoke(K1), revoke(K2)]))
def test_the_same_command_twice_adds_nothing(
    history: Sequence[Event], decide: Callable[[Account], Sequence[Event]]
) -> None:
    state = account.fold(history)
    try:
        state = account.fold(decide(state), state)
        assert list(decide(state)) == []
    except Refused:
        pass
