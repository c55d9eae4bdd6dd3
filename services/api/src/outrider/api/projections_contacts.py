"""Imports and contacts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from outrider.api.projection import first_of, last_of, tables
from outrider.events.contact import (
    ContactAdded,
    ContactChanged,
    ContactDeleted,
    ContactForgotten,
    ContactUnsubscribed,
    ImportCompleted,
    ImportDeleted,
    ImportFailed,
    ImportStarted,
)
from outrider.events.database import Db
from outrider.events.message import Recorded

GONE = """
with gone as (
    update contacts c set deleted_at = g.at
    from unnest($1::uuid[], $2::timestamptz[]) as g (contact_id, at)
    where c.contact_id = g.contact_id and c.deleted_at is null
    returning c.import_id
)
update import_counts n set gone = n.gone + g.contacts
from (select import_id, count(*) as contacts from gone group by import_id) as g
where n.import_id = g.import_id
"""
GONE_WITH_IMPORT = """
with gone as (
    update contacts c set deleted_at = i.at
    from unnest($1::uuid[], $2::timestamptz[]) as i (import_id, at)
    where c.import_id = i.import_id and c.deleted_at is null
    returning c.import_id
)
update import_counts n set gone = n.gone + g.contacts
from (select import_id, count(*) as contacts from gone group by import_id) as g
where n.import_id = g.import_id
"""
UNSUBSCRIBED_BY_MESSAGE = """
update enrollments e set unsubscribed_at = coalesce(e.unsubscribed_at, u.at), ended_at = coalesce(e.ended_at, u.at)
from unnest($1::uuid[], $2::timestamptz[]) as u (delivery_id, at)
join sends s on s.delivery_id = u.delivery_id
where e.enrollment_id = s.enrollment_id
"""


@tables.on(ImportStarted)
async def import_started(db: Db, events: Sequence[Recorded[ImportStarted]]) -> None:
    """The imports stand, in work."""
    await db.execute(
        "insert into imports (import_id, account_id, position, skipped, rejected, created_at) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::int[], $5::int[], $6::timestamptz[]) "
        "on conflict do nothing",
        [item.event.import_id for item in events],
        [item.account_id for item in events],
        [item.position for item in events],
        [item.event.skipped for item in events],
        [item.event.rejected for item in events],
        [item.business_at for item in events],
    )


@tables.on(ImportCompleted)
async def import_completed(db: Db, events: Sequence[Recorded[ImportCompleted]]) -> None:
    """The imports are completed, with their final figures."""
    done = last_of(events, lambda event: event.import_id)
    await db.execute(
        "update imports i set status = 'completed', record_count = d.records, skipped = d.skipped, "
        "rejected = d.rejected from unnest($1::uuid[], $2::int[], $3::int[], $4::int[]) "
        "as d (import_id, records, skipped, rejected) where i.import_id = d.import_id",
        [item.event.import_id for item in done],
        [item.event.record_count for item in done],
        [item.event.skipped for item in done],
        [item.event.rejected for item in done],
    )


@tables.on(ImportFailed)
async def import_failed(db: Db, events: Sequence[Recorded[ImportFailed]]) -> None:
    """The imports stand, with nobody in them."""
    await db.execute(
        "insert into imports (import_id, account_id, position, status, record_count, skipped, rejected, created_at) "
        "select import_id, account_id, position, 'failed', 0, 0, 0, at "
        "from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::timestamptz[]) "
        "as f (import_id, account_id, position, at) on conflict do nothing",
        [item.event.import_id for item in events],
        [item.account_id for item in events],
        [item.position for item in events],
        [item.business_at for item in events],
    )


@tables.on(ImportDeleted)
async def import_deleted(db: Db, events: Sequence[Recorded[ImportDeleted]]) -> None:
    """The imports are gone, and their contacts with them: the contacts' own events come later."""
    gone = first_of(events, lambda event: event.import_id)
    ids, times = [item.event.import_id for item in gone], [item.business_at for item in gone]
    await db.execute(
        "update imports i set deleted_at = d.at from unnest($1::uuid[], $2::timestamptz[]) as d (import_id, at) "
        "where i.import_id = d.import_id",
        ids,
        times,
    )
    await db.execute(GONE_WITH_IMPORT, ids, times)


