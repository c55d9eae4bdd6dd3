"""What the dispatcher makes of the sender's and the mailboxes' reports, on real servers."""

from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import pairwise
from uuid import UUID

import pytest

from outrider.dispatcher.credential import BounceFacts
from outrider.dispatcher.facts import bounce_facts
from outrider.dispatcher.quota_use import SHARES, measure_quota
from outrider.dispatcher.telling import OUTSTANDING
from outrider.events.account import OpenAccount
from outrider.events.campaign import (
    CampaignCompleted,
    CampaignPaused,
    CampaignReopened,
    CampaignSettings,
    ChangeCampaign,
    Day,
    NoSmtpCredentials,
    PauseCampaign,
    ResumeCampaign,
    SendWindow,
    StepPlan,
    StepsRetimed,
)
from outrider.events.contact import ContactUnsubscribed
from outrider.events.credential import (
    AddCredential,
    CredentialDisabled,
    CredentialReplaced,
    NewCredential,
    ReenableCredential,
    RemoveCredential,
)
from outrider.events.delivery import DeliveryDeferred, DeliveryResolved, DeliveryUnknown, EmailBounced, SendStep
from outrider.events.enrollment import EnrollmentBounced, EnrollmentFinished, EnrollmentUnsubscribed
from outrider.events.ids import new_id
from outrider.events.inbound import OptOutReceived
from tests.support.dispatcher import Office, fields_of, office
from tests.support.shown import shown

AT_ONCE = (StepPlan(position=1, delay_minutes=0, thread=False), StepPlan(position=2, delay_minutes=0, thread=True))
ONE = AT_ONCE[:1]


@pytest.fixture
async def found(urls: Mapping[str, str], bus_url: str) -> AsyncGenerator[Office]:
    async with office(urls, bus_url) as running:
        yield running


async def open_sends(found: Office, *, held: bool) -> int:
    count = await found.desk.work.fetchval(
        "select count(*) from todos where kind = 'send_step' and done_at is null and held = $1", held
    )
    return int(count)


def bounced(found: Office, job: SendStep) -> EmailBounced:
    return EmailBounced(
        **fields_of(job), kind="hard", status_code="550", reason="user_unknown", bounced_at=found.desk.clock.now()
    )


async def test_a_step_is_told_after_the_one_before_and_the_last_one_completes_the_campaign(found: Office) -> None:
    campaign, _ = await found.campaign(steps=AT_ONCE)
    await found.dispatched(campaign, await found.import_people("a@example.com"))
    first = await found.job()
    assert (first.attempt, first.previous_delivery_id, len(found.told)) == (1, None, 0)
    await found.send(first)
    second = await found.job(2)
    assert second.previous_delivery_id == first.delivery_id
    await found.claim(second)
    unknown = DeliveryUnknown(**fields_of(second), reason="no_outcome", at=found.desk.clock.now())
    await found.report(second, unknown)
    await found.until("it finishes", lambda: found.has(f"enrollment-{first.enrollment_id}", EnrollmentFinished))
    await found.until("all is complete", lambda: found.has(f"campaign-{campaign}", CampaignCompleted))


async def test_a_message_counts_for_the_month_of_its_claim(found: Office) -> None:
    campaign, _ = await found.campaign(steps=ONE)
    await found.dispatched(campaign, await found.import_people("a@example.com", "b@example.com"))
    jobs = [await found.job(), await found.job()]
    october, november = date(2026, 10, 31), datetime(2026, 11, 1, tzinfo=UTC)

    async def months() -> dict[date, int]:
        await found.desk.fresh()
        rows = await found.desk.tables.fetch("select month, sends from account_months where sends > 0")
        return {row["month"]: row["sends"] for row in rows}

    for job in jobs:
        await found.claim(job, day=october)
    await found.report(jobs[0], found.sent(jobs[0], at=november))
    await found.report(jobs[1], DeliveryUnknown(**fields_of(jobs[1]), reason="no_outcome", at=november))
    assert await months() == {date(2026, 10, 1): 2}
    await found.report(jobs[1], DeliveryResolved(**fields_of(jobs[1]), outcome="not_sent", at=november))
    assert await months() == {date(2026, 10, 1): 1}
    again = await found.job()
    await found.claim(again, day=november.date())
    await found.report(again, found.sent(again, at=november))
    assert await months() == {date(2026, 10, 1): 1, date(2026, 11, 1): 1}


