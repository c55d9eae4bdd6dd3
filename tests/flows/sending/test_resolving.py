"""A message of which nobody knows whether a server took it: a person settles it, or an answer does."""

from collections.abc import Mapping
from uuid import UUID

import pytest

from outrider.events.delivery import (
    DeliveryResolved,
    DeliveryUnknown,
    EmailSent,
    ResolveSend,
    SendAlreadyResolved,
    SendInFlight,
    SendNotFound,
    SendStep,
)
from outrider.events.ids import new_id
from outrider.events.inbound import AutoReplyReceived
from outrider.events.log import Write
from outrider.events.service import Service
from outrider.sender.resolving import Resolving
from tests.support.kernel import kernel
from tests.support.mail import DROP, SmtpSink
from tests.support.sending import ACCOUNT, Mailing, StartSender, until


async def lost(post: Mailing, sink: SmtpSink) -> tuple[UUID, SendStep]:
    """A job whose server hung up after it had taken the message; its credential."""
    credential = await post.credential(sink.port)
    [one] = await post.people(1, credential)
    sink.behave("accepted", DROP, times=1)
    job = await post.job(one, credential)
    await post.tell(job)
    [unknown] = await post.settled(job)
    assert isinstance(unknown, DeliveryUnknown)
    return credential, job


def resolving(service: Service, seconds: float = 0) -> Resolving:
    return Resolving(service.log, service.clock, seconds)


def said(job: SendStep, outcome: str) -> ResolveSend:
    return ResolveSend.model_validate(
        {"command_id": new_id(), "account_id": ACCOUNT, "delivery_id": job.delivery_id, "outcome": outcome}
    )


async def test_what_was_not_sent_is_sent_again_under_the_same_message_id(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    async with start() as service:
        credential, job = await lost(post, sink)
        with pytest.raises(SendInFlight) as early:
            await resolving(service, 900).on_resolve_send(said(job, "not_sent"))
        assert set(early.value.details) == {"not_before"}
        command = said(job, "not_sent")
        answer = await resolving(service).on_resolve_send(command)
        assert (answer.body, await post.used(credential)) == ({"id": str(job.delivery_id)}, 0)
        assert (await resolving(service).on_resolve_send(command)).body == answer.body, "told again it says the same"
        with pytest.raises(SendAlreadyResolved):
            await resolving(service).on_resolve_send(said(job, "sent"))
        again = job.model_copy(update={"attempt": 2})
        await post.tell(again, again)
        [sent] = await post.settled(again)
    assert isinstance(sent, EmailSent)
    assert await post.used(credential) == 1
    assert len(sink.messages) == 2
    assert len({mail.header("Message-ID") for mail in sink.messages}) == 1


async def test_what_was_sent_stays_as_it_counted(post: Mailing, sink: SmtpSink, start: StartSender) -> None:
    async with start() as service:
        credential, job = await lost(post, sink)
        await resolving(service, 900).on_resolve_send(said(job, "sent"))
        await post.tell(job.model_copy(update={"attempt": 2}))
        await post.taken()
    resolved = (await post.of(job))[-1]
    assert isinstance(resolved, DeliveryResolved)
    assert (resolved.outcome, await post.used(credential), len(sink.messages)) == ("sent", 1, 1)


async def test_nothing_else_can_be_resolved(post: Mailing, sink: SmtpSink, start: StartSender) -> None:
    async with start() as service:
        credential = await post.credential(sink.port)
        [one] = await post.people(1, credential)
        job = await post.job(one, credential)
        with pytest.raises(SendNotFound):
            await resolving(service).on_resolve_send(said(job, "sent"))
        await post.tell(job)
        await post.settled(job)
        with pytest.raises(SendAlreadyResolved):
            await resolving(service).on_resolve_send(said(job, "not_sent"))


async def test_an_answer_proves_that_it_was_sent(
    post: Mailing, sink: SmtpSink, start: StartSender, urls: Mapping[str, str]
) -> None:
    async with start(), kernel(urls, "reply_watcher") as watcher:
        _, job = await lost(post, sink)
        away = AutoReplyReceived(
            enrollment_id=job.enrollment_id,
            campaign_id=job.campaign_id,
            contact_id=job.contact_id,
            credential_id=job.credential_id,
            delivery_id=job.delivery_id,
            position=1,
            received_at=post.kernel.clock.now(),
        )
        await watcher.log.append(ACCOUNT, Write(f"inbound-{job.enrollment_id}", None, [away], new_id()))

        async def settled() -> bool:
            last = (await post.of(job))[-1]
            return isinstance(last, DeliveryResolved) and last.outcome == "sent"

        await until("it is settled", settled)
