"""Facts about accounts, imports and contacts, from the log."""

from collections.abc import Sequence

from outrider.events.account import AccountOpened, PlanChanged
from outrider.events.contact import (
    AddressSuppressed,
    AddressUnsuppressed,
    ContactAdded,
    ContactChanged,
    ContactCorrected,
    ContactDeleted,
    ContactForgotten,
    ContactUnsubscribed,
    ImportDeleted,
    ImportFailed,
    ImportStarted,
)
from outrider.events.database import Db
from outrider.events.message import Recorded
from outrider.events.projector import Projection

NAME = "dispatcher.facts.v1"
people = Projection(NAME)


@people.on(AccountOpened)
async def account_opened(db: Db, events: Sequence[Recorded[AccountOpened]]) -> None:
    """It has its limit."""
    await db.execute(
        "insert into accounts (account_id, monthly_limit) select * from unnest($1::uuid[], $2::bigint[])",
        [item.event.account_id for item in events],
        [item.event.monthly_limit for item in events],
    )


@people.on(PlanChanged)
async def plan_changed(db: Db, events: Sequence[Recorded[PlanChanged]]) -> None:
    """It has another limit: the last one of the run."""
    last = {item.event.account_id: item.event.monthly_limit for item in events}
    await db.execute(
        "update accounts a set monthly_limit = n.monthly_limit "
        "from unnest($1::uuid[], $2::bigint[]) as n (account_id, monthly_limit) where a.account_id = n.account_id",
        list(last),
        list(last.values()),
    )


@people.on(ImportStarted, ImportFailed)
async def import_begun(db: Db, events: Sequence[Recorded[ImportStarted | ImportFailed]]) -> None:
    """It can be enrolled; in one that failed is nobody."""
    await db.execute(
        "insert into imports (import_id, account_id) select * from unnest($1::uuid[], $2::uuid[])",
        [item.event.import_id for item in events],
        [item.account_id for item in events],
    )


@people.on(ImportDeleted)
async def import_deleted(db: Db, events: Sequence[Recorded[ImportDeleted]]) -> None:
    """It can be enrolled no more."""
    await db.execute(
        "update imports set deleted = true where import_id = any($1)", [item.event.import_id for item in events]
    )


@people.on(ContactAdded)
async def contact_added(db: Db, events: Sequence[Recorded[ContactAdded]]) -> None:
    """It can be enrolled."""
    await db.execute(
        "insert into contacts (contact_id, account_id, import_id, address_key, added, version, domain_key) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::int[], $7::text[])",
        [item.event.contact_id for item in events],
        [item.account_id for item in events],
        [item.event.import_id for item in events],
        [item.event.address_key for item in events],
        [item.position for item in events],
        [item.version for item in events],
        [item.event.domain_key for item in events],
    )


@people.on(ContactChanged)
async def contact_changed(db: Db, events: Sequence[Recorded[ContactChanged]]) -> None:
    """It is looked up by its last address; what bounced at a former one stands against it no more."""
    last = {item.event.contact_id: item for item in events}
    moved = {item.event.contact_id for item in events if item.event.is_moved}
    await db.execute(
        "update contacts c set address_key = n.address_key, domain_key = n.domain_key, version = n.version, "
        "bounced = c.bounced and not n.moved "
        "from unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::boolean[]) "
        "as n (contact_id, address_key, domain_key, version, moved) where c.contact_id = n.contact_id",
        list(last),
        [item.event.address_key for item in last.values()],
        [item.event.domain_key for item in last.values()],
        [item.version for item in last.values()],
        [found in moved for found in last],
    )


@people.on(ContactDeleted, ContactForgotten)
async def contact_gone(db: Db, events: Sequence[Recorded[ContactDeleted | ContactForgotten]]) -> None:
    """It can be enrolled no more; one that was deleted may be forgotten in the same run."""
    last = {item.event.contact_id: item.version for item in events}
    await db.execute(
        "update contacts c set deleted = true, version = n.version "
        "from unnest($1::uuid[], $2::int[]) as n (contact_id, version) where c.contact_id = n.contact_id",
        list(last),
        list(last.values()),
    )


@people.on(ContactUnsubscribed)
async def contact_unsubscribed(db: Db, events: Sequence[Recorded[ContactUnsubscribed]]) -> None:
    """It is skipped."""
    await db.execute(
        "update contacts c set unsubscribed = true, version = n.version "
        "from unnest($1::uuid[], $2::int[]) as n (contact_id, version) where c.contact_id = n.contact_id",
        [item.event.contact_id for item in events],
        [item.version for item in events],
    )


@people.on(ContactCorrected)
async def contact_corrected(db: Db, events: Sequence[Recorded[ContactCorrected]]) -> None:
    """What was only misread stands against it no more."""
    last = {item.event.contact_id: item.version for item in events}
    await db.execute(
        "update contacts c set version = n.version, unsubscribed = c.unsubscribed and not n.contact_id = any($3), "
        "bounced = c.bounced and not n.contact_id = any($4) "
        "from unnest($1::uuid[], $2::int[]) as n (contact_id, version) where c.contact_id = n.contact_id",
        list(last),
        list(last.values()),
        [item.event.contact_id for item in events if item.event.resubscribed],
        [item.event.contact_id for item in events if item.event.reachable],
    )


@people.on(AddressSuppressed)
async def address_suppressed(db: Db, events: Sequence[Recorded[AddressSuppressed]]) -> None:
    """Its contact is skipped."""
    await db.execute(
        "insert into suppressions (suppression_id, account_id, address_key) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::text[]) on conflict do nothing",
        [item.event.suppression_id for item in events],
        [item.account_id for item in events],
        [item.event.address_key for item in events],
    )


@people.on(AddressUnsuppressed)
async def address_unsuppressed(db: Db, events: Sequence[Recorded[AddressUnsuppressed]]) -> None:
    """Its contact is skipped no more."""
    await db.execute(
        "delete from suppressions where suppression_id = any($1)", [item.event.suppression_id for item in events]
    )
