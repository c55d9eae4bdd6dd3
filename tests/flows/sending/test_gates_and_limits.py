"""What must not be mailed is not claimed: after a stop, after a change of what it says, and over the daily limit."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from outrider.events.campaign import CampaignPaused, StepsChanged
from outrider.events.contact import AddressSuppressed, ContactChanged, ContactUnsubscribed
from outrider.events.credential import CredentialChanged
from outrider.events.delivery import (
    DeliveryStarted,
    EmailSent,
)
from outrider.events.enrollment import EnrollmentStopped
from outrider.events.errors import NotYet
from outrider.events.ids import domain_key, domain_of
from outrider.events.message import Event
from outrider.events.telemetry import APPENDS
from outrider.events.vault import Entry, put
from outrider.sender.claiming import Claims, Day
from outrider.sender.letters import Letters
from outrider.sender.quota import day_id, quota_day
from tests.support.kernel import ACCOUNT, kernel
from tests.support.mail import SmtpSink
from tests.support.sending import (
    SECONDS,
    STEPS,
    Hurried,
    Mailing,
    Person,
    StartSender,
    until,
)


def stops(post: Mailing, one: Person) -> Mapping[str, tuple[str, Event]]:
    about: dict[str, Any] = {
        "enrollment_id": one.enrollment, "campaign_id": post.campaign, "contact_id": one.contact,
    }  # fmt: skip
    domain = domain_key(post.keyring.address_key, ACCOUNT, domain_of(one.email))
    return {
        "paused": (f"campaign-{post.campaign}", CampaignPaused(campaign_id=post.campaign)),
        "stopped": (f"enrollment-{one.enrollment}", EnrollmentStopped(**about, reason="deleted")),
        "unsubscribed": (f"contact-{one.contact}", ContactUnsubscribed(contact_id=one.contact)),
        "suppressed": (
            f"address-{one.address_key}",
            AddressSuppressed(address_key=one.address_key, suppression_id=uuid4()),
        ),
        "domain": (f"address-{domain}", AddressSuppressed(address_key=domain, suppression_id=uuid4())),
    }


@pytest.mark.parametrize("why", ["paused", "stopped", "unsubscribed", "suppressed", "domain"])
@pytest.mark.parametrize("seen", [True, False])
async def test_nothing_is_mailed_after_a_stop_is_recorded(  # noqa: PLR0913  # fixtures and parameters
    post: Mailing, sink: SmtpSink, start: StartSender, urls: Mapping[str, str], why: str, *, seen: bool
) -> None:
    """Also not when the sender's projection has not seen it yet: the claim asserts it."""
    credential = await post.credential(sink.port)
    stopped, other = await post.people(2, credential)
    async with start():
        before = await post.job(other, credential)
        await post.tell(before)
        await post.settled(before)
        stream, event = stops(post, stopped)[why]
        if seen:
            await post.record(stream, event)
            job = await post.job(stopped, credential)
            await post.tell(job)
            await post.taken()
        else:
            job = await post.job(stopped, credential)
            async with held_back(urls):
                await post.record(stream, event)
                await post.tell(job)
                await post.taken()
    assert await post.of(job) == []
    assert [mail.recipient for mail in sink.messages] == [other.email]


@pytest.mark.parametrize("seen", [True, False])
async def test_a_letter_that_was_made_before_a_change_is_not_claimed(
    post: Mailing, sink: SmtpSink, start: StartSender, urls: Mapping[str, str], *, seen: bool
) -> None:
    async with start() as service:
        letters = Letters(service.settings, service.log_pool, service.tables)
        claims = Claims(service.log, service.tables, service.clock, given_up)
        [gates, *_] = service.readers
        for what in ("contact", "credential", "campaign"):
            credential = await post.credential(sink.port)
            [one] = await post.people(1, credential)
            job = await post.job(one, credential)
            assert await gates.reach(job.seen, SECONDS)
            mailer = await letters.mailer(ACCOUNT, credential)
            assert mailer is not None
            letter = await letters.letter(job, mailer, 1)
            assert letter is not None
            day = Day(quota_day.stream(day_id(credential, service.clock.now().date())))
            async with AsyncExitStack() as stack:
                if not seen:
                    await stack.enter_async_context(held_back(urls))
                await post.record(*changes(post, one, credential)[what])
                assert not seen or await gates.reach(await post.kernel.log.last_position(), SECONDS)
                with pytest.raises(NotYet):
                    await claims.claim(letter, day)
            assert await post.of(job) == []


def given_up(account: UUID, claim: DeliveryStarted, cause: UUID) -> None:
    """No claim is in doubt here."""
    raise AssertionError(f"{claim} of {account} by {cause}")


