"""A credential: refused, not reached, changed, slow; the others go on."""

from typing import Any
from uuid import UUID

import pytest

from outrider.events.credential import (
    CredentialChanged,
    CredentialDisabled,
    CredentialReenabled,
    CredentialRefused,
)
from outrider.events.delivery import (
    DeliveryDeferred,
    EmailSent,
)
from outrider.events.vault import get
from outrider.sender import desk, handlers
from outrider.sender.quota import day_id, quota_day
from tests.support.mail import DROP, SmtpSink, Stall, smtp_sink
from tests.support.sending import ACCOUNT, PASSWORD, USER, Hurried, Mailing, StartSender, until


async def test_a_refused_password_stops_the_credential_at_once_and_loses_no_mail(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    credential = await post.credential(sink.port, password="wrong")
    people = await post.people(6, credential)
    jobs = [await post.job(one, credential) for one in people]
    async with start():
        await post.tell(*jobs)
        await post.taken()
        [tried] = [job for job in jobs if await post.of(job)]
        [deferred] = await post.settled(tried)
        assert isinstance(deferred, DeliveryDeferred)
        assert (deferred.by, deferred.status_code) == ("credential", "5.7.8")
        assert [moment.stage for moment in sink.moments].count("auth") == 1
        today = quota_day.stream(day_id(credential, post.kernel.clock.now().date()))
        refused = [event for event in await post.history(today) if isinstance(event, CredentialRefused)]
        assert [(event.kind, event.status_code) for event in refused] == [("auth_failed", "5.7.8")]
        assert await post.used(credential) == 0
        await until("words", lambda: error_stands(post, credential))
        await mend(post, credential, sink.port)
        again = [await post.job(one, credential, attempt=1 + (one.enrollment == tried.enrollment_id)) for one in people]
        await post.tell(*again)
        outcomes = await post.settled(*again)
    assert all(isinstance(outcome, EmailSent) for outcome in outcomes)
    assert len(sink.messages) == 6


async def error_stands(post: Mailing, credential: UUID) -> bool:
    words = await get(post.kernel.pool, ACCOUNT, credential, "smtp_error")
    return words is not None and "not accepted" in words["reply"]


async def mend(post: Mailing, credential: UUID, port: int) -> None:
    """The dispatcher disables it, its owner corrects the password and uses it again."""
    about: dict[str, Any] = {"credential_id": credential, "campaign_id": post.campaign}
    await post.record(f"credential-{credential}", CredentialDisabled(**about, reason="auth_failed"))
    await post.put_server(credential, port)
    changed = CredentialChanged(**about, daily_limit=100)
    await post.record(f"credential-{credential}", changed, CredentialReenabled(**about))


async def test_a_host_that_fails_lets_its_credential_rest(post: Mailing, sink: SmtpSink, start: StartSender) -> None:
    credential = await post.credential(sink.port)
    people = await post.people(5, credential)
    sink.behave("rcpt", DROP, times=1)
    jobs = [await post.job(one, credential) for one in people]
    async with start():
        await post.tell(jobs[0])
        [deferred] = await post.settled(jobs[0])
        await post.tell(*jobs[1:])
        await post.handed_out()
    assert isinstance(deferred, DeliveryDeferred)
    assert deferred.by == "host"
    assert await post.used(credential) == 0, "what did not go out gives its place back"
    assert [await post.of(job) for job in jobs[1:]] == [[]] * 4
    assert sink.connections == 1


async def test_one_whose_server_takes_no_more_today_is_not_tried_again(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    credential = await post.credential(sink.port)
    jobs = [await post.job(one, credential) for one in await post.people(4, credential)]
    sink.behave("rcpt", "550 5.4.5 Daily sending limit exceeded")
    async with start():
        await post.tell(*jobs)
        await post.taken()
    tried = [job for job in jobs if await post.of(job)]
    [deferred] = [(await post.of(job))[-1] for job in tried]
    assert isinstance(deferred, DeliveryDeferred)
    assert deferred.by == "credential"
    today = quota_day.stream(day_id(credential, post.kernel.clock.now().date()))
    [refused] = [event for event in await post.history(today) if isinstance(event, CredentialRefused)]
    assert refused.kind == "held_today"
    assert await post.used(credential) == 0


async def test_a_rested_credential_goes_on(hurried: Hurried, sink: SmtpSink, start: StartSender) -> None:
    async with hurried(100) as post:
        credential = await post.credential(sink.port)
        jobs = [await post.job(one, credential) for one in await post.people(4, credential)]
        sink.behave("connect", DROP, times=1)
        async with start():
            await post.tell(jobs[0])
            [deferred] = await post.settled(jobs[0])
            await post.tell(*jobs[1:])
            await post.settled(*jobs[1:])
    assert isinstance(deferred, DeliveryDeferred)
    assert len(sink.messages) == 3


async def test_connections_are_used_again(post: Mailing, sink: SmtpSink, start: StartSender) -> None:
    credential = await post.credential(sink.port)
    jobs = [await post.job(one, credential) for one in await post.people(25, credential)]
    async with start():
        await post.tell(*jobs)
        await post.settled(*jobs)
    assert len(sink.messages) == 25
    assert sink.connections <= 2


async def test_a_changed_credential_cuts_no_mail_that_is_under_way(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    credential = await post.credential(sink.port)
    known, first, second = await post.people(3, credential)
    sink.behave("accepted", Stall(3), recipient=first.email)
    async with smtp_sink({USER: PASSWORD}) as other, start():
        job = await post.job(known, credential)
        await post.tell(job)  # until its server has answered once, a credential has one slot alone
        await post.settled(job)
        slow = await post.job(first, credential)
        await post.tell(slow)
        await sink.until(lambda: len(sink.messages) == 2)
        await post.put_server(credential, other.port)
        changed = CredentialChanged(credential_id=credential, campaign_id=post.campaign, daily_limit=100)
        await post.record(f"credential-{credential}", changed)
        after = await post.job(second, credential)
        await post.tell(after)
        await post.settled(after)
        assert len(await post.of(slow)) == 1, "the first must be under way still"
        [outcome] = await post.settled(slow)
        assert [mail.recipient for mail in other.messages] == [second.email]
    assert isinstance(outcome, EmailSent)


async def test_a_slow_credential_leaves_the_workers_to_the_others(
    post: Mailing, sink: SmtpSink, start: StartSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "GRACE_SECONDS", 0.2)
    async with smtp_sink({USER: PASSWORD}) as silent:
        silent.behave("connect", Stall())
        slow, quick = await post.credential(silent.port), await post.credential(sink.port)
        stuck = [await post.job(one, slow) for one in await post.people(80, slow)]
        jobs = [await post.job(one, quick) for one in await post.people(10, quick)]
        async with start():
            await post.tell(*stuck)
            await silent.until(lambda: silent.connections == 1)
            await post.tell(*jobs)
            await post.settled(*jobs, seconds=25)  # the slow one's desk gives up after 30 s
    assert len(sink.messages) == 10


async def test_desks_that_make_room_for_others_come_back(
    post: Mailing, sink: SmtpSink, start: StartSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "KEPT", 1)
    credentials = [await post.credential(sink.port, daily_limit=2) for _ in range(3)]
    people = [(credential, await post.people(3, credential)) for credential in credentials]
    async with start():
        for turn in range(3):
            jobs = [await post.job(group[turn], credential) for credential, group in people]
            await post.tell(*jobs)
            if turn < 2:
                await post.settled(*jobs)
            else:
                await post.taken()
    assert len(sink.messages) == 6, "the limit of each must hold"
