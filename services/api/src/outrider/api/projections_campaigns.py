"""Campaigns, credentials, batches and skips."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from outrider.api.projection import first_of, last_of, tables
from outrider.events.campaign import (
    BatchDispatched,
    CampaignActivated,
    CampaignChanged,
    CampaignCompleted,
    CampaignCreated,
    CampaignDeleted,
    CampaignPaused,
    CampaignReopened,
    CampaignResumed,
    StepsChanged,
)
from outrider.events.credential import (
    CredentialAdded,
    CredentialChanged,
    CredentialDisabled,
    CredentialReenabled,
    CredentialRemoved,
    QuotaClaimed,
    QuotaReleased,
)
from outrider.events.database import Db
from outrider.events.mailbox import MailboxOpened, MailboxRefused
from outrider.events.message import Recorded

ADD_CREDENTIALS = """
insert into credentials
    (credential_id, campaign_id, account_id, position, daily_limit, follow_ups_exempt, mailbox_id, created_at)
select * from unnest
    ($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::int[], $6::boolean[], $7::uuid[], $8::timestamptz[])
on conflict do nothing
"""
CHANGE_CREDENTIALS = """
update credentials c
set daily_limit = n.daily_limit, follow_ups_exempt = n.follow_ups_exempt, mailbox_id = n.mailbox_id
from unnest($1::uuid[], $2::int[], $3::boolean[], $4::uuid[])
    as n (credential_id, daily_limit, follow_ups_exempt, mailbox_id)
