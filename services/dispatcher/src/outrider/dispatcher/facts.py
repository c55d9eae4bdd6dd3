"""What decisions need to know from outside their own stream, read from the projection just before they are taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from outrider.dispatcher.credential import BounceFacts
from outrider.dispatcher.pacing import Capacity
from outrider.events.campaign import CampaignSettings, StepPlan
from outrider.events.database import Pool
from outrider.events.enrollment import SkipKind

SKIP = """
case when c.unsubscribed then 'unsubscribed' when c.bounced then 'bounced'
    when exists (select from suppressions s where s.account_id = c.account_id
        and s.address_key in (c.address_key, c.domain_key))
    then 'suppressed' end
"""
SUPPRESSED = """
select c.contact_id from contacts c
where c.contact_id = any($1) and exists (
    select from suppressions s where s.account_id = c.account_id and s.address_key in (c.address_key, c.domain_key)
)
"""
PENDING = f"""
select e.enrollment_id, e.contact_id, e.priority, e.ordinal, e.created, e.version, {SKIP} as skip
from enrollments e
join contacts c on c.contact_id = e.contact_id
where e.campaign_id = $1 and e.batch_number = $2 and e.status = 'pending' and e.created < $3
order by e.priority desc, e.ordinal, e.created
"""  # noqa: S608  # constants
CREDENTIALS = """
select c.credential_id, c.daily_limit, c.follow_ups_exempt, coalesce(d.counted, 0) as claimed,
    coalesce(d.held, false) as held
from credentials c
left join credential_days d on d.credential_id = c.credential_id and d.day = $2
where c.campaign_id = $1 and c.usable
order by c.credential_id
"""
PLANNED = """
select credential_id, (greatest(due_at, $2) at time zone 'UTC')::date as day,
    count(*) filter (where position = 1) as first_steps, count(*) as steps
from steps
where campaign_id = $1 and state = 'open' and not (enrollment_id = any($3))
group by 1, 2
"""
LAST_STARTS = """
select e.credential_id, max(s.due_at) as at
from enrollments e
join steps s on s.enrollment_id = e.enrollment_id and s.position = 1
where e.campaign_id = $1 and e.batch_number = $2 and e.dispatch_id = $3
group by 1
"""
MAILED = "'started', 'sent', 'unknown', 'bounced'"
"""Steps of which a mail went out, or may have."""
UNMAILED = f"""
select e.outreach_id, e.campaign_id, e.contact_id
from enrollments e
where (e.enrollment_id = $1 or e.campaign_id = $2) and e.outreach_id is not null and not exists (
    select from steps s
    where s.enrollment_id = e.enrollment_id and s.state in ({MAILED})
)
"""  # noqa: S608  # constants
BOUNCES = """
select c.sends, c.bounces, (m.settings ->> 'bounce_min_sends')::int as min_sends,
    (m.settings ->> 'bounce_rate_threshold')::float8 as threshold
from credentials c
join campaigns m on m.campaign_id = c.campaign_id
where c.credential_id = $1
"""


@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """A campaign as the projection has it."""

    campaign_id: UUID
    account_id: UUID
    status: str
    settings: CampaignSettings
    steps: tuple[StepPlan, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """An enrollment that waits for its dispatch."""

    enrollment_id: UUID
    contact_id: UUID
    priority: bool
    version: int
    """Of its stream."""
    skip: SkipKind | None
    """Why it must not be planned."""


@dataclass(frozen=True, slots=True)
class CredentialUse:
    """A usable credential, what it has claimed today and what is planned for it by UTC day."""

    credential_id: UUID
    daily_limit: int
    follow_ups_exempt: bool
    claimed: int
    held: bool
    """Its server takes no more today."""
    first_steps: Mapping[date, int]
    steps: Mapping[date, int]

    def left(self, today: date) -> int:
        """What it may still send today, first steps planned for today taken off."""
        return 0 if self.held else max(0, self.daily_limit - self.claimed - self.first_steps.get(today, 0))

    def capacity(self, today: date) -> Capacity:
        """What the planner must know of it."""
        used = dict(self.first_steps if self.follow_ups_exempt else self.steps)
        used[today] = self.daily_limit if self.held else used.get(today, 0) + self.claimed
        return Capacity(self.credential_id, self.daily_limit, used, self.follow_ups_exempt)


async def campaign_facts(tables: Pool, campaign_id: UUID) -> CampaignFacts | None:
    """The campaign, deleted ones too."""
    row = await tables.fetchrow(
        "select campaign_id, account_id, status, settings, steps from campaigns where campaign_id = $1", campaign_id
    )
    if row is None:
        return None
    steps = tuple(StepPlan.model_validate(step) for step in row["steps"])
    settings = CampaignSettings.model_validate(row["settings"])
    return CampaignFacts(row["campaign_id"], row["account_id"], row["status"], settings, steps)


async def unmailed_of(
    tables: Pool, *, enrollment: UUID | None = None, campaign: UUID | None = None
) -> list[tuple[UUID, UUID, UUID]]:
    """(outreach, campaign, contact) of those that hold a contact and of which no mail went out, or may have."""
    rows = await tables.fetch(UNMAILED, enrollment, campaign)
    return [(row["outreach_id"], row["campaign_id"], row["contact_id"]) for row in rows]


async def is_suppressed(tables: Pool, account_id: UUID, address_key: str) -> bool:
    """Whether the address stands on the account's do-not-contact list."""
    return bool(
        await tables.fetchval(
            "select true from suppressions where account_id = $1 and address_key = $2 limit 1", account_id, address_key
        )
    )


