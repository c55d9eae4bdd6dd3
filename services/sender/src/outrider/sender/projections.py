"""What the sender knows before it claims: gates, campaigns, credentials. Kept from the log."""

from collections.abc import Sequence
from typing import Any

from outrider.events import campaign, contact, credential, delivery, enrollment, inbound
from outrider.events.campaign import CampaignChanged, CampaignCreated, StepsChanged
from outrider.events.credential import CredentialAdded, CredentialChanged
from outrider.events.database import Db
from outrider.events.gates import effect
from outrider.events.message import Event, Recorded
from outrider.events.projector import Projection

sending = Projection("sender.sending.v1")

ASSERTED = frozenset({"campaign", "enrollment", "contact", "inbound", "credential", "address", "delivery"})
"""The categories whose streams a claim asserts: every event of theirs moves a version."""


async def _gates(db: Db, events: Sequence[Recorded[Any]]) -> None:
    """Each stream stands at its newest version, closed or open as its last event that says so."""
    events = [item for item in events if item.stream.partition("-")[0] in ASSERTED]
    newest = {item.stream: item.version for item in events}
    effects = {item.stream: found for item in events if (found := effect(item.event)) is not None}
    await db.execute(
        "insert into gates (stream, version, closed) "
        "select stream, version, coalesce(closed, '') from unnest($1::text[], $2::int[], $3::text[]) "
        "as n (stream, version, closed) "
        "on conflict (stream) do update set version = excluded.version, "
        "closed = case when excluded.stream = any($4) then excluded.closed else gates.closed end",
        list(newest),
        list(newest.values()),
        [effects.get(stream) for stream in newest],
        list(effects),
    )


@sending.on(CampaignCreated)
async def campaign_created(db: Db, events: Sequence[Recorded[CampaignCreated]]) -> None:
    """Its settings and steps are known."""
    await _gates(db, events)
    await db.execute(
        "insert into campaigns (campaign_id, account_id, settings, steps) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::jsonb[], $4::jsonb[]) on conflict (campaign_id) do nothing",
        [item.event.campaign_id for item in events],
        [item.account_id for item in events],
        [item.event.settings.as_json() for item in events],
        [{"steps": [step.as_json() for step in item.event.steps]} for item in events],
    )


@sending.on(CampaignChanged)
async def campaign_changed(db: Db, events: Sequence[Recorded[CampaignChanged]]) -> None:
    """The newest settings hold."""
    await _gates(db, events)
    newest = {item.event.campaign_id: item.event.settings.as_json() for item in events}
    await db.execute(
        "update campaigns c set settings = n.settings from unnest($1::uuid[], $2::jsonb[]) "
        "as n (campaign_id, settings) where c.campaign_id = n.campaign_id",
        list(newest),
        list(newest.values()),
    )


@sending.on(StepsChanged)
async def steps_changed(db: Db, events: Sequence[Recorded[StepsChanged]]) -> None:
    """The newest steps hold."""
    await _gates(db, events)
    newest = {item.event.campaign_id: item.event.steps for item in events}
    await db.execute(
        "update campaigns c set steps = n.steps from unnest($1::uuid[], $2::jsonb[]) "
        "as n (campaign_id, steps) where c.campaign_id = n.campaign_id",
        list(newest),
        [{"steps": [step.as_json() for step in steps]} for steps in newest.values()],
    )


@sending.on(CredentialAdded)
async def credential_added(db: Db, events: Sequence[Recorded[CredentialAdded]]) -> None:
    """Its limits are known."""
    await _limits(db, events)


@sending.on(CredentialChanged)
async def credential_changed(db: Db, events: Sequence[Recorded[CredentialChanged]]) -> None:
    """The newest limits hold."""
    await _limits(db, events)


async def _limits(db: Db, events: Sequence[Recorded[CredentialAdded]] | Sequence[Recorded[CredentialChanged]]) -> None:
    await _gates(db, events)
    newest = {item.event.credential_id: item.event for item in events}
    await db.execute(
        "insert into credentials (credential_id, campaign_id, daily_limit, follow_ups_exempt) "
        "select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::boolean[]) on conflict (credential_id) do update "
        "set daily_limit = excluded.daily_limit, follow_ups_exempt = excluded.follow_ups_exempt",
        list(newest),
        [event.campaign_id for event in newest.values()],
        [event.daily_limit for event in newest.values()],
        [event.follow_ups_exempt for event in newest.values()],
    )


def _others() -> list[type[Event]]:
    """Every other event type of the asserted categories, wherever it was declared."""
    modules = {module.__name__ for module in (campaign, contact, credential, delivery, enrollment, inbound)}
    return [kind for name, kind in Event.types.items() if kind.__module__ in modules and name not in sending.handlers]


sending.on(*_others())(_gates)
