"""What the reply-watcher knows: mailboxes to watch, and whom each message of ours went to. Kept from the log."""

from collections.abc import Sequence

from outrider.events.campaign import CampaignDeleted
from outrider.events.credential import CredentialAdded, CredentialChanged, CredentialReenabled, CredentialRemoved
from outrider.events.database import Db
from outrider.events.delivery import DeliveryStarted
from outrider.events.message import Recorded
from outrider.events.projector import Projection

watching = Projection("reply_watcher.watching.v1")


@watching.on(CredentialAdded)
async def credential_added(db: Db, events: Sequence[Recorded[CredentialAdded]]) -> None:
    """Its mailbox is watched, if it has one."""
    await _watch(db, events)


@watching.on(CredentialChanged)
async def credential_changed(db: Db, events: Sequence[Recorded[CredentialChanged]]) -> None:
    """Its mailbox is watched as it is now: another one, with another password, or none."""
    await _watch(db, events)


async def _watch(db: Db, events: Sequence[Recorded[CredentialAdded]] | Sequence[Recorded[CredentialChanged]]) -> None:
    newest = {item.event.credential_id: item for item in events}
    gone = [credential for credential, item in newest.items() if item.event.mailbox_id is None]
    here = [item for item in newest.values() if item.event.mailbox_id is not None]
    await db.execute("delete from mailboxes where credential_id = any($1)", gone)
    await db.execute(
        "insert into mailboxes (credential_id, mailbox_id, account_id, campaign_id, version, since) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::int[], $6::timestamptz[]) "
        "on conflict (credential_id) do update set mailbox_id = excluded.mailbox_id, version = excluded.version",
        [item.event.credential_id for item in here],
        [item.event.mailbox_id for item in here],
        [item.account_id for item in here],
        [item.event.campaign_id for item in here],
        [item.version for item in here],
        [item.recorded_at for item in here],
    )


@watching.on(CredentialReenabled)
async def credential_reenabled(db: Db, events: Sequence[Recorded[CredentialReenabled]]) -> None:
    """Its mailbox is tried again at once."""
    await db.execute(
        "update mailboxes m set version = n.version from unnest($1::uuid[], $2::int[]) as n (credential_id, version) "
        "where m.credential_id = n.credential_id",
        [item.event.credential_id for item in events],
        [item.version for item in events],
    )


@watching.on(CredentialRemoved)
async def credential_removed(db: Db, events: Sequence[Recorded[CredentialRemoved]]) -> None:
    """Its mailbox is watched no more on its account."""
    await db.execute(
        "delete from mailboxes where credential_id = any($1)", [item.event.credential_id for item in events]
    )


@watching.on(CampaignDeleted)
async def campaign_deleted(db: Db, events: Sequence[Recorded[CampaignDeleted]]) -> None:
    """Its mailboxes are watched no more on its account, and nothing that comes back matches it."""
    campaigns = [item.event.campaign_id for item in events]
    await db.execute("delete from mailboxes where campaign_id = any($1)", campaigns)
    await db.execute("delete from deliveries where campaign_id = any($1)", campaigns)


@watching.on(DeliveryStarted)
async def delivery_started(db: Db, events: Sequence[Recorded[DeliveryStarted]]) -> None:
    """An answer to it can be told to whom it belongs; a further attempt changes nothing."""
    await db.execute(
        "insert into deliveries "
        "(delivery_id, account_id, enrollment_id, campaign_id, contact_id, credential_id, position) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::smallint[]) "
        "on conflict (delivery_id) do nothing",
        [item.event.delivery_id for item in events],
        [item.account_id for item in events],
        [item.event.enrollment_id for item in events],
        [item.event.campaign_id for item in events],
        [item.event.contact_id for item in events],
        [item.event.credential_id for item in events],
        [item.event.position for item in events],
    )