async def suppressed_of(tables: Pool, contacts: Sequence[UUID]) -> set[UUID]:
    """Those among the contacts whose address or domain stands on the do-not-contact list of their account."""
    rows = await tables.fetch(SUPPRESSED, list(contacts))
    return {row["contact_id"] for row in rows}


async def suppressions_of(tables: Pool, account_id: UUID, address_keys: Sequence[str]) -> list[UUID]:
    """Every suppression of these addresses."""
    rows = await tables.fetch(
        "select suppression_id from suppressions where account_id = $1 and address_key = any($2)",
        account_id,
        list(address_keys),
    )
    return [row["suppression_id"] for row in rows]


async def skip_kind(tables: Pool, contact_id: UUID) -> SkipKind | None:
    """Why the contact must not be enrolled."""
    kind: SkipKind | None = await tables.fetchval(f"select {SKIP} from contacts c where contact_id = $1", contact_id)  # noqa: S608  # constants
    return kind


async def pending_by_batch(tables: Pool, campaign_id: UUID) -> Mapping[int, int]:
    """How many are pending in each batch that has any."""
    rows = await tables.fetch(
        "select batch_number, count(*) as n from enrollments where campaign_id = $1 and status = 'pending' group by 1",
        campaign_id,
    )
    return {row["batch_number"]: row["n"] for row in rows}


async def pending_in(tables: Pool, campaign_id: UUID, batch: int, before: int) -> list[Pending]:
    """Who is pending in the batch and was enrolled before the position, in their order."""
    rows = await tables.fetch(PENDING, campaign_id, batch, before)
    return [
        Pending(row["enrollment_id"], row["contact_id"], row["priority"], row["version"], row["skip"]) for row in rows
    ]


async def credentials_in_use(
    tables: Pool, campaign_id: UUID, now: datetime, but: Sequence[UUID] = ()
) -> list[CredentialUse]:
    """Every usable credential of the campaign, without what is planned for the enrollments `but`.

    What is overdue counts as planned for today.
    """
    planned: dict[UUID, list[tuple[date, int, int]]] = {}
    for row in await tables.fetch(PLANNED, campaign_id, now, list(but)):
        planned.setdefault(row["credential_id"], []).append((row["day"], row["first_steps"], row["steps"]))
    return [
        CredentialUse(
            row["credential_id"],
            row["daily_limit"],
            row["follow_ups_exempt"],
            row["claimed"],
            row["held"],
            {day: first for day, first, _ in planned.get(row["credential_id"], [])},
            {day: steps for day, _, steps in planned.get(row["credential_id"], [])},
        )
        for row in await tables.fetch(CREDENTIALS, campaign_id, now.astimezone(UTC).date())
    ]


async def last_starts(tables: Pool, campaign_id: UUID, batch: int, dispatch_id: UUID) -> Mapping[UUID, datetime]:
    """By credential, the last first step that this dispatch has planned already."""
    rows = await tables.fetch(LAST_STARTS, campaign_id, batch, dispatch_id)
    return {row["credential_id"]: row["at"] for row in rows}


async def usable_credentials(tables: Pool, campaign_id: UUID) -> int:
    """How many credentials of the campaign may be mailed through."""
    return int(
        await tables.fetchval("select count(*) from credentials where campaign_id = $1 and usable", campaign_id) or 0
    )


async def plan_use(tables: Pool, account_id: UUID, now: datetime) -> tuple[int | None, int]:
    """The account's monthly limit (None: unlimited) and what it has sent in this UTC month."""
    row = await tables.fetchrow(
        "select a.monthly_limit, coalesce(m.sends, 0) as sends from accounts a "
        "left join account_months m on m.account_id = a.account_id and m.month = $2 where a.account_id = $1",
        account_id,
        now.astimezone(UTC).date().replace(day=1),
    )
    return (None, 0) if row is None else (row["monthly_limit"], row["sends"])


async def bounce_facts(tables: Pool, credential_id: UUID) -> BounceFacts | None:
    """What came of the credential's messages, and its campaign's rule."""
    row = await tables.fetchrow(BOUNCES, credential_id)
    return None if row is None else BounceFacts(row["sends"], row["bounces"], row["min_sends"], row["threshold"])


async def in_flight(tables: Pool, campaign_id: UUID) -> int:
    """How many deliveries are started and have no outcome."""
    return int(
        await tables.fetchval("select count(*) from steps where campaign_id = $1 and state = 'started'", campaign_id)
        or 0
    )


async def running(tables: Pool, campaign_id: UUID) -> int:
    """How many enrollments wait or go on."""
    return int(
        await tables.fetchval(
            "select count(*) from enrollments where campaign_id = $1 and status <> 'ended'", campaign_id
        )
        or 0
    )


async def running_of_contact(tables: Pool, contact_id: UUID) -> Sequence[tuple[UUID, UUID]]:
    """Every enrollment of the contact that wait or goes on: (enrollment, campaign)."""
    rows = await tables.fetch(
        "select enrollment_id, campaign_id from enrollments where contact_id = $1 and status <> 'ended'", contact_id
    )
    return [(row["enrollment_id"], row["campaign_id"]) for row in rows]
