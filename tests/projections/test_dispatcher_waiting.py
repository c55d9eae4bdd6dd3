"""What is due and is not told all the same: over the plan, outside the window, suppressed."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from uuid import UUID

import pytest

from outrider.dispatcher.plans import OPEN_PLAN, Limited, open_plan, within_plans
from outrider.dispatcher.projections import facts
from outrider.dispatcher.telling import lanes
from outrider.events.account import ChangePlan
from outrider.events.campaign import (
    BatchNumbersUsedUp,
    CampaignCompleted,
    CampaignSettings,
    Day,
    DispatchBatch,
    EnrollContact,
    EnrollImport,
    SendWindow,
    StepPlan,
    StepsRetimed,
)
from outrider.events.claims import Places
from outrider.events.clock import Clock
from outrider.events.contact import SuppressAddress
from outrider.events.credential import CredentialDisabled
from outrider.events.drain import Drain
from outrider.events.enrollment import EnrollmentStopped
from outrider.events.ids import new_id
from outrider.events.todo import Todo
from tests.support.dispatcher import SECONDS, Office, office

AT_ONCE = (StepPlan(position=1, delay_minutes=0, thread=False), StepPlan(position=2, delay_minutes=0, thread=True))
ONE = AT_ONCE[:1]
DONE = "select count(*) from todos where kind = 'send_step' and done_at is not null"
LOCK_AWAITED = """
select true from pg_locks
where locktype = 'advisory' and not granted
    and database = (select oid from pg_database where datname = current_database())
