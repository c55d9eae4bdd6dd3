"""Account: what it may send in a month, and which keys open it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

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
from outrider.events.aggregate import Aggregate
from outrider.events.message import Event


@dataclass(frozen=True, slots=True)
class Account:
    """What is remembered of an account."""

    is_open: bool = False
    is_closed: bool = False
    monthly_limit: int | None = None
    keys: frozenset[UUID] = frozenset()
    revoked: frozenset[UUID] = frozenset()


def evolve(state: Account, event: Event) -> Account:
    """The state after the event."""
    match event:
        case AccountOpened(monthly_limit=limit):
            return replace(state, is_open=True, monthly_limit=limit)
        case PlanChanged(monthly_limit=limit):
            return replace(state, monthly_limit=limit)
        case ApiKeyIssued(key_id=key):
            return replace(state, keys=state.keys | {key})
        case AccountClosed():
            return replace(state, is_open=False, is_closed=True)
        case ApiKeyRevoked(key_id=key):
            return replace(state, keys=state.keys - {key}, revoked=state.revoked | {key})
        case _:
            return state


account = Aggregate("account", Account(), evolve)


def open_account(command: OpenAccount, state: Account) -> Sequence[Event]:
    """The account is open, with its first key."""
    if state.is_open or state.is_closed:
        return []
    return [
        AccountOpened(account_id=command.account_id, monthly_limit=command.monthly_limit),
        ApiKeyIssued(
            account_id=command.account_id,
            key_id=command.key_id,
            key_hash=command.key_hash,
            key_prefix=command.key_prefix,
        ),
    ]


def change_plan(command: ChangePlan, state: Account) -> Sequence[Event]:
    """The monthly limit is the one asked for."""
    if not state.is_open:
        raise AccountNotFound
    if command.monthly_limit == state.monthly_limit:
        return []
    return [PlanChanged(account_id=command.account_id, monthly_limit=command.monthly_limit)]


def close_account(command: CloseAccount, state: Account) -> Sequence[Event]:
    """It is gone, and none of its keys opens anything."""
    if not state.is_open:
        raise AccountNotFound
    keys = sorted(state.keys, key=str)
    return [
        *(ApiKeyRevoked(account_id=command.account_id, key_id=key) for key in keys),
        AccountClosed(account_id=command.account_id),
    ]


def issue_key(command: IssueApiKey, state: Account) -> Sequence[Event]:
    """The key opens the account, unless it was revoked since."""
    if not state.is_open:
        raise AccountNotFound
    if command.key_id in state.keys | state.revoked:
        return []
    return [
        ApiKeyIssued(
            account_id=command.account_id,
            key_id=command.key_id,
            key_hash=command.key_hash,
            key_prefix=command.key_prefix,
        )
    ]


def revoke_key(command: RevokeApiKey, state: Account) -> Sequence[Event]:
    """The key opens nothing; another one still does."""
    if not state.is_open:
        raise AccountNotFound
    if command.key_id not in state.keys:
        raise ApiKeyNotFound
    if len(state.keys) == 1:
        raise CannotRevokeLastKey
    return [ApiKeyRevoked(account_id=command.account_id, key_id=command.key_id)]
