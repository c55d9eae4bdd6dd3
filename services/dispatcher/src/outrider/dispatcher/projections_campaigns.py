"""Facts about campaigns and their credentials, from the log."""

import json
from collections.abc import Sequence

from outrider.dispatcher.projections_people import NAME
from outrider.events.campaign import (
    CampaignActivated,
    CampaignChanged,
    CampaignCreated,
    CampaignDeleted,
    CampaignPaused,
    CampaignResumed,
    StepsChanged,
)
from outrider.events.credential import (
    CredentialAdded,
    CredentialChanged,
    CredentialDisabled,
    CredentialReenabled,
    CredentialRemoved,
)
from outrider.events.database import Db
from outrider.events.message import Recorded
from outrider.events.projector import Projection

campaigns = Projection(NAME)


@campaigns.on(CampaignCreated)
async def campaign_created(db: Db, events: Sequence[Recorded[CampaignCreated]]) -> None:
    """It is pending."""
    await db.execute(
        "insert into campaigns (campaign_id, account_id, status, settings, steps) "
        "select campaign_id, account_id, 'pending', settings, steps "
        "from unnest($1::uuid[], $2::uuid[], $3::jsonb[], $4::jsonb[]) as n (campaign_id, account_id, settings, steps)",
        [item.event.campaign_id for item in events],
        [item.account_id for item in events],
        [item.event.settings.as_json() for item in events],
        [
            json.dumps([step.as_json() for step in item.event.steps]) for item in events
        ],  # a list would be taken for rows
    )


@campaigns.on(CampaignChanged)
async def campaign_changed(db: Db, events: Sequence[Recorded[CampaignChanged]]) -> None:
    """It has other settings: the last ones of the run."""
    last = {item.event.campaign_id: item.event.settings.as_json() for item in events}
    await db.execute(
        "update campaigns c set settings = n.settings "
        "from unnest($1::uuid[], $2::jsonb[]) as n (campaign_id, settings) where c.campaign_id = n.campaign_id",
        list(last),
        list(last.values()),
    )


@campaigns.on(StepsChanged)
async def steps_changed(db: Db, events: Sequence[Recorded[StepsChanged]]) -> None:
    """It has these steps: the last ones of the run."""
    last = {item.event.campaign_id: item.event.steps for item in events}
    await db.execute(
        "update campaigns c set steps = n.steps from unnest($1::uuid[], $2::jsonb[]) as n (campaign_id, steps) "
        "where c.campaign_id = n.campaign_id",
        list(last),
        [json.dumps([step.as_json() for step in steps]) for steps in last.values()],
    )


@campaigns.on(CampaignActivated, CampaignResumed)
async def campaign_active(db: Db, events: Sequence[Recorded[CampaignActivated | CampaignResumed]]) -> None:
    """It is active."""
    await _status(db, "active", events)


@campaigns.on(CampaignPaused)
async def campaign_paused(db: Db, events: Sequence[Recorded[CampaignPaused]]) -> None:
    """It is paused."""
    await _status(db, "paused", events)


@campaigns.on(CampaignDeleted)
async def campaign_deleted(db: Db, events: Sequence[Recorded[CampaignDeleted]]) -> None:
    """It is gone."""
    await _status(db, "deleted", events)


async def _status(
    db: Db,
    status: str,
    events: Sequence[Recorded[CampaignActivated | CampaignResumed]]
    | Sequence[Recorded[CampaignPaused]]
    | Sequence[Recorded[CampaignDeleted]],
) -> None:
    await db.execute(
        "update campaigns set status = $1 where campaign_id = any($2)",
        status,
        [item.event.campaign_id for item in events],
    )


@campaigns.on(CredentialAdded)
async def credential_added(db: Db, events: Sequence[Recorded[CredentialAdded]]) -> None:
    """It may be mailed through."""
    await db.execute(
        "insert into credentials (credential_id, campaign_id, account_id, daily_limit, follow_ups_exempt, enabled_at) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::boolean[], $6::timestamptz[])",
        [item.event.credential_id for item in events],
        [item.event.campaign_id for item in events],
        [item.account_id for item in events],
        [item.event.daily_limit for item in events],
        [item.event.follow_ups_exempt for item in events],
        [item.business_at for item in events],
    )


@campaigns.on(CredentialChanged)
async def credential_changed(db: Db, events: Sequence[Recorded[CredentialChanged]]) -> None:
    """It has other limits: the last ones of the run."""
    last = {item.event.credential_id: item.event for item in events}
    await db.execute(
        "update credentials c set daily_limit = n.daily_limit, follow_ups_exempt = n.follow_ups_exempt "
        "from unnest($1::uuid[], $2::int[], $3::boolean[]) as n (credential_id, daily_limit, follow_ups_exempt) "
        "where c.credential_id = n.credential_id",
        list(last),
        [event.daily_limit for event in last.values()],
        [event.follow_ups_exempt for event in last.values()],
    )


@campaigns.on(CredentialDisabled)
async def credential_disabled(db: Db, events: Sequence[Recorded[CredentialDisabled]]) -> None:
    """It may not be mailed through."""
    await db.execute(
        "update credentials set usable = false where credential_id = any($1)",
        [item.event.credential_id for item in events],
    )


@campaigns.on(CredentialReenabled)
async def credential_reenabled(db: Db, events: Sequence[Recorded[CredentialReenabled]]) -> None:
    """It may be mailed through, and its bounce rule starts anew."""
    await db.execute(
        "update credentials c set usable = not c.removed, sends = 0, bounces = 0, enabled_at = n.enabled_at "
        "from unnest($1::uuid[], $2::timestamptz[]) as n (credential_id, enabled_at) "
        "where c.credential_id = n.credential_id",
        [item.event.credential_id for item in events],
        [item.business_at for item in events],
    )


@campaigns.on(CredentialRemoved)
async def credential_removed(db: Db, events: Sequence[Recorded[CredentialRemoved]]) -> None:
    """It is gone."""
    await db.execute(
        "update credentials set usable = false, removed = true where credential_id = any($1)",
        [item.event.credential_id for item in events],
    )
