"""One send: mailed once, with the right headers, and one outcome whatever the server does."""

from uuid import UUID

import pytest

from outrider.events.delivery import (
    DeliveryDeferred,
    DeliveryFailed,
    DeliveryUnknown,
    EmailBounced,
    EmailSent,
)
from outrider.events.tokens import Purpose, read_message_id, read_token
from outrider.events.vault import Entry, get, put
from outrider.sender import handlers
from tests.support.mail import DROP, SmtpSink, Stall
from tests.support.sending import ACCOUNT, PUBLIC_URL, USER, Mailing, Person, StartSender, until


async def test_a_step_is_mailed_once_however_often_it_is_told(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    credential = await post.credential(sink.port)
    people = await post.people(5, credential)
    jobs = [await post.job(one, credential) for one in people]
    async with start(), start():  # two replicas
        await post.tell(*jobs, *jobs, *jobs)
        outcomes = await post.settled(*jobs)
        await post.taken()
        await post.tell(*jobs)
        await post.taken()
    assert sorted(mail.recipient for mail in sink.messages) == sorted(one.email for one in people)
    assert all(isinstance(outcome, EmailSent) for outcome in outcomes)
    assert await post.used(credential) == len(people)


async def test_a_mail_says_what_it_must(post: Mailing, sink: SmtpSink, start: StartSender) -> None:
    credential = await post.credential(sink.port)
    [one] = await post.people(1, credential)
    async with start():
        first = await post.job(one, credential)
        await post.tell(first)
        await post.settled(first)
        second = await post.job(one, credential, position=2)
        await post.tell(second)
        await post.settled(second)
    opening, follow_up = sink.messages
    assert (opening.sender, opening.user) == (USER, USER)
    assert read_message_id(post.keyring, opening.header("Message-ID")) == first.delivery_id
    assert opening.header("Message-ID").endswith("@sender.example>")
    assert read_message_id(post.keyring, follow_up.header("Message-ID")) == second.delivery_id
    assert (opening.header("In-Reply-To"), opening.header("References")) == ("", "")
    assert follow_up.header("In-Reply-To") == follow_up.header("References") == opening.header("Message-ID")
    assert opening.header("Subject") == "Hi Zoë 0"
    assert f"Re: {opening.header('Subject')}" == follow_up.header("Subject")
    raw = opening.content.decode()
    [leave] = [line for line in raw.split("\r\n") if line.startswith("List-Unsubscribe: ")]
    url = leave.removeprefix("List-Unsubscribe: <").removesuffix(">")
    token = read_token(post.keyring, Purpose.UNSUBSCRIBE, url.removeprefix(f"{PUBLIC_URL}/u/"))
    assert token is not None
    assert token.delivery == first.delivery_id
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in raw
    html = opening.message.get_body(("html",))
    assert html is not None
    pixel = html.get_content().partition(f"{PUBLIC_URL}/t/o/")[2].partition(".gif")[0]
    opened = read_token(post.keyring, Purpose.OPEN, pixel)
    assert opened is not None
    assert opened.delivery == first.delivery_id
    assert "Dear Zoë 0," in html.get_content()


async def test_a_follow_up_through_another_credential_stays_in_its_thread(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    before, after = [await post.credential(sink.port) for _ in range(2)]
    [one] = await post.people(1, before)
    async with start():
        first = await post.job(one, before)
        await post.tell(first)
        await post.settled(first)
        left = Entry(before, "server", ACCOUNT, "credential", {"from_email": "ann@first.example"})
        await put(post.kernel.pool, [left])  # as if it had been removed
        second = (await post.job(one, after, position=2)).model_copy(update={"first_credential_id": before})
        await post.tell(second)
        await post.settled(second)
    _, follow_up = sink.messages
    assert follow_up.header("In-Reply-To").endswith("@first.example>")
    assert read_message_id(post.keyring, follow_up.header("In-Reply-To")) == first.delivery_id
    assert follow_up.header("Message-ID").endswith("@sender.example>")


async def test_a_refused_recipient_bounces_and_its_place_is_free_again(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    credential = await post.credential(sink.port, daily_limit=1)
    gone, other = await post.people(2, credential)
    sink.behave("rcpt", "550 5.1.1 No such user here", recipient=gone.email)
    async with start():
        job = await post.job(gone, credential)
        await post.tell(job)
        [bounced] = await post.settled(job)
        assert await post.used(credential) == 0
        after = await post.job(other, credential)
        await post.tell(after)
        await post.settled(after)
        await until("words", lambda: words_stand(post, gone, job.delivery_id, "No such user here"))
    assert isinstance(bounced, EmailBounced)
    assert (bounced.kind, bounced.status_code, bounced.reason) == ("hard", "5.1.1", "user_unknown")
    assert [mail.recipient for mail in sink.messages] == [other.email]
    assert await post.used(credential) == 1


async def words_stand(post: Mailing, one: Person, delivery: UUID, words: str) -> bool:
    value = await get(post.kernel.pool, ACCOUNT, one.contact, f"smtp-reply-{delivery}-1")
    return value is not None and words in value["reply"]


async def test_a_deferred_one_is_tried_again_only_when_the_next_attempt_is_told(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    credential = await post.credential(sink.port)
    [one] = await post.people(1, credential)
    sink.behave("rcpt", "451 4.7.1 Greylisted", times=1)
    async with start():
        job = await post.job(one, credential)
        await post.tell(job)
        [deferred] = await post.settled(job)
        assert isinstance(deferred, DeliveryDeferred)
        assert (deferred.by, deferred.status_code) == ("recipient_server", "4.7.1")
        assert 20 < (deferred.not_before - post.kernel.clock.now()).total_seconds() < 40
        assert await post.used(credential) == 0
        await post.tell(job, await post.job(one, credential, attempt=3))
        await post.taken()
        assert await post.of(job) == (await post.of(job))[:2]
        again = await post.job(one, credential, attempt=2)
        await post.tell(again, again)
        [sent] = await post.settled(again)
    assert isinstance(sent, EmailSent)
    assert len(sink.messages) == 1
    ids = {mail.header("Message-ID") for mail in sink.messages}
    assert [read_message_id(post.keyring, one) for one in ids] == [job.delivery_id]


async def test_a_connection_lost_after_the_dot_is_unknown_and_never_repeated(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    credential = await post.credential(sink.port)
    [one] = await post.people(1, credential)
    sink.behave("accepted", DROP, times=1)
    async with start():
        job = await post.job(one, credential)
        await post.tell(job)
        [unknown] = await post.settled(job)
        await post.tell(job, await post.job(one, credential, attempt=2))
        await post.taken()
    assert isinstance(unknown, DeliveryUnknown)
    assert unknown.reason == "lost_after_data"
    assert len(sink.messages) == 1
    assert [event.name for event in await post.of(job)] == ["DeliveryStarted", "DeliveryUnknown"]
    assert await post.used(credential) == 1


async def test_one_that_cannot_be_rendered_fails_by_itself(post: Mailing, sink: SmtpSink, start: StartSender) -> None:
    broken = {"subject": "{{", "body_html": "<p>", "body_text": None}
    await put(post.kernel.pool, [Entry(post.campaign, "template-1-1", ACCOUNT, "campaign", broken)])
    credential = await post.credential(sink.port)
    [one] = await post.people(1, credential)
    async with start():
        job = await post.job(one, credential)
        await post.tell(job)
        [failed] = await post.settled(job)
    assert isinstance(failed, DeliveryFailed)
    assert not sink.messages
    assert await post.used(credential) == 0


async def test_an_outcome_that_comes_late_settles_the_unknown(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    credential = await post.credential(sink.port)
    [one] = await post.people(1, credential)
    sink.behave("accepted", Stall(3), times=1)
    async with start(settle_seconds=0.2):
        job = await post.job(one, credential)
        await post.tell(job)
        [unknown] = await post.settled(job)
        await until("late", lambda: counts(post, job.delivery_id, 3))
    assert isinstance(unknown, DeliveryUnknown)
    assert unknown.reason == "no_outcome"
    sent = (await post.of(job))[-1]
    assert isinstance(sent, EmailSent)
    assert sent.late
    assert await post.used(credential) == 1


async def counts(post: Mailing, delivery: UUID, count: int) -> bool:
    return len(await post.history(f"delivery-{delivery}")) == count


async def test_at_a_stop_what_is_under_way_is_cut_and_recorded_as_what_it_is(
    post: Mailing, sink: SmtpSink, start: StartSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "GRACE_SECONDS", 0.2)
    credential = await post.credential(sink.port)
    first, before, after = await post.people(3, credential)
    sink.behave("rcpt", Stall(), recipient=before.email)
    sink.behave("accepted", Stall(), recipient=after.email)
    jobs = [await post.job(before, credential), await post.job(after, credential)]
    async with start():
        known = await post.job(first, credential)
        await post.tell(known)  # until its server has answered once, a credential has one slot alone
        await post.settled(known)
        await post.tell(*jobs)
        await sink.until(lambda: len(sink.messages) == 2)
        await sink.until(lambda: sum(moment.stage == "rcpt" for moment in sink.moments) == 3)
        await post.taken()  # acknowledged at the claim: nothing on the bus can begin them again
    deferred, unknown = (await post.of(jobs[0]))[-1], (await post.of(jobs[1]))[-1]
    assert isinstance(deferred, DeliveryDeferred)
    assert deferred.by == "not_begun"
    assert isinstance(unknown, DeliveryUnknown)
    assert unknown.reason == "shutdown"
    assert await post.used(credential) == 2
