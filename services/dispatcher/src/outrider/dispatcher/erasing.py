"""Forgetting a person: what is kept of them beside their own values, found by contact, key or address, and removed."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from outrider.events import vault
from outrider.events.database import Db, Pool
from outrider.events.message import Json

PERSON: Final = "select value from log.vault where owner = $1 and name = 'person' and account_id = $2 for update"
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
delete from log.vault v where v.account_id = $1 and v.kind not in ('import', 'contact') and (
    (v.expires_at is not null and v.owner in (
        select c.owner from log.vault c
        where c.account_id = $1 and c.expires_at is not null and strpos(lower(c.value::text), lower($2)) > 0
    ))
    or (v.name in ('smtp_error', 'imap_error') and strpos(lower(v.value::text), lower($2)) > 0)
)
"""
"""What is kept for a while only and names the address (test sends, bodies), and what servers said to a credential."""


async def erase(
    pool: Pool, account: UUID, contact: UUID, keys: Sequence[str], suppressions: Collection[UUID]
) -> dict[str, int]:
    """Nothing tells any more who the contact was, by whichever of these keys; how much of each kind there was.

    Safe to run again: what is gone already is counted no more.
    """
    async with pool.acquire() as db, db.transaction():
        # Whoever keeps words about the person, or about a test to the address, has a lock on the person or the test's
        # addresses meanwhile: both are waited for, and what was kept in that time is seen by the statement after.
        person: Json | None = await db.fetchval(PERSON, contact, account)
        address = str((person or {}).get("email", ""))
        removed = {
            "import_rows": await _changed(db, ROWS, account, str(contact), list(keys), address),
            "copies": sum([await _changed(db, COPIES, account, address) for _ in range(2)]) if address else 0,
            "suppressions": await vault.forget(db, list(suppressions)),
            "values": await vault.forget(db, [contact]),
        }
    return {kind: number for kind, number in removed.items() if number}


async def _changed(db: Db, statement: str, *args: object) -> int:
    tag = await db.execute(statement, *args)
    return int(tag.split()[-1])
