"""Forgetting a person: what is kept of them beside their own values, found by contact, key or address, and removed."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from outrider.events import vault
from outrider.events.database import Db, Pool

PEOPLE: Final = """
select value ->> 'email' as address from log.vault
where owner = any($1) and name = 'person' and account_id = $2
order by owner for update
"""
ROWS: Final = """
update log.vault v set value = jsonb_set(v.value, '{rows}', coalesce((
    select jsonb_agg(r.row order by r.ord) from jsonb_array_elements(v.value -> 'rows') with ordinality as r (row, ord)
    where not coalesce(r.row ->> 'contact_id' = $2 or r.row ->> 'address_key' = any($3)
        or lower(coalesce(r.row ->> 'email', r.row -> 'person' ->> 'email')) = lower($4), false)
), '[]'))
where v.account_id = $1 and v.kind = 'import' and jsonb_typeof(v.value -> 'rows') = 'array' and exists (
    select from jsonb_array_elements(v.value -> 'rows') as r (row)
    where r.row ->> 'contact_id' = $2 or r.row ->> 'address_key' = any($3)
        or lower(coalesce(r.row ->> 'email', r.row -> 'person' ->> 'email')) = lower($4)
)
"""
"""Copies of imports: the people that are still to be added, and the rejects."""
COPIES: Final = """
with named as (
    select v.owner, v.name, v.expires_at from log.vault v
    where v.account_id = $1 and v.kind not in ('import', 'contact', 'answer')
        and (v.expires_at is not null or v.name in ('smtp_error', 'imap_error'))
        and exists (select from unnest($2::text[]) as a (said) where strpos(lower(v.value::text), lower(a.said)) > 0)
)
delete from log.vault v using named n
where v.owner = n.owner and (v.name = n.name or (v.expires_at is not null and n.expires_at is not null))
"""
"""What is kept for a while only and names an address (test sends), and what servers said to a credential."""


async def forget_people(pool: Pool, account: UUID, contacts: Sequence[UUID]) -> None:
    """Nothing tells any more who these contacts were; only by the address could copies be found, if they are erased."""
    async with pool.acquire() as db, db.transaction():
        await _forget_copies(db, account, await _addresses(db, account, contacts))
        await vault.forget(db, contacts)


async def forget_address(pool: Pool, account: UUID, contact: UUID, becomes: str) -> None:
    """Of the contact's address no copy is kept, where it becomes another one."""
    async with pool.acquire() as db, db.transaction():
        left = [found for found in await _addresses(db, account, [contact]) if found.lower() != becomes.lower()]
        await _forget_copies(db, account, left)


async def erase(
    pool: Pool, account: UUID, contact: UUID, keys: Sequence[str], suppressions: Collection[UUID]
) -> dict[str, int]:
    """Nothing tells any more who the contact was, by whichever of these keys; how much of each kind there was.

    Safe to run again: what is gone already is counted no more.
    """
    async with pool.acquire() as db, db.transaction():
        # Whoever keeps words about the person, or about a test to the address, has a lock on the person or the test's
        # addresses meanwhile: both are waited for, and what was kept in that time is seen by the statement after.
        addresses = await _addresses(db, account, [contact])
        removed = {
            "import_rows": await _changed(db, ROWS, account, str(contact), list(keys), "".join(addresses)),
            "copies": await _forget_copies(db, account, addresses),
            "suppressions": await vault.forget(db, list(suppressions)),
            "values": await vault.forget(db, [contact]),
        }
    return {kind: number for kind, number in removed.items() if number}


async def _addresses(db: Db, account: UUID, contacts: Sequence[UUID]) -> list[str]:
    """Those that are known; the persons are locked from now on."""
    return [row["address"] for row in await db.fetch(PEOPLE, list(contacts), account) if row["address"]]


async def _forget_copies(db: Db, account: UUID, addresses: Sequence[str]) -> int:
    """How many there were: again, for what was kept while the first one waited."""
    return sum([await _changed(db, COPIES, account, list(addresses)) for _ in range(2)]) if addresses else 0


async def _changed(db: Db, statement: str, *args: object) -> int:
    tag = await db.execute(statement, *args)
    return int(tag.split()[-1])
