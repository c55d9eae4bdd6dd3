"""What the log says, read past every service: the other half of a story whose first half is the sandbox's record."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from outrider.events.campaign import BatchDispatched, CampaignPaused, CampaignResumed, StepsRetimed
from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryEvent,
    DeliveryFailed,
    DeliveryStarted,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
)
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentReplied,
    EnrollmentStopped,
    EnrollmentUnsubscribed,
    StepsScheduled,
)
from outrider.events.ids import delivery_id
from outrider.events.message import Event

__all__ = ["Outcomes", "dump", "outcomes", "recorded"]

ENDS = (EnrollmentReplied, EnrollmentBounced, EnrollmentUnsubscribed, EnrollmentStopped)
READ: tuple[type[Event], ...] = (
    *(BatchDispatched, CampaignPaused, CampaignResumed, StepsRetimed, StepsScheduled),
    *ENDS,
    *(DeliveryStarted, EmailSent, EmailBounced, DeliveryDeferred, DeliveryFailed, DeliveryUnknown),
)
EVENTS = """
    select type, type_version, data::text
    from log.events
    where data->>'campaign_id' = $1 and type = any($2)
    order by position
"""
TABLES = """
    select table_schema, table_name
    from information_schema.tables
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')
    order by 1, 2
"""


@dataclass(frozen=True)
class Outcomes:
    """What became of every planned step of a campaign."""

    planned: frozenset[UUID]
    ended: frozenset[UUID]
    """Planned, but the person had replied, bounced or opted out."""
    sent: frozenset[UUID]
    unknown: frozenset[UUID]
    bounced: frozenset[UUID]
    claims: Mapping[UUID, int]
    """How often each was claimed."""

    @property
    def settled(self) -> frozenset[UUID]:
        """Those of which is known, or known not to be knowable, whether they were mailed."""
        return self.sent | self.unknown | self.bounced


async def recorded(url: str, campaign_id: str) -> Sequence[Event]:
    """Answer the events of the campaign that are read here, in the order of the log."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(EVENTS, campaign_id, [kind.name for kind in READ])
    finally:
        await connection.close()
    return [Event.load(str(row["type"]), int(row["type_version"]), json.loads(row["data"])) for row in rows]


async def outcomes(url: str, campaign_id: str) -> Outcomes:
    """Answer what became of every step that was planned."""
    planned: dict[UUID, UUID] = {}
    ended: set[UUID] = set()
    by_type: dict[type[Event], set[UUID]] = defaultdict(set)
    claims: dict[UUID, int] = defaultdict(int)
    for event in await recorded(url, campaign_id):
        if isinstance(event, StepsScheduled):
            planned |= {delivery_id(event.enrollment_id, step.position): event.enrollment_id for step in event.steps}
        elif isinstance(event, ENDS):
            ended.add(event.enrollment_id)
        elif isinstance(event, DeliveryEvent):
            by_type[type(event)].add(event.delivery_id)
            claims[event.delivery_id] += isinstance(event, DeliveryStarted)
    sent = frozenset(by_type[EmailSent])
    unknown = frozenset(by_type[DeliveryUnknown]) - sent  # a late outcome settles it
    return Outcomes(
        planned=frozenset(planned),
        ended=frozenset(delivery for delivery, enrollment in planned.items() if enrollment in ended),
        sent=sent,
        unknown=unknown,
        bounced=frozenset(by_type[EmailBounced]),
        claims=claims,
    )


async def dump(url: str) -> Mapping[str, str]:
    """Answer the text of every row of every table, by `schema.table`."""
    connection = await asyncpg.connect(url)
    try:
        found: dict[str, str] = {}
        for schema, table in await connection.fetch(TABLES):
            rows = await connection.fetch(f'select t::text as line from "{schema}"."{table}" t')  # noqa: S608  # names from the catalogue
            found[f"{schema}.{table}"] = "\n".join(row["line"] or "" for row in rows)
        return found
    finally:
        await connection.close()
