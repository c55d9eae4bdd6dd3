"""Accounts and their keys. What they sent in a month is counted by the messages themselves (schema/005)."""

from collections.abc import Sequence

from outrider.api.projection import last_of, tables
from outrider.events.account import AccountClosed, AccountOpened, ApiKeyIssued, ApiKeyRevoked, PlanChanged
from outrider.events.database import Db
from outrider.events.message import Recorded


@tables.on(AccountOpened)
async def account_opened(db: Db, events: Sequence[Recorded[AccountOpened]]) -> None:
    """The accounts stand."""
    await db.execute(
        "insert into accounts (account_id, monthly_limit, opened_at) "
        "select * from unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) on conflict do nothing",
        [item.event.account_id for item in events],
        [item.event.monthly_limit for item in events],
        [item.business_at for item in events],
    )


@tables.on(PlanChanged)
async def plan_changed(db: Db, events: Sequence[Recorded[PlanChanged]]) -> None:
    """The last limit of each account holds."""
    changed = last_of(events, lambda event: event.account_id)
    await db.execute(
        "update accounts a set monthly_limit = c.monthly_limit "
        "from unnest($1::uuid[], $2::bigint[]) as c (account_id, monthly_limit) where a.account_id = c.account_id",
        [item.event.account_id for item in changed],
        [item.event.monthly_limit for item in changed],
    )


@tables.on(ApiKeyIssued)
async def api_key_issued(db: Db, events: Sequence[Recorded[ApiKeyIssued]]) -> None:
    """The keys open their accounts."""
    await db.execute(
        "insert into api_keys (key_id, account_id, position, key_hash, key_prefix, created_at) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[]) "
        "on conflict do nothing",
        [item.event.key_id for item in events],
        [item.event.account_id for item in events],
        [item.position for item in events],
        [item.event.key_hash for item in events],
        [item.event.key_prefix for item in events],
        [item.business_at for item in events],
    )


@tables.on(ApiKeyRevoked)
async def api_key_revoked(db: Db, events: Sequence[Recorded[ApiKeyRevoked]]) -> None:
    """The keys open nothing any more."""
    await db.execute(
        "update api_keys k set revoked_at = coalesce(k.revoked_at, r.at) "
        "from unnest($1::uuid[], $2::timestamptz[]) as r (key_id, at) where k.key_id = r.key_id",
        [item.event.key_id for item in events],
        [item.business_at for item in events],
    )


@tables.on(AccountClosed)
async def account_closed(db: Db, events: Sequence[Recorded[AccountClosed]]) -> None:
    """The accounts are gone."""
    await db.execute(
        "update accounts a set closed_at = c.at from unnest($1::uuid[], $2::timestamptz[]) as c (account_id, at) "
        "where a.account_id = c.account_id",
        [item.event.account_id for item in events],
        [item.business_at for item in events],
    )
