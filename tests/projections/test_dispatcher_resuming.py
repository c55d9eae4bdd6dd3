"""Work that was cut short anywhere goes on where it stood, and ends with the same answer."""

import asyncio
from collections.abc import Mapping

from outrider.events.campaign import CampaignSettings, DispatchBatch, EnrollImport
from outrider.events.enrollment import StepsScheduled
from outrider.events.ids import new_id
from tests.support.dispatcher import Office, office

PEOPLE = 1200
SETTINGS = CampaignSettings(min_wait_seconds=1, max_wait_seconds=1)


async def recorded(found: Office, kind: str) -> int:
    return int(await found.desk.log_pool.fetchval("select count(*) from log.events where type = $1", kind))


async def cut_short(found: Office, work: "asyncio.Task[object]", kind: str) -> None:
    """End the work when some, but not all, of these events are recorded."""

    async def some() -> bool:
        return await recorded(found, kind) > 0

    await found.until(f"the first {kind}", some)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_an_enrolment_goes_on_where_it_stood(urls: Mapping[str, str], bus_url: str) -> None:
    async with office(urls, bus_url) as found:
        import_id = await found.import_people(*(f"p{n}@example.com" for n in range(PEOPLE)))
        campaign, _ = await found.campaign()
        command = new_id()
        fields = {"command_id": command, "campaign_id": campaign, "import_id": import_id, "batch_size": 500}
        work: asyncio.Task[object] = asyncio.create_task(found.do(EnrollImport, **fields))  # type: ignore[arg-type]  # one is an id
        await cut_short(found, work, "EnrollmentCreated")
        assert await recorded(found, "EnrollmentCreated") < PEOPLE
        answer = await found.do(EnrollImport, **fields)  # type: ignore[arg-type]  # one is an id
        assert (answer.body["enrolled"], answer.body["batches"], answer.body["skipped_count"]) == (PEOPLE, 3, 0)
        await found.desk.fresh()
        rows = await found.desk.tables.fetch(
            "select batch_number, count(*) as n, count(distinct ordinal) as places from enrollments "
            "group by 1 order by 1"
        )
        assert [tuple(row.values()) for row in rows] == [(1, 500, 500), (2, 500, 500), (3, 200, 200)]


async def test_a_plan_goes_on_where_it_stood(urls: Mapping[str, str], bus_url: str) -> None:
    command = new_id()
    async with office(urls, bus_url) as found:
        import_id = await found.import_people(*(f"p{n}@example.com" for n in range(PEOPLE)))
        campaign, _ = await found.campaign(SETTINGS, credentials=2, daily_limit=100_000)
        await found.do(EnrollImport, campaign_id=campaign, import_id=import_id)
        work: asyncio.Task[object] = asyncio.create_task(
            found.do(DispatchBatch, command_id=command, campaign_id=campaign)
        )
        await cut_short(found, work, "StepsScheduled")
        account = found.account
    async with office(urls, bus_url) as found:  # another process, after the first was gone
        found.account = account
        await found.desk.work.execute("update todos set not_before = null where done_at is null")  # the lease is over
        answer = await found.do(DispatchBatch, command_id=command, campaign_id=campaign)
        assert (answer.body["scheduled"], answer.body["skipped"]) == (PEOPLE, 0)
        await found.desk.fresh()
        starts = await found.desk.tables.fetch("select due_at from steps where position = 1 order by due_at")
        assert await recorded(found, StepsScheduled.name) == PEOPLE
        assert len({row["due_at"] for row in starts}) == PEOPLE  # the gap held across the cut