async def test_a_last_step_that_was_not_sent_after_all_is_told_again(found: Office) -> None:
    campaign, _ = await found.campaign(steps=ONE)
    await found.dispatched(campaign, await found.import_people("a@example.com"))
    job = await found.job()
    stream = f"enrollment-{job.enrollment_id}"
    await found.claim(job)
    now = found.desk.clock.now()
    await found.report(job, DeliveryUnknown(**fields_of(job), reason="no_outcome", at=now))
    await found.until("it finishes", lambda: found.has(stream, EnrollmentFinished))
    await found.until("all is complete", lambda: found.has(f"campaign-{campaign}", CampaignCompleted))
    await found.report(job, DeliveryResolved(**fields_of(job), outcome="not_sent", at=now))
    again = await found.job()
    assert (again.delivery_id, again.attempt) == (job.delivery_id, 2)
    reopened = partial(found.has, f"campaign-{campaign}", CampaignReopened)
    await found.until("the campaign is complete no more", reopened)

    async def sends() -> tuple[int, int]:
        credential = "select sends from credentials where credential_id = $1"
        month = "select coalesce(sum(sends), 0) from account_months where account_id = $1"
        tables = found.desk.tables
        return await tables.fetchval(credential, job.credential_id), await tables.fetchval(month, found.account)

    assert await sends() == (0, 0)
    await found.send(again)

    async def complete_again() -> bool:
        events = await found.events(f"campaign-{campaign}")
        return sum(isinstance(event, CampaignCompleted) for event in events) == 2

    await found.until("all is complete again", complete_again)
    await found.desk.fresh()
    assert await sends() == (1, 1)


async def test_a_step_that_left_late_moves_those_behind_it(found: Office) -> None:
    campaign, _ = await found.campaign()
    await found.dispatched(campaign, await found.import_people("a@example.com"))
    job = await found.job()
    sent_at = job.planned_at + timedelta(hours=2)
    await found.send(job, at=sent_at)
    await found.until("step 2 moves", lambda: found.has(f"plan-{campaign}", StepsRetimed))
    (moved,) = await found.events(f"plan-{campaign}")
    assert isinstance(moved, StepsRetimed)
    (step,) = moved.steps
    assert (step.position, moved.reason) == (2, "sent_late")
    assert timedelta(0) <= step.at - sent_at - timedelta(days=3) < timedelta(seconds=2)

    async def is_moved() -> bool:
        due = await found.desk.work.fetchval("select due_at from todos where kind = 'send_step' and ordinal = 2")
        return bool(due == step.at)

    await found.until("its to-do moves", is_moved)


async def test_a_deferred_step_comes_again_as_the_next_attempt(found: Office) -> None:
    campaign, _ = await found.campaign(steps=ONE)
    await found.dispatched(campaign, await found.import_people("a@example.com"))
    job = await found.job()
    now = found.desk.clock.now()
    await found.claim(job)
    deferred = DeliveryDeferred(
        **fields_of(job), by="recipient_server", status_code="451", not_before=now, first_attempt_at=now
    )
    await found.report(job, deferred)
    again = await found.job()
    assert (again.attempt, again.first_attempt_at, again.planned_at) == (2, now, job.planned_at)