@tables.on(ContactAdded)
async def contact_added(db: Db, events: Sequence[Recorded[ContactAdded]]) -> None:
    """The contacts stand, and their imports count them."""
    await db.execute(
        "insert into contacts (contact_id, account_id, import_id, address_key, position, created_at) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::timestamptz[]) "
        "on conflict do nothing",
        [item.event.contact_id for item in events],
        [item.account_id for item in events],
        [item.event.import_id for item in events],
        [item.event.address_key for item in events],
        [item.position for item in events],
        [item.business_at for item in events],
    )
    counted = _counted(item.event.import_id for item in events)
    await db.execute(
        "insert into import_counts as c (import_id, added) select * from unnest($1::uuid[], $2::int[]) "
        "on conflict (import_id) do update set added = c.added + excluded.added",
        list(counted),
        list(counted.values()),
    )


def _counted(imports: Iterable[UUID | None]) -> Counter[UUID]:
    return Counter(one for one in imports if one is not None)


@tables.on(ContactChanged)
async def contact_changed(db: Db, events: Sequence[Recorded[ContactChanged]]) -> None:
    """The contacts are found by their last address; what bounced at a former one is shown no more."""
    changed = last_of(events, lambda event: event.contact_id)
    await db.execute(
        "update contacts c set address_key = n.address_key "
        "from unnest($1::uuid[], $2::text[]) as n (contact_id, address_key) where c.contact_id = n.contact_id",
        [item.event.contact_id for item in changed],
        [item.event.address_key for item in changed],
    )
    await db.execute(
        "update contacts set bounced_at = null, bounce_reason = null where contact_id = any($1)",
        [item.event.contact_id for item in events if item.event.is_moved],
    )


@tables.on(ContactDeleted)
async def contact_deleted(db: Db, events: Sequence[Recorded[ContactDeleted]]) -> None:
    """The contacts are gone; their enrollments still count."""
    gone = first_of(events, lambda event: event.contact_id)
    await db.execute(GONE, [item.event.contact_id for item in gone], [item.business_at for item in gone])


@tables.on(ContactForgotten)
async def contact_forgotten(db: Db, events: Sequence[Recorded[ContactForgotten]]) -> None:
    """There is a receipt of each, and nobody finds it by its address."""
    await db.execute(
        "insert into erasures (contact_id, account_id, position, erased_at, removed, suppressed) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::timestamptz[], $5::jsonb[], $6::boolean[]) "
        "on conflict do nothing",
        [item.event.contact_id for item in events],
        [item.account_id for item in events],
        [item.position for item in events],
        [item.business_at for item in events],
        [item.event.removed for item in events],
        [item.event.suppressed for item in events],
    )


@tables.on(ContactUnsubscribed)
async def contact_unsubscribed(db: Db, events: Sequence[Recorded[ContactUnsubscribed]]) -> None:
    """The contacts show when, and so does the enrollment whose message it came from."""
    asked = first_of(events, lambda event: event.contact_id)
    await db.execute(
        "update contacts c set unsubscribed_at = coalesce(c.unsubscribed_at, u.at) "
        "from unnest($1::uuid[], $2::timestamptz[]) as u (contact_id, at) where c.contact_id = u.contact_id",
        [item.event.contact_id for item in asked],
        [item.business_at for item in asked],
    )
    by_message = first_of(events, lambda event: event.delivery_id)
    await db.execute(
        UNSUBSCRIBED_BY_MESSAGE,
        [item.event.delivery_id for item in by_message],
        [item.business_at for item in by_message],
    )
