"""The do-not-contact list."""

from collections.abc import Sequence

from outrider.api.projection import tables
from outrider.events.contact import AddressSuppressed, AddressUnsuppressed
from outrider.events.database import Db
from outrider.events.message import Recorded


@tables.on(AddressSuppressed)
async def address_suppressed(db: Db, events: Sequence[Recorded[AddressSuppressed]]) -> None:
    """The suppressions are listed."""
    await db.execute(
        "insert into suppressions (suppression_id, account_id, address_key, position, created_at) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::timestamptz[]) "
        "on conflict do nothing",
        [item.event.suppression_id for item in events],
        [item.account_id for item in events],
        [item.event.address_key for item in events],
        [item.position for item in events],
        [item.business_at for item in events],
    )


@tables.on(AddressUnsuppressed)
async def address_unsuppressed(db: Db, events: Sequence[Recorded[AddressUnsuppressed]]) -> None:
    """The suppressions are listed no more."""
    await db.execute(
        "delete from suppressions where suppression_id = any($1)", [item.event.suppression_id for item in events]
    )