async def test_a_retry_outside_the_window_waits_until_it_opens(found: Office) -> None:
    import_id = await found.import_people("ann@example.com")
    campaign_id, _ = await found.campaign(steps=ONE)
    await found.dispatched(campaign_id, import_id)
    job = await found.job()
    now = found.desk.clock.now()
    days: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    window = SendWindow(days=(days[(now + timedelta(days=2)).weekday()],), start="09:00", end="17:00", timezone="UTC")
    settings = CampaignSettings(min_wait_seconds=0, max_wait_seconds=0, send_window=window)
    await found.claim(job)
    await found.do(ChangeCampaign, campaign_id=campaign_id, settings=settings)

    async def retimed() -> bool:
        return bool(
            await found.desk.work.fetchval("select bool_and(done_at is not null) from todos where kind = 'retime'")
        )

    await found.until("the change is carried out: what follows is the retry's own", retimed)
    deferred = DeliveryDeferred(
        **fields_of(job), by="recipient_server", status_code="451", not_before=now, first_attempt_at=now
    )
    await found.report(job, deferred)

    async def moved() -> bool:
        row = await found.desk.work.fetchrow("select due_at, data from todos where kind = 'send_step'")
        assert row is not None
        later = row["due_at"] > now + timedelta(hours=24) and row["due_at"].hour == 9
        return bool(later and row["data"]["attempt"] == 2)

    await found.until("the second attempt is due when the window opens", moved)
    assert found.told == []


async def test_a_pause_holds_everything_and_a_resume_spaces_what_is_overdue(found: Office) -> None:
    settings = CampaignSettings(min_wait_seconds=30, max_wait_seconds=30)
    campaign, _ = await found.campaign(settings, steps=ONE)
    await found.dispatched(campaign, await found.import_people("a@example.com", "b@example.com", "c@example.com"))
    job = await found.job()
    await found.do(PauseCampaign, campaign_id=campaign)

    async def all_held() -> bool:
        return await open_sends(found, held=True) == 3

    await found.until("all are held", all_held)
    await found.desk.tables.execute("update steps set due_at = due_at - interval '1 hour'")  # as if time had passed
    await found.do(ResumeCampaign, campaign_id=campaign)
    await found.until("they are timed anew", lambda: found.has(f"plan-{campaign}", StepsRetimed))
    (moved,) = await found.events(f"plan-{campaign}")
    assert isinstance(moved, StepsRetimed)
    times = sorted(step.at for step in moved.steps)
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(seconds=30)] * 2

    async def none_held() -> bool:
        return await open_sends(found, held=False) == 3

    await found.until("they are released", none_held)
    assert (await found.job()).delivery_id == job.delivery_id


async def test_other_waits_space_anew_what_is_not_due_yet(found: Office) -> None:
    campaign, _ = await found.campaign(CampaignSettings(min_wait_seconds=900, max_wait_seconds=900))
    await found.dispatched(campaign, await found.import_people("a@example.com", "b@example.com", "c@example.com"))
    job = await found.job()
    await found.send(job)
    for settings in (
        CampaignSettings(min_wait_seconds=900, max_wait_seconds=900, bounce_min_sends=99),  # moves nothing
        CampaignSettings(min_wait_seconds=1800, max_wait_seconds=1800),
    ):
        await found.do(ChangeCampaign, campaign_id=campaign, settings=settings)
    await found.until("they are timed anew", lambda: found.has(f"plan-{campaign}", StepsRetimed))
    (moved,) = await found.events(f"plan-{campaign}")
    assert isinstance(moved, StepsRetimed)
    times = sorted((step.position, step.at - job.planned_at) for step in moved.steps)
    assert times == [
        (position, timedelta(days=days, seconds=1800 * n)) for position, days in ((1, 0), (2, 3)) for n in (1, 2)
    ]


