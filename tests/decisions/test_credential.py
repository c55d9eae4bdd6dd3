"""Decisions about credentials."""

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from outrider.dispatcher.credential import (
    BounceFacts,
    Credential,
    add,
    change,
    credential,
    disable,
    judge,
    reenable,
    remove,
    replace_by,
)
from outrider.events.credential import (
    ChangeCredential,
    CredentialAdded,
    CredentialChanged,
    CredentialDisabled,
    CredentialReenabled,
    CredentialRemoved,
    CredentialReplaced,
    NewCredential,
    ReenableCredential,
    SmtpCredentialNotFound,
)
from outrider.events.errors import Refused
from outrider.events.message import Event
from outrider.events.testing import given

A, C, M, N, K = (UUID(int=n) for n in range(1, 6))
ADDED = CredentialAdded(credential_id=K, campaign_id=M, daily_limit=200)
DISABLED = CredentialDisabled(credential_id=K, campaign_id=M, reason="bounce_rate")
REENABLED = CredentialReenabled(credential_id=K, campaign_id=M)
REMOVED = CredentialRemoved(credential_id=K, campaign_id=M)
CHANGED = CredentialChanged(credential_id=K, campaign_id=M, daily_limit=5)
ADD = partial(add, M, NewCredential(credential_id=K, daily_limit=200))
REFUSED = CredentialDisabled(credential_id=K, campaign_id=M, reason="auth_failed")
ANOTHER_PASSWORD = CredentialChanged(credential_id=K, campaign_id=M, daily_limit=200)
REENABLE = partial(reenable, ReenableCredential(command_id=C, account_id=A, campaign_id=M, credential_id=K))


def rule(sends: int, bounces: int) -> Callable[[Credential], Sequence[Event]]:
    """With the defaults: more than 8 % of at least 20 sends."""
    return partial(judge, K, BounceFacts(sends=sends, bounces=bounces, min_sends=20, threshold=8.0))


def changing(daily_limit: int, *, replaced: bool = False) -> Callable[[Credential], Sequence[Event]]:
    """With another password, if replaced."""
    new = NewCredential(credential_id=K, daily_limit=daily_limit)
    command = ChangeCredential(
        command_id=C, account_id=A, campaign_id=M, credential=new, replaced=replaced, logs_in_anew=replaced
    )
    return partial(change, command)


def test_other_limits_hold_and_the_same_ones_are_no_change() -> None:
    given(credential, ADDED).when(changing(5)).then(CHANGED).when(changing(5)).then()


def test_a_limit_that_a_change_does_not_name_stays() -> None:
    exempt = NewCredential(credential_id=K, daily_limit=200, follow_ups_exempt=True)
    command = ChangeCredential(
        command_id=C, account_id=A, campaign_id=M, credential=exempt, limits=("follow_ups_exempt",)
    )
    both = CHANGED.model_copy(update={"follow_ups_exempt": True})
    given(credential, ADDED, CHANGED).when(partial(change, command)).then(both)


def test_another_password_is_a_change_that_no_limit_shows() -> None:
    given(credential, ADDED).when(changing(200, replaced=True)).then(ANOTHER_PASSWORD)


def test_another_password_revives_what_a_refused_log_in_has_disabled_and_nothing_else() -> None:
    decide = changing(200, replaced=True)
    given(credential, ADDED, REFUSED).when(decide).then(ANOTHER_PASSWORD, REENABLED)
    given(credential, ADDED, DISABLED).when(decide).then(ANOTHER_PASSWORD)
    given(credential, ADDED, REFUSED).when(changing(5)).then(CHANGED)


def test_a_credential_is_added_once() -> None:
    given(credential).when(ADD).then(ADDED).when(ADD).then()


@pytest.mark.parametrize(("sends", "bounces"), [(19, 19), (20, 1), (25, 2), (100, 8), (0, 0)])
def test_few_sends_or_few_bounces_disable_nothing(sends: int, bounces: int) -> None:
    given(credential, ADDED).when(rule(sends, bounces)).then()


@pytest.mark.parametrize(("sends", "bounces"), [(20, 2), (100, 9)])
def test_more_bounces_than_the_threshold_disable_it(sends: int, bounces: int) -> None:
    given(credential, ADDED).when(rule(sends, bounces)).then(DISABLED).when(rule(sends, bounces)).then()


def test_a_refused_log_in_disables_it() -> None:
    disabled = CredentialDisabled(credential_id=K, campaign_id=M, reason="auth_failed")
    given(credential, ADDED).when(partial(disable, K, "auth_failed")).then(disabled)


def test_one_that_is_disabled_or_gone_is_not_disabled() -> None:
    given(credential, ADDED, DISABLED).when(partial(disable, K, "auth_failed")).then()
    given(credential, ADDED, REMOVED).when(partial(disable, K, "auth_failed")).then()


def test_reenabling_is_idempotent() -> None:
    given(credential, ADDED, DISABLED).when(REENABLE).then(REENABLED).when(REENABLE).then()


def test_one_that_is_unknown_gone_or_of_another_campaign_is_not_found() -> None:
    other = CredentialAdded(credential_id=K, campaign_id=N, daily_limit=200)
    for history in ((), (ADDED, REMOVED), (other,)):
        for decide in (REENABLE, changing(5), changing(200, replaced=True)):
            given(credential, *history).when(decide).refused(SmtpCredentialNotFound)


def test_it_is_removed_once() -> None:
    given(credential, ADDED, CHANGED).when(partial(remove, K)).then(REMOVED).when(partial(remove, K)).then()


@pytest.mark.parametrize("history", [(ADDED, DISABLED), (ADDED, REMOVED), (ADDED, REFUSED, REMOVED)])
def test_one_that_is_burned_or_gone_is_replaced_by_those_that_are_left(history: Sequence[Event]) -> None:
    replaced = CredentialReplaced(credential_id=K, campaign_id=M, by=(A, C))
    given(credential, *history).when(partial(replace_by, K, [A, C])).then(replaced)
    given(credential, *history).when(partial(replace_by, K, [])).then()


@pytest.mark.parametrize("history", [(), (ADDED,), (ADDED, REFUSED), (ADDED, DISABLED, REENABLED)])
def test_one_that_may_come_back_keeps_what_is_its_own(history: Sequence[Event]) -> None:
    given(credential, *history).when(partial(replace_by, K, [A, C])).then()


@examples(
    st.lists(st.sampled_from([ADDED, DISABLED, REENABLED, CHANGED, REMOVED]), max_size=8),
    st.sampled_from([ADD, REENABLE, changing(7), rule(20, 20), partial(disable, K, "policy"), partial(remove, K)]),
)
def test_the_same_command_twice_adds_nothing(
    history: Sequence[Event], decide: Callable[[Credential], Sequence[Event]]
) -> None:
    state = credential.fold(history)
    try:
        state = credential.fold(decide(state), state)
        assert list(decide(state)) == []
    except Refused:
        pass
