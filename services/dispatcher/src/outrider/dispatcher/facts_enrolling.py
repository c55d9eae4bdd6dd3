"""What enrolling an import needs to know from outside its streams: who is in it, and who must be skipped."""

from dataclasses import dataclass
from uuid import UUID

from outrider.dispatcher.facts import MAILED, SKIP
from outrider.events.database import Pool
from outrider.events.enrollment import SkipKind

SIBLINGS = f"""
select from enrollments s
join campaigns m on m.campaign_id = s.campaign_id
where s.contact_id = c.contact_id and s.campaign_id is distinct from $3
    and m.settings ->> 'outreach_id' = $4::uuid::text
    and ((m.status <> 'deleted' and s.status <> 'ended') or exists (
        select from steps t where t.enrollment_id = s.enrollment_id and t.state in ({MAILED})
    ))
"""  # noqa: S608  # constants
"""Who has a contact without a reservation: a campaign that enrolled it before it came to the outreach."""
TO_ENROLL = f"""
select c.contact_id, c.version, c.added, {SKIP} as skip,
    exists (select from outreach_contacts o where o.outreach_id = $4 and o.contact_id = c.contact_id)
        or exists ({SIBLINGS}) as taken,
    (  -- not by the campaign's own index: with young statistics it was read whole for every contact
        select e.created from enrollments e
        where e.contact_id = c.contact_id and e.campaign_id is not distinct from $3
    ) as enrolled
from contacts c
where c.import_id = $2 and c.account_id = $1 and not c.deleted and c.added > $5
order by c.added
limit $6
"""  # noqa: S608  # constants
COUNT_TO_ENROLL = f"""
select count(*) as people,
    count(*) filter (where skip is null and enrolled is null and not ($7::boolean and taken)) as contacts
from ({TO_ENROLL}) as found
"""  # noqa: S608  # constants


@dataclass(frozen=True, slots=True)
class ToEnroll:
    """A contact of an import, in the import's order."""

    contact_id: UUID
    version: int
    """Of its stream."""
    added: int
    """The position at which it came to the import."""
    skip: SkipKind | None
    enrolled: int | None
    """The position at which the campaign enrolled it."""
    is_taken: bool
    """A sibling of the campaign has it."""


@dataclass(frozen=True, slots=True)
class Group:
    """The people of an import, seen from a campaign and its outreach."""

    account_id: UUID
    import_id: UUID
    campaign_id: UUID
    outreach_id: UUID | None


async def to_enroll(tables: Pool, group: Group, after: int, limit: int) -> list[ToEnroll]:
    """The next of those in the import who are still there, behind the one that came to it at position `after`."""
    found = (group.account_id, group.import_id, group.campaign_id, group.outreach_id)
    rows = await tables.fetch(TO_ENROLL, *found, after, limit)
    return [
        ToEnroll(row["contact_id"], row["version"], row["added"], row["skip"], row["enrolled"], row["taken"])
        for row in rows
    ]


async def is_siblings(tables: Pool, account_id: UUID, campaign_id: UUID, outreach_id: UUID, contact_id: UUID) -> bool:
    """Whether a campaign that came to the outreach later has the contact; reservations do not say so."""
    query = f"select exists ({SIBLINGS}) from contacts c where c.account_id = $1 and c.contact_id = $2"  # noqa: S608  # constants
    return bool(await tables.fetchval(query, account_id, contact_id, campaign_id, outreach_id))


async def count_to_enroll(tables: Pool, group: Group, *, unique: bool) -> tuple[int, int]:
    """How many are in the import, and how many of these may be enrolled."""
    found = (group.account_id, group.import_id, group.campaign_id, group.outreach_id)
    row = await tables.fetchrow(COUNT_TO_ENROLL, *found, 0, None, unique)
    return (0, 0) if row is None else (row["people"], row["contacts"])


async def highest_batch(tables: Pool, campaign_id: UUID) -> int:
    """The highest batch number that an enrollment has; 0 without any."""
    return int(
        await tables.fetchval("select max(batch_number) from enrollments where campaign_id = $1", campaign_id) or 0
    )