limit 1
"""
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.fixture
async def found(urls: Mapping[str, str], bus_url: str) -> AsyncGenerator[Office]:
    async with office(urls, bus_url) as running:
        yield running


async def waits(found: Office, count: int) -> bool:
    query = "select count(*) from todos where kind = 'send_step' and done_at is null and held"
    return int(await found.desk.work.fetchval(query)) == count


async def the_contact_of(found: Office, import_id: UUID) -> UUID:
    await found.desk.fresh()
    return UUID(
        str(await found.desk.tables.fetchval("select contact_id from contacts where import_id = $1", import_id))
    )


async def test_numbers_that_the_log_holds_are_read_however_high(found: Office) -> None:
    """One of them would stop the reader, and with it the mail of every account."""
    await found.do(ChangePlan, monthly_limit=10**12)
    campaign, _ = await found.campaign()
    await found.do(EnrollImport, campaign_id=campaign, import_id=await found.import_people("a@example.com"))
    other = await found.import_people("b@example.com")
    last = {"campaign_id": campaign, "contact_id": (await the_contact_of(found, other))}
    await found.do(EnrollContact, **last, batch_number=2**31)
    for number in (1, 2**31):
        answer = await found.do(DispatchBatch, campaign_id=campaign)
        assert (answer.body["batch_number"], answer.body["scheduled"]) == (number, 1)
    with pytest.raises(BatchNumbersUsedUp):
        await found.do(EnrollImport, campaign_id=campaign, import_id=await found.import_people("c@example.com"))


async def test_what_is_over_the_plan_waits_for_a_higher_limit_or_the_next_period(found: Office) -> None:
    await found.do(ChangePlan, monthly_limit=2)
    campaign, _ = await found.campaign(
        CampaignSettings(min_wait_seconds=0, max_wait_seconds=0), credentials=2, steps=ONE
    )
    await found.dispatched(campaign, await found.import_people(*(f"p{n}@example.com" for n in range(4))))
    jobs = [await found.job(), await found.job()]
    assert found.told == [], "what is told and not settled comes off the plan"
    for job in jobs:
        await found.send(job)
    await found.until("the rest waits", partial(waits, found, 2))

    await found.do(ChangePlan, monthly_limit=3)
    await found.send(await found.job())
    await found.until("the last one waits", partial(waits, found, 1))
    [opened] = await found.events(f"plan-{campaign}")
    assert isinstance(opened, StepsRetimed)
    assert (opened.reason, len(opened.steps)) == ("plan_opened", 2)
    assert found.told == []

    await found.desk.tables.execute("update account_months set month = month - interval '1 month'")
    await found.desk.work.execute("update todos set due_at = now() where kind = 'open_plan' and done_at is null")
    await found.job()
    assert await waits(found, 0)


async def test_nothing_is_told_under_a_plan_while_it_is_not_known_what_was_sent(found: Office) -> None:
    await found.do(ChangePlan, monthly_limit=2)
    campaign, _ = await found.campaign(
        CampaignSettings(min_wait_seconds=0, max_wait_seconds=0), credentials=2, steps=ONE
    )
    await found.dispatched(campaign, await found.import_people(*(f"p{n}@example.com" for n in range(4))))
    jobs = [await found.job(), await found.job()]
    async with found.desk.tables.acquire() as db, db.transaction():
        await db.fetchval("select position from checkpoints where reader = $1 for update", facts.name)
        for job in jobs:
            await found.send(job)

        async def closed() -> bool:
            return int(await found.desk.work.fetchval(DONE)) == len(jobs)

        await found.until("what was told is settled", closed)
        assert set((await lanes(found.desk)).values()) == {Places(0, 0)}
    await found.until("the rest waits", partial(waits, found, 2))
    assert found.told == []


async def test_a_plan_opens_with_the_month_however_often_it_was_seen_used_up_in_the_one_before(found: Office) -> None:
    """Also where the to-do of that month is done already, and the clock goes past midnight in between."""
    await found.do(ChangePlan, monthly_limit=1)
    campaign, _ = await found.campaign(CampaignSettings(min_wait_seconds=0, max_wait_seconds=0), steps=ONE)
    await found.dispatched(campaign, await found.import_people("a@example.com", "b@example.com"))
    await found.send(await found.job())
    await found.until("the other one waits", partial(waits, found, 1))
    await found.desk.work.execute("update todos set done_at = now() where kind = 'open_plan'")
    month = found.desk.clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    begins = (month + timedelta(days=32)).replace(day=1)
    ends = Turning(begins)
    credential = await found.desk.tables.fetchval("select credential_id from credentials")
    limited = {credential: Limited(found.account, campaign)}
    given = await within_plans(replace(found.desk, clock=ends), {credential: Places(9, 9)}, limited)
    assert given == {credential: Places(0, 0)}
    rows = await found.desk.work.fetch("select due_at from todos where kind = 'open_plan' and done_at is null")
    assert [row["due_at"] for row in rows] == [begins]


class Turning(Clock):
    """Asked once it is just before a moment, and after it ever after."""

    def __init__(self, turns: datetime) -> None:
        """Not asked yet."""
        super().__init__(turns, turns, 1)
        object.__setattr__(self, "turned", [])

    def now(self) -> datetime:
        """Before it, then after it."""
        turned: list[bool] = self.__dict__["turned"]
        turned.append(True)
        return self.virtual + timedelta(seconds=-1 if len(turned) == 1 else 1)


async def test_what_is_told_is_counted_while_many_plans_wait_to_be_opened(found: Office) -> None:
    """Both lend connections of the same few; who has locked the lanes must get one."""
    opening: list[asyncio.Task[None]] = []

    async def waiting() -> bool:
        return bool(await found.desk.tables.fetchval(LOCK_AWAITED))

    async def counted() -> Mapping[UUID, Places]:
        now = found.desk.clock.now()
        opening.extend(
            asyncio.create_task(open_plan(found.desk, Todo(OPEN_PLAN, f"{n}", found.account, now))) for n in range(50)
        )
        await found.until("they wait for the lock", waiting)
        return await lanes(found.desk)

    async def nothing(_: Sequence[Todo]) -> None:
        """Nothing is due."""

    async with asyncio.timeout(SECONDS):
        assert await Drain("send_step", nothing, found.desk.work, found.desk.clock, lanes=counted).once() == 0
        assert await asyncio.gather(*opening) == [None] * 50


async def test_who_is_suppressed_when_a_step_is_due_is_written_to_no_more(found: Office) -> None:
    campaign, _ = await found.campaign(steps=AT_ONCE)
    key = "0" * 32
    await found.dispatched(campaign, await found.import_people("a@example.com", keys=[key]))
    first = await found.job()
    await found.do(SuppressAddress, address_key=key, suppression_id=new_id())
    await found.send(first)
    await found.until("all is complete", lambda: found.has(f"campaign-{campaign}", CampaignCompleted))
    last = (await found.events(f"enrollment-{first.enrollment_id}"))[-1]
    assert isinstance(last, EnrollmentStopped)
    assert last.reason == "suppressed"
    assert found.told == []


async def test_what_a_standstill_made_miss_its_window_is_spaced_anew_in_the_next_one(found: Office) -> None:
    now = found.desk.clock.now()
    opens = now + timedelta(days=2)
    window = SendWindow(days=(DAYS[opens.weekday()],), start="09:00", end="17:00", timezone="UTC")
    settings = CampaignSettings(min_wait_seconds=60, max_wait_seconds=60, send_window=window)
    campaign, _ = await found.campaign(settings, steps=ONE)
    await found.dispatched(campaign, await found.import_people(*(f"p{n}@example.com" for n in range(3))))
    while not await found.desk.todos.reach(await found.desk.fresh()):
        pass
    await found.desk.tables.execute("update steps set due_at = due_at - interval '7 days'")  # as if time had passed
    await found.desk.work.execute("update todos set due_at = due_at - interval '7 days' where kind = 'send_step'")
    await found.until("they are timed anew", lambda: found.has(f"plan-{campaign}", StepsRetimed))
    [moved] = await found.events(f"plan-{campaign}")
    assert isinstance(moved, StepsRetimed)
    times = sorted(step.at for step in moved.steps)
    assert (moved.reason, times[0].date(), times[0].hour) == ("window_missed", opens.date(), 9)
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(seconds=60)] * 2
    await found.until("they are released", partial(waits, found, 0))
    assert found.told == []


async def test_one_that_has_had_its_share_rests_today_and_one_that_must_not_send_is_disabled(found: Office) -> None:
    campaign, credentials = await found.campaign(credentials=2, steps=ONE)
    await found.dispatched(campaign, await found.import_people(*(f"p{n}@example.com" for n in range(2))))
    first, second = await found.job(), await found.job()
    assert {first.credential_id, second.credential_id} == set(credentials)
    await found.refuse(first, "held_today")

    async def rests() -> bool:
        return (await lanes(found.desk)).get(first.credential_id) == Places(0, 0)

    await found.until("nothing more is told through it, though it is due", rests)
    await found.refuse(second, "policy")
    stream = f"credential-{second.credential_id}"
    await found.until("it is disabled", lambda: found.has(stream, CredentialDisabled))
    disabled = (await found.events(stream))[-1]
    assert isinstance(disabled, CredentialDisabled)
    assert disabled.reason == "policy"
    assert not await found.has(f"credential-{first.credential_id}", CredentialDisabled)
