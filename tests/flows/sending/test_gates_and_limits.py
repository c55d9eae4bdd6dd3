"""What must not be mailed is not claimed: after a stop, and over the daily limit."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from outrider.events.campaign import CampaignPaused
from outrider.events.contact import AddressSuppressed, ContactUnsubscribed
from outrider.events.delivery import (
    DeliveryStarted,
    EmailSent,
)
from outrider.events.enrollment import EnrollmentStopped
from outrider.events.ids import domain_key, domain_of
from outrider.events.message import Event
from tests.support.kernel import ACCOUNT, kernel
from tests.support.mail import SmtpSink
from tests.support.sending import (
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
