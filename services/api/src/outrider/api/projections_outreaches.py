"""Outreaches."""

from collections.abc import Sequence

from outrider.api.projection import last_of, tables
from outrider.events.database import Db
from outrider.events.message import Recorded
from outrider.events.outreach import OutreachChanged, OutreachCreated, OutreachDeleted


@tables.on(OutreachCreated)
async def outreach_created(db: Db, events: Sequence[Recorded[OutreachCreated]]) -> None:
    """The outreaches stand."""
    await db.execute(
        "insert into outreaches (outreach_id, account_id, position, unique_contacts, created_at) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::boolean[], $5::timestamptz[]) "
        "on conflict do nothing",
        [item.event.outreach_id for item in events],
        [item.account_id for item in events],
        [item.position for item in events],
        [item.event.unique_contacts for item in events],
        [item.business_at for item in events],
    )


@tables.on(OutreachChanged)
async def outreach_changed(db: Db, events: Sequence[Recorded[OutreachChanged]]) -> None:
    """What each asks of its campaigns at last holds."""
    changed = last_of(events, lambda event: event.outreach_id)
    await db.execute(
        "update outreaches o set unique_contacts = n.unique_contacts from unnest($1::uuid[], $2::boolean[]) "
        "as n (outreach_id, unique_contacts) where o.outreach_id = n.outreach_id",
        [item.event.outreach_id for item in changed],
        [item.event.unique_contacts for item in changed],
    )


@tables.on(OutreachDeleted)
async def outreach_deleted(db: Db, events: Sequence[Recorded[OutreachDeleted]]) -> None:
    """The outreaches are gone; nothing refers to them."""
    await db.execute("delete from outreaches where outreach_id = any($1)", [item.event.outreach_id for item in events])