async def test_too_many_bounces_disable_the_credential_and_the_last_one_pauses_the_campaign(found: Office) -> None:
    settings = CampaignSettings(min_wait_seconds=0, max_wait_seconds=0, bounce_min_sends=2)
    campaign, (credential,) = await found.campaign(settings, steps=ONE)
    await found.dispatched(campaign, await found.import_people("a@example.com", "b@example.com", "c@example.com"))
    for job in [await found.job(), await found.job()]:
        await found.claim(job)
        await found.report(job, bounced(found, job))
        stream = f"enrollment-{job.enrollment_id}"
        await found.until("the enrollment ends", partial(found.has, stream, EnrollmentBounced))
    await found.until("it is disabled", lambda: found.has(f"credential-{credential}", CredentialDisabled))
    await found.until("it is paused", lambda: found.has(f"campaign-{campaign}", CampaignPaused))
    with pytest.raises(NoSmtpCredentials):
        await found.do(ResumeCampaign, campaign_id=campaign)
    answer = await found.do(ReenableCredential, campaign_id=campaign, credential_id=credential)
    assert answer.body == {"id": str(credential), "status": "enabled"}
    await found.do(ResumeCampaign, campaign_id=campaign)
    third = await found.job()  # the rule starts anew: one of one has bounced, and two are enough
    await found.claim(third)
    await found.report(third, bounced(found, third))

    async def judged() -> bool:
        query = "select count(*) from todos where kind = 'judge_credential' and done_at is not null"
        return int(await found.desk.work.fetchval(query)) == 3

    await found.until("it is judged again", judged)
    assert await bounce_facts(found.desk.tables, credential) == BounceFacts(1, 1, 2, 8.0)
    disabled = [
        event for event in await found.events(f"credential-{credential}") if isinstance(event, CredentialDisabled)
    ]
    assert len(disabled) == 1


async def test_a_refused_log_in_stops_that_credential_alone_and_loses_nothing(found: Office) -> None:
    campaign, credentials = await found.campaign(credentials=2, steps=ONE)
    await found.dispatched(campaign, await found.import_people(*(f"p{n}@example.com" for n in range(4))))
    jobs = [await found.job() for _ in range(4)]
    bad = jobs[0].credential_id
    await found.refuse(jobs[0], "auth_failed")
    await found.until("it is disabled", lambda: found.has(f"credential-{bad}", CredentialDisabled))
    assert not await found.has(f"credential-{(set(credentials) - {bad}).pop()}", CredentialDisabled)

    async def both_held() -> bool:
        return await open_sends(found, held=True) == 2

    await found.until("its sends wait", both_held)
    assert not await found.has(f"campaign-{campaign}", CampaignPaused)
    found.told.clear()
    await found.do(ReenableCredential, campaign_id=campaign, credential_id=bad)

    async def both_told_again() -> bool:  # the one that was put off may also have been told before it was held
        return {job.attempt for job in found.told} == {1, 2}

    await found.until("both are told again", both_told_again)
    assert {job.credential_id for job in found.told} == {bad}


@pytest.mark.parametrize("burned", [False, True])
async def test_the_steps_of_a_credential_that_is_not_coming_back_go_to_those_that_are_left(
    found: Office,
    burned: bool,  # noqa: FBT001  # or removed
) -> None:
    settings = CampaignSettings(min_wait_seconds=0, max_wait_seconds=0, bounce_min_sends=1, bounce_rate_threshold=10)
    campaign, credentials = await found.campaign(settings, credentials=2)
    await found.dispatched(campaign, await found.import_people(*(f"p{n}@example.com" for n in range(6))))
    jobs = [await found.job() for _ in range(6)]
    gone = jobs[0].credential_id
    (left,) = set(credentials) - {gone}
    mine = [job for job in jobs if job.credential_id == gone]
    assert len(mine) == 3
    for job in mine[1:] if burned else mine:
        await found.send(job)
    if burned:
        await found.claim(mine[0])
        await found.report(mine[0], bounced(found, mine[0]))
    else:
        await found.do(RemoveCredential, campaign_id=campaign, credential_id=gone)
    await found.until("they move", lambda: found.has(f"plan-{campaign}", StepsRetimed))
    moved = [event for event in await found.events(f"plan-{campaign}") if isinstance(event, StepsRetimed)]
    handed = {
        (step.enrollment_id, step.position, event.credentials[step.enrollment_id])
        for event in moved
        for step in event.steps
    }
    assert handed == {(job.enrollment_id, 2, left) for job in (mine[1:] if burned else mine)}
    assert {event.reason for event in moved} == {"hand_over"}
    replaced = [event for event in await found.events(f"credential-{gone}") if isinstance(event, CredentialReplaced)]
    assert [event.by for event in replaced] == [(left,)]

    async def none_held() -> bool:
        return await open_sends(found, held=True) == 0

    await found.until("nothing waits for it", none_held)
    await found.desk.work.execute("update todos set due_at = now() where kind = 'send_step'")  # as if days had passed
    told = [await found.job(2) for _ in handed]
    assert {(job.credential_id, job.first_credential_id, job.attempt) for job in told} == {(left, gone, 1)}