def changes(post: Mailing, one: Person, credential: UUID) -> Mapping[str, tuple[str, Event]]:
    """What a letter is made of becomes another."""
    first = STEPS[0].model_copy(update={"template_version": 2})
    return {
        "campaign": (f"campaign-{post.campaign}", StepsChanged(campaign_id=post.campaign, steps=(first, *STEPS[1:]))),
        "contact": (f"contact-{one.contact}", ContactChanged(contact_id=one.contact, address_key=one.address_key)),
        "credential": (
            f"credential-{credential}",
            CredentialChanged(credential_id=credential, campaign_id=post.campaign, daily_limit=100),
        ),
    }


async def test_a_mail_says_what_its_step_says_when_it_is_claimed(
    post: Mailing, sink: SmtpSink, start: StartSender, urls: Mapping[str, str]
) -> None:
    """Also where the sender's projection has not seen the change."""
    credential = await post.credential(sink.port)
    [one] = await post.people(1, credential)
    text = {"subject": "Anew", "body_html": "<p>Anew</p>", "body_text": None}
    async with start() as service:
        job = await post.job(one, credential)
        assert await service.readers[0].reach(job.seen, SECONDS)
        before = conflicts()

        async def met() -> bool:
            return conflicts() > before

        async with held_back(urls):
            await put(post.kernel.pool, [Entry(post.campaign, "template-1-2", ACCOUNT, "campaign", text)])
            await post.record(*changes(post, one, credential)["campaign"])
            await post.tell(job)
            await until("the change is met", met)
        await post.settled(job)
    assert [mail.header("Subject") for mail in sink.messages] == ["Anew"]


def conflicts() -> float:
    """How many groups of events this process was told to decide anew."""
    return APPENDS.labels("conflict")._value.get()  # type: ignore[no-any-return]  # noqa: SLF001  # prometheus has no getter


async def test_what_was_told_too_long_ago_is_not_claimed(post: Mailing, sink: SmtpSink, start: StartSender) -> None:
    """Its window has closed since, or the dispatcher looks at it anew."""
    credential = await post.credential(sink.port)
    early, other = await post.people(2, credential)
    now = post.kernel.clock.now()
    stale = (await post.job(early, credential)).model_copy(update={"until": now})
    fresh = (await post.job(other, credential)).model_copy(update={"until": now + timedelta(minutes=10)})
    async with start():
        await post.tell(stale)
        await post.taken()
        await post.tell(fresh)
        await post.settled(fresh)
    assert await post.of(stale) == []
    assert len(sink.messages) == 1


@asynccontextmanager
async def held_back(urls: Mapping[str, str]) -> AsyncGenerator[None]:
    """The sender's projection stands still for the block, as if another replica were slow at it."""
    async with kernel(urls, "sender") as k, k.tables.acquire() as db, db.transaction():
        await db.fetchval("select position from checkpoints where reader = 'sender.sending.v1' for update")
        yield


async def test_the_daily_limit_is_met_exactly(post: Mailing, sink: SmtpSink, start: StartSender) -> None:
    """Whatever order two replicas claim in, and with a place given back in between."""
    credential = await post.credential(sink.port, daily_limit=7)
    people = await post.people(20, credential)
    jobs = [await post.job(one, credential) for one in people]
    async with start(), start():
        await post.tell(*jobs)
        await until("limit met", lambda: used_up(post, credential, 7))
        await post.taken()
        started = [job for job in jobs if await post.of(job)]
        await post.settled(*started)
    assert len(started) == len(sink.messages) == 7
    assert await post.used(credential) == 7


async def used_up(post: Mailing, credential: UUID, count: int) -> bool:
    return await post.used(credential) == count


async def test_follow_ups_may_be_exempt_from_the_limit(post: Mailing, sink: SmtpSink, start: StartSender) -> None:
    credential = await post.credential(sink.port, daily_limit=1, exempt=True)
    [one] = await post.people(1, credential)
    async with start():
        for position in (1, 2):
            job = await post.job(one, credential, position)
            await post.tell(job)
            await post.settled(job)
    assert len(sink.messages) == 2
    assert await post.used(credential) == 1


async def test_what_is_over_the_limit_goes_on_after_midnight(
    hurried: Hurried, sink: SmtpSink, start: StartSender
) -> None:
    """A day lasts two seconds, so that jobs may be claimed on the far side of a midnight too."""
    async with hurried(86400 / 2) as post:
        credential = await post.credential(sink.port, daily_limit=2)
        jobs = [await post.job(one, credential) for one in await post.people(5, credential)]
        async with start():
            await post.tell(*jobs)
            outcomes = await post.settled(*jobs)
            claims = [event for job in jobs for event in await post.of(job) if isinstance(event, DeliveryStarted)]
    assert all(isinstance(outcome, EmailSent) for outcome in outcomes)
    a_day = Counter(claim.day for claim in claims)
    assert len(claims) == len(sink.messages) == 5
    assert max(a_day.values()) == 2
