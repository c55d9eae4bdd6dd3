"""What the dispatcher makes of a wrong verdict that is withdrawn, and of somebody who is away until a day."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from outrider.dispatcher.desk import Desk
from outrider.dispatcher.projections import facts
from outrider.dispatcher.returning import working_day_after
from outrider.dispatcher.setting_right import correct_enrollment
from outrider.dispatcher.stopping import stop_enrollment
from outrider.events.campaign import CampaignSettings, StepPlan, StepsRetimed
from outrider.events.contact import ContactCorrected, ContactUnsubscribed
from outrider.events.delivery import DeliveryDeferred, SendStep
from outrider.events.enrollment import (
    EnrollmentBounced,
    EnrollmentCorrected,
    EnrollmentReplied,
    EnrollmentUnsubscribed,
    StepReopened,
)
from outrider.events.errors import NotYet
from outrider.events.ids import new_id
from outrider.events.inbound import (
    AutoReplyReceived,
    BounceReceived,
    InboundReclassified,
    OptOutReceived,
    ReclassifyInbound,
    ReplyReceived,
)
from outrider.events.log import Appended, Expect, Log, Repeated, Write
from outrider.events.message import Event
from outrider.events.projector import Reader, caught_up
from outrider.events.todo import Todo
from outrider.reply_watcher.handlers import Correcting
from tests.projections.test_dispatcher import dump
from tests.support.dispatcher import Office, fields_of, office

TWO = (StepPlan(position=1, delay_minutes=0, thread=False), StepPlan(position=2, delay_minutes=1440, thread=True))


@pytest.fixture
async def found(urls: Mapping[str, str], bus_url: str) -> AsyncGenerator[Office]:
    async with office(urls, bus_url) as running:
        yield running


def came(found: Office, job: SendStep, what: type[Event], **more: object) -> Event:
    fields = {name: value for name, value in fields_of(job).items() if name != "attempt"}
    return what.model_validate({**fields, "received_at": found.desk.clock.now(), **more})


async def reclassified(found: Office, job: SendStep, position: int, verdict: str) -> None:
    """The reply-watcher carries the command out, and the dispatcher has followed."""
    correcting = Correcting(found.watcher, found.desk.clock)
    command = ReclassifyInbound.model_validate(
        {"command_id": new_id(), "account_id": found.account, "enrollment_id": job.enrollment_id, "event": position}
        | {"verdict": verdict}
    )
    stream = f"enrollment-{job.enrollment_id}"
    before = sum(isinstance(event, EnrollmentCorrected) for event in await found.events(stream))
    first = await correcting.on_reclassify(command)
    assert (await correcting.on_reclassify(command)).position == first.position

    async def followed() -> bool:
        return sum(isinstance(event, EnrollmentCorrected) for event in await found.events(stream)) > before

    await found.until("the verdict is followed", followed)


async def position_of(found: Office, job: SendStep) -> int:
    """Of the last message that came in."""
    return (await found.desk.log.read_stream(found.account, f"inbound-{job.enrollment_id}"))[-1].position


async def test_what_a_wrong_verdict_ended_goes_on_and_can_end_again(found: Office) -> None:
    campaign, [credential] = await found.campaign(steps=TWO)
    await found.dispatched(campaign, await found.import_people("a@example.com"))
    job = await found.job()
    await found.send(job)
    enrolled, person = f"enrollment-{job.enrollment_id}", f"contact-{job.contact_id}"
    bounce = {"kind": "hard", "status_code": "5.1.1", "reason": "user_unknown"}
    for kind, end, more in (
        (ReplyReceived, EnrollmentReplied, {}),
        (OptOutReceived, EnrollmentUnsubscribed, {}),
        (BounceReceived, EnrollmentBounced, bounce),
    ):
        await found.receive(job, came(found, job, kind, **more))
        await found.until(f"{end.__name__} ends it", partial(found.has, enrolled, end))
        if kind is OptOutReceived:
            await found.until("the contact is unsubscribed", partial(found.has, person, ContactUnsubscribed))
        await reclassified(found, job, await position_of(found, job), "ignore")
        last, step = (await found.events(enrolled))[-2:]
        assert isinstance(last, EnrollmentCorrected)
        assert last.goes_on
        assert isinstance(step, StepReopened)
        assert (step.position, step.attempt) == (2, 1)
    corrected = [event for event in await found.events(person) if isinstance(event, ContactCorrected)]
    assert [(event.resubscribed, event.reachable) for event in corrected] == [(True, False), (False, True)]
    await found.desk.fresh()
    row = await found.desk.tables.fetchrow("select unsubscribed, bounced from contacts")
    assert dict(row or {}) == {"unsubscribed": False, "bounced": False}
    row = await found.desk.tables.fetchrow(
        "select sends, bounces from credentials where credential_id = $1", credential
    )
    assert dict(row or {}) == {"sends": 1, "bounces": 0}
    await found.desk.todos.reach(await found.desk.log.last_position())
    row = await found.desk.work.fetchrow("select done_at, lane from todos where kind = 'send_step' and ordinal = 2")
    assert dict(row or {}) == {"done_at": None, "lane": credential}

    await found.stop()
    live = await dump(found.desk.tables)
    for table in (*live, "checkpoints"):
        await found.desk.tables.execute(f"truncate {table}")
    await caught_up(Reader(facts, Log(found.desk.log_pool, found.desk.clock), found.desk.tables))
    assert await dump(found.desk.tables) == live


async def test_the_next_step_waits_for_who_is_away_if_the_campaign_wants_it(found: Office) -> None:
    settings = CampaignSettings(min_wait_seconds=0, max_wait_seconds=0, on_auto_reply="resume_on_return")
    waiting, _ = await found.campaign(settings, steps=TWO)
    ignoring, _ = await found.campaign(steps=TWO)
    import_id, back = await found.import_people("a@example.com"), (found.desk.clock.now() + timedelta(days=9)).date()
    jobs: list[SendStep] = []
    for campaign in (ignoring, waiting):
        await found.dispatched(campaign, import_id)
        jobs.append(await found.job())
        await found.send(jobs[-1])
        await found.receive(jobs[-1], came(found, jobs[-1], AutoReplyReceived, returns_on=back))
    await found.until("the step moves", partial(found.has, f"plan-{waiting}", StepsRetimed))
    [moved] = [event for event in await found.events(f"plan-{waiting}") if isinstance(event, StepsRetimed)]
    [step] = moved.steps
    assert (moved.reason, step.position, step.at.date()) == ("away", 2, working_day_after(back))
    assert not await found.has(f"plan-{ignoring}", StepsRetimed)
    assert not await found.has(f"enrollment-{jobs[1].enrollment_id}", EnrollmentReplied)


async def test_a_verdict_withdrawn_before_it_was_followed_ends_nothing(found: Office) -> None:
    campaign, _ = await found.campaign(steps=TWO)
    await found.dispatched(campaign, await found.import_people("a@example.com"))
    job = await found.job()
    await found.send(job)
    item = Todo(
        "stop_enrollment",
        "late",
        found.account,
        found.desk.clock.now(),
        data={"type": "OptOutReceived", "version": 1, "event": came(found, job, OptOutReceived).as_json()},
    )
    await found.receive(job, came(found, job, OptOutReceived))
    inbound = (await found.desk.log.read_stream(found.account, f"inbound-{job.enrollment_id}"))[-1]
    await reclassified(found, job, inbound.position, "ignore")
    before = await found.events(f"enrollment-{job.enrollment_id}"), await found.events(f"contact-{job.contact_id}")
    await stop_enrollment(found.desk, replace(item, data={**item.data, "cause": str(inbound.cause)}))
    assert before == (
        await found.events(f"enrollment-{job.enrollment_id}"),
        await found.events(f"contact-{job.contact_id}"),
    )


class Overtaken(Log):
    """Something else is recorded right before an append to this stream."""

    def __init__(self, desk: Desk, stream: str, by: Callable[[], Awaitable[None]]) -> None:
        """`by` records it."""
        super().__init__(desk.log_pool, desk.clock)
        self._stream = stream
        self._by = by

    async def append(self, account: UUID, *parts: Write | Expect) -> Appended | Repeated:
        """After the other one."""
        if any(isinstance(part, Write) and part.stream == self._stream for part in parts):
            await self._by()
        return await super().append(account, *parts)


async def test_a_step_whose_attempt_ends_while_it_is_opened_again_is_told_as_the_next_attempt(found: Office) -> None:
    campaign, _ = await found.campaign(steps=TWO)
    await found.dispatched(campaign, await found.import_people("a@example.com"))
    job = await found.job()
    await found.claim(job)
    enrolled = f"enrollment-{job.enrollment_id}"
    await found.receive(job, came(found, job, ReplyReceived))
    await found.until("the reply ends it", partial(found.has, enrolled, EnrollmentReplied))
    now = found.desk.clock.now()
    about = {name: value for name, value in fields_of(job).items() if name != "attempt"}
    [answer] = await found.desk.log.read_stream(found.account, f"inbound-{job.enrollment_id}")
    said = InboundReclassified(
        **about,
        inbound=answer.cause,
        was="reply",
        verdict="ignore",
        was_hard=False,
        reply=None,
        bounce=None,
        opted_out=False,
        complained=False,
        at=now,
    )
    item = Todo("correct_enrollment", "overtaken", found.account, now, data={"event": said.as_json()})
    deferred = DeliveryDeferred(
        **fields_of(job), by="recipient_server", status_code="4", not_before=now, first_attempt_at=now
    )
    overtaken = Overtaken(found.desk, enrolled, partial(found.report, job, deferred))
    with pytest.raises(NotYet):
        await correct_enrollment(replace(found.desk, log=overtaken), item)
    await correct_enrollment(found.desk, item)
    reopened = [event for event in await found.events(enrolled) if isinstance(event, StepReopened)]
    assert [(step.position, step.attempt) for step in reopened] == [(1, 2), (2, 1)]