async def test_what_waits_for_a_removed_credential_goes_to_the_next_one_that_is_added(found: Office) -> None:
    campaign, (gone,) = await found.campaign(steps=ONE)
    await found.dispatched(campaign, await found.import_people("a@example.com"))
    job = await found.job()
    await found.do(RemoveCredential, campaign_id=campaign, credential_id=gone)
    await found.until("it is paused", lambda: found.has(f"campaign-{campaign}", CampaignPaused))
    new = NewCredential(credential_id=new_id(), daily_limit=10)
    await found.do(AddCredential, campaign_id=campaign, credential=new)
    await found.do(ResumeCampaign, campaign_id=campaign)
    again = await found.job()
    assert (again.delivery_id, again.credential_id) == (job.delivery_id, new.credential_id)
    assert again.first_credential_id is None, "no message of the thread went out before"


async def test_no_more_is_told_than_the_credential_has_left_today(found: Office) -> None:
    campaign, _ = await found.campaign(daily_limit=2, steps=ONE)
    import_id = await found.import_people(*(f"p{n}@example.com" for n in range(3)))
    assert (await found.dispatched(campaign, import_id)).body["scheduled"] == 3
    await found.desk.work.execute("update todos set due_at = now() where kind = 'send_step'")  # as if planned for today
    jobs = [await found.job(), await found.job()]
    for job in jobs:
        await found.send(job)

    async def all_settled() -> bool:
        return await open_sends(found, held=False) == 1

    await found.until("two are settled", all_settled)
    assert found.told == []
    await measure_quota(found.desk)
    assert [shown("outrider_quota_messages", of=of) for of in ("used", "limit")] == [2, 2]
    assert [shown("outrider_quota_credentials", share=share) for share in SHARES.values()] == [0, 0, 0, 1, 0]


async def test_an_account_with_more_than_can_be_told_keeps_no_other_waiting(found: Office) -> None:
    crowd, _ = await found.campaign(credentials=2, steps=ONE)
    await found.dispatched(crowd, await found.import_people(*(f"p{n}@example.com" for n in range(60))))
    await found.until("as many are told as may be", lambda: _are_told(found, 2 * OUTSTANDING))
    found.account = new_id()
    await found.do(OpenAccount, key_id=new_id(), key_hash="1" * 64, key_prefix="ok_live_y")
    few, _ = await found.campaign(steps=ONE)
    await found.dispatched(few, await found.import_people("a@example.com"))
    await found.until("the other one's is told", lambda: _are_told(found, 2 * OUTSTANDING + 1))
    assert [job.account_id for job in found.told if job.campaign_id == few] == [found.account]
    assert await open_sends(found, held=False) == 61


async def _are_told(found: Office, number: int) -> bool:
    return len(found.told) >= number


async def test_an_opt_out_ends_every_enrollment_of_the_person(found: Office) -> None:
    import_id = await found.import_people("a@example.com")
    campaigns: list[UUID] = []
    for _ in range(2):
        campaign, _ = await found.campaign()
        await found.dispatched(campaign, import_id)
        campaigns.append(campaign)
    jobs = [await found.job(), await found.job()]
    await found.send(jobs[0])
    opted = OptOutReceived(
        **{name: value for name, value in fields_of(jobs[0]).items() if name != "attempt"},
        received_at=found.desk.clock.now(),
    )
    await found.receive(jobs[0], opted)
    for job in jobs:
        stream = f"enrollment-{job.enrollment_id}"
        await found.until("it ends", partial(found.has, stream, EnrollmentUnsubscribed))
    assert await found.has(f"contact-{jobs[0].contact_id}", ContactUnsubscribed)
