"""What the reply-watcher knows: mailboxes to watch, and whom each message of ours went to. Kept from the log."""

from collections.abc import Sequence

from outrider.events.campaign import CampaignChanged, CampaignCreated, CampaignDeleted
from outrider.events.contact import ContactAdded, ContactChanged, ContactDeleted, ContactForgotten
from outrider.events.credential import CredentialAdded, CredentialChanged, CredentialReenabled, CredentialRemoved
from outrider.events.database import Db
from outrider.events.delivery import DeliveryStarted
from outrider.events.message import Recorded
from outrider.events.projector import Projection

watching = Projection("reply_watcher.watching.v1")


@watching.on(CredentialAdded)
async def credential_added(db: Db, events: Sequence[Recorded[CredentialAdded]]) -> None:
    """Its mailbox is watched, if it has one; answers to what it mails can come from now on."""
    await db.execute(
        "insert into mailboxes (credential_id, mailbox_id, account_id, campaign_id, changed, since) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::timestamptz[]) "
        "on conflict (credential_id) do nothing",
        [item.event.credential_id for item in events],
        [item.event.mailbox_id for item in events],
        [item.account_id for item in events],
        [item.event.campaign_id for item in events],
        [item.position for item in events],
        [item.recorded_at for item in events],
    )


@watching.on(CredentialChanged)
async def credential_changed(db: Db, events: Sequence[Recorded[CredentialChanged]]) -> None:
    """Its mailbox is watched as it is now: another one, with another password, or none."""
    newest = {item.event.credential_id: item for item in events}
    await db.execute(
        "update mailboxes m set mailbox_id = n.mailbox_id, changed = n.changed "
        "from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as n (credential_id, mailbox_id, changed) "
        "where m.credential_id = n.credential_id",
        list(newest),
        [item.event.mailbox_id for item in newest.values()],
        [item.position for item in newest.values()],
    )


@watching.on(CredentialReenabled)
async def credential_reenabled(db: Db, events: Sequence[Recorded[CredentialReenabled]]) -> None:
    """Its mailbox is tried again at once."""
    newest = {item.event.credential_id: item.position for item in events}
    await db.execute(
        "update mailboxes m set changed = n.changed "
        "from unnest($1::uuid[], $2::bigint[]) as n (credential_id, changed) "
        "where m.credential_id = n.credential_id",
        list(newest),
        list(newest.values()),
    )


@watching.on(CredentialRemoved)
async def credential_removed(db: Db, events: Sequence[Recorded[CredentialRemoved]]) -> None:
    """Its mailbox is watched no more on its account."""
    await db.execute(
        "delete from mailboxes where credential_id = any($1)", [item.event.credential_id for item in events]
    )


@watching.on(CampaignDeleted)
async def campaign_deleted(db: Db, events: Sequence[Recorded[CampaignDeleted]]) -> None:
    """Its mailboxes are watched no more on its account; a late answer, perhaps an opt-out, is matched by the log."""
    campaigns = [item.event.campaign_id for item in events]
    await db.execute("delete from mailboxes where campaign_id = any($1)", campaigns)
    await db.execute("delete from deliveries where campaign_id = any($1)", campaigns)
    await db.execute("delete from campaigns where campaign_id = any($1)", campaigns)


@watching.on(CampaignCreated, CampaignChanged)
async def campaign_set(db: Db, events: Sequence[Recorded[CampaignCreated | CampaignChanged]]) -> None:
    """Whether a reply that is only suspected stops its enrollments: as it was said last."""
    newest = {item.event.campaign_id: item.event.settings.stop_on_suspected_reply for item in events}
    await db.execute(
        "insert into campaigns (campaign_id, stop_on_suspected_reply) select * from unnest($1::uuid[], $2::boolean[]) "
        "on conflict (campaign_id) do update set stop_on_suspected_reply = excluded.stop_on_suspected_reply",
        list(newest),
        list(newest.values()),
    )


@watching.on(ContactAdded, ContactChanged)
async def contact_set(db: Db, events: Sequence[Recorded[ContactAdded | ContactChanged]]) -> None:
    """Its answers are told by this address too."""
    await db.execute(
        "insert into contacts (contact_id, account_id, address_key) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::text[]) on conflict do nothing",
        [item.event.contact_id for item in events],
        [item.account_id for item in events],
        [item.event.address_key for item in events],
    )


@watching.on(ContactDeleted, ContactForgotten)
async def contact_gone(db: Db, events: Sequence[Recorded[ContactDeleted | ContactForgotten]]) -> None:
    """Nothing is suspected of it any more."""
    await db.execute("delete from contacts where contact_id = any($1)", [item.event.contact_id for item in events])


@watching.on(DeliveryStarted)
async def delivery_started(db: Db, events: Sequence[Recorded[DeliveryStarted]]) -> None:
    """An answer to it can be told to whom it belongs; a further attempt changes nothing."""
    await db.execute(
        "insert into deliveries "
        "(delivery_id, account_id, enrollment_id, campaign_id, contact_id, credential_id, position, template_version, "
        "started_at) select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], "
        "$7::smallint[], $8::bigint[], $9::timestamptz[]) "
        "on conflict (delivery_id) do nothing",
        [item.event.delivery_id for item in events],
        [item.account_id for item in events],
        [item.event.enrollment_id for item in events],
        [item.event.campaign_id for item in events],
        [item.event.contact_id for item in events],
        [item.event.credential_id for item in events],
        [item.event.position for item in events],
        [item.event.template_version for item in events],
        [item.recorded_at for item in events],
    )