where c.credential_id = n.credential_id
"""


@tables.on(CampaignCreated)
async def campaign_created(db: Db, events: Sequence[Recorded[CampaignCreated]]) -> None:
    """The campaigns stand, pending, with their counters at zero."""
    await db.execute(
        "insert into campaigns (campaign_id, account_id, position, settings, steps, created_at) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::jsonb[], $5::jsonb[], $6::timestamptz[]) "
        "on conflict do nothing",
        [item.event.campaign_id for item in events],
        [item.account_id for item in events],
        [item.position for item in events],
        [item.event.settings.as_json() for item in events],
        [json.dumps([step.as_json() for step in item.event.steps]) for item in events],  # a list would be a dimension
        [item.business_at for item in events],
    )
    await db.execute(
        "insert into campaign_counts (campaign_id) select unnest($1::uuid[]) on conflict do nothing",
        [item.event.campaign_id for item in events],
    )


@tables.on(CampaignChanged)
async def campaign_changed(db: Db, events: Sequence[Recorded[CampaignChanged]]) -> None:
    """The last settings of each campaign hold."""
    changed = last_of(events, lambda event: event.campaign_id)
    await db.execute(
        "update campaigns c set settings = n.settings from unnest($1::uuid[], $2::jsonb[]) "
        "as n (campaign_id, settings) where c.campaign_id = n.campaign_id",
        [item.event.campaign_id for item in changed],
        [item.event.settings.as_json() for item in changed],
    )


@tables.on(StepsChanged)
async def steps_changed(db: Db, events: Sequence[Recorded[StepsChanged]]) -> None:
    """The last steps of each campaign hold."""
    changed = last_of(events, lambda event: event.campaign_id)
    await db.execute(
        "update campaigns c set steps = n.steps from unnest($1::uuid[], $2::jsonb[]) as n (campaign_id, steps) "
        "where c.campaign_id = n.campaign_id",
        [item.event.campaign_id for item in changed],
        [json.dumps([step.as_json() for step in item.event.steps]) for item in changed],
    )


@tables.on(CampaignActivated)
async def campaign_activated(db: Db, events: Sequence[Recorded[CampaignActivated]]) -> None:
    """The campaigns are active."""
    await _set_status(db, [item.event.campaign_id for item in events], "active")


@tables.on(CampaignResumed)
async def campaign_resumed(db: Db, events: Sequence[Recorded[CampaignResumed]]) -> None:
    """The campaigns are active again."""
    await _set_status(db, [item.event.campaign_id for item in events], "active")


@tables.on(CampaignPaused)
async def campaign_paused(db: Db, events: Sequence[Recorded[CampaignPaused]]) -> None:
    """The campaigns are paused."""
    await _set_status(db, [item.event.campaign_id for item in events], "paused")


async def _set_status(db: Db, campaigns: Sequence[object], status: Literal["active", "paused"]) -> None:
    await db.execute("update campaigns set status = $2 where campaign_id = any($1)", list(campaigns), status)


@tables.on(CampaignCompleted)
async def campaign_completed(db: Db, events: Sequence[Recorded[CampaignCompleted]]) -> None:
    """No enrollment of these has a step left."""
    done = last_of(events, lambda event: event.campaign_id)
    await db.execute(
        "update campaigns c set completed_at = d.at from unnest($1::uuid[], $2::timestamptz[]) as d (campaign_id, at) "
        "where c.campaign_id = d.campaign_id",
        [item.event.campaign_id for item in done],
        [item.business_at for item in done],
    )


@tables.on(CampaignReopened)
async def campaign_reopened(db: Db, events: Sequence[Recorded[CampaignReopened]]) -> None:
    """Something of these is to be sent after all."""
    await _complete_no_more(db, [item.event.campaign_id for item in events])


async def _complete_no_more(db: Db, campaigns: Sequence[UUID]) -> None:
    await db.execute(
        "update campaigns set completed_at = null where campaign_id = any($1) and completed_at is not null",
        list(campaigns),
    )


@tables.on(CampaignDeleted)
async def campaign_deleted(db: Db, events: Sequence[Recorded[CampaignDeleted]]) -> None:
    """The campaigns are answered no more, nor is anything of theirs; what they sent stays counted."""
    gone = first_of(events, lambda event: event.campaign_id)
    await db.execute(
        "update campaigns c set deleted_at = d.at from unnest($1::uuid[], $2::timestamptz[]) as d (campaign_id, at) "
        "where c.campaign_id = d.campaign_id",
        [item.event.campaign_id for item in gone],
        [item.business_at for item in gone],
    )
    await db.execute(
        "update planned_steps set open = false where campaign_id = any($1) and open",
        [item.event.campaign_id for item in gone],
    )


@tables.on(BatchDispatched)
async def batch_dispatched(db: Db, events: Sequence[Recorded[BatchDispatched]]) -> None:
    """The batches show their last dispatch; a campaign that was completed is so no more."""
    batches = last_of(events, lambda event: (event.campaign_id, event.batch_number))
    await db.execute(
        "insert into batches (campaign_id, batch_number, dispatched_at) "
        "select * from unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) "
        "on conflict (campaign_id, batch_number) do update set dispatched_at = excluded.dispatched_at",
        [item.event.campaign_id for item in batches],
        [item.event.batch_number for item in batches],
        [item.event.at for item in batches],
    )
    await _complete_no_more(db, [item.event.campaign_id for item in events])


@tables.on(CredentialAdded)
async def credential_added(db: Db, events: Sequence[Recorded[CredentialAdded]]) -> None:
    """The credentials stand in their campaigns."""
    await db.execute(
        ADD_CREDENTIALS,
        [item.event.credential_id for item in events],
        [item.event.campaign_id for item in events],
        [item.account_id for item in events],
        [item.position for item in events],
        [item.event.daily_limit for item in events],
        [item.event.follow_ups_exempt for item in events],
        [item.event.mailbox_id for item in events],
        [item.business_at for item in events],
    )


@tables.on(CredentialChanged)
async def credential_changed(db: Db, events: Sequence[Recorded[CredentialChanged]]) -> None:
    """The last limits of each credential hold."""
    changed = last_of(events, lambda event: event.credential_id)
    await db.execute(
        CHANGE_CREDENTIALS,
        [item.event.credential_id for item in changed],
        [item.event.daily_limit for item in changed],
        [item.event.follow_ups_exempt for item in changed],
        [item.event.mailbox_id for item in changed],
    )


@tables.on(CredentialDisabled)
async def credential_disabled(db: Db, events: Sequence[Recorded[CredentialDisabled]]) -> None:
    """The credentials show since when, and why."""
    disabled = last_of(events, lambda event: event.credential_id)
    await db.execute(
        "update credentials c set disabled_at = d.at, disabled_reason = d.reason "
        "from unnest($1::uuid[], $2::timestamptz[], $3::text[]) as d (credential_id, at, reason) "
        "where c.credential_id = d.credential_id",
        [item.event.credential_id for item in disabled],
        [item.business_at for item in disabled],
        [item.event.reason for item in disabled],
    )


@tables.on(CredentialReenabled)
async def credential_reenabled(db: Db, events: Sequence[Recorded[CredentialReenabled]]) -> None:
    """The credentials are usable."""
    await db.execute(
        "update credentials set disabled_at = null, disabled_reason = null where credential_id = any($1)",
        [item.event.credential_id for item in events],
    )


@tables.on(CredentialRemoved)
async def credential_removed(db: Db, events: Sequence[Recorded[CredentialRemoved]]) -> None:
    """The credentials are shown no more; what they sent stays counted."""
    gone = first_of(events, lambda event: event.credential_id)
    await db.execute(
        "update credentials c set removed_at = r.at from unnest($1::uuid[], $2::timestamptz[]) "
        "as r (credential_id, at) where c.credential_id = r.credential_id",
        [item.event.credential_id for item in gone],
        [item.business_at for item in gone],
    )


@tables.on(MailboxRefused)
async def mailbox_refused(db: Db, events: Sequence[Recorded[MailboxRefused]]) -> None:
    """The credentials show since when their mailbox refuses them."""
    refused = last_of(events, lambda event: event.credential_id)
    await db.execute(
        "update credentials c set imap_refused_at = r.at from unnest($1::uuid[], $2::timestamptz[]) "
        "as r (credential_id, at) where c.credential_id = r.credential_id",
        [item.event.credential_id for item in refused],
        [item.business_at for item in refused],
    )


@tables.on(MailboxOpened)
async def mailbox_opened(db: Db, events: Sequence[Recorded[MailboxOpened]]) -> None:
    """The credentials' mailboxes let us in."""
    await db.execute(
        "update credentials set imap_refused_at = null where credential_id = any($1)",
        [item.event.credential_id for item in events],
    )


@tables.on(QuotaClaimed)
async def quota_claimed(db: Db, events: Sequence[Recorded[QuotaClaimed]]) -> None:
    """The credentials' days have that much less left."""
    await _claim(db, events, 1)


@tables.on(QuotaReleased)
async def quota_released(db: Db, events: Sequence[Recorded[QuotaReleased]]) -> None:
    """The credentials' days have that much left again."""
    await _claim(db, events, -1)


async def _claim(db: Db, events: Sequence[Recorded[QuotaClaimed] | Recorded[QuotaReleased]], sign: int) -> None:
    claimed: Counter[tuple[object, object]] = Counter()
    for item in events:
        claimed[item.event.credential_id, item.event.day] += sign * item.event.counted
    await db.execute(
        "insert into credential_days as d (credential_id, day, claimed) "
        "select * from unnest($1::uuid[], $2::date[], $3::int[]) "
        "on conflict (credential_id, day) do update set claimed = d.claimed + excluded.claimed",
        [credential for credential, _ in claimed],
        [day for _, day in claimed],
        list(claimed.values()),
    )
