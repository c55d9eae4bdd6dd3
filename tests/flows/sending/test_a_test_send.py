"""A test send is carried out by whoever recorded its start, and by nobody else, however often it is told."""

from uuid import UUID

from outrider.events import vault
from outrider.events.campaign import CampaignChanged, CampaignSettings
from outrider.events.ids import new_id
from outrider.events.service import Service
from outrider.events.test_send import SendTest
from outrider.events.vault import Entry
from outrider.sender.letters import Letters
from outrider.sender.sending_tests import SendingTests
from tests.support.mail import SmtpSink
from tests.support.sending import ACCOUNT, Mailing, StartSender, until


def replica(post: Mailing, service: Service) -> SendingTests:
    letters = Letters(service.settings, service.log_pool, service.tables)
    return SendingTests(service.log, service.log_pool, service.tables, service.clock, letters, post.keyring)


async def test_a_test_is_mailed_once_however_often_it_is_told(
    post: Mailing, sink: SmtpSink, start: StartSender
) -> None:
    footers = CampaignSettings(unsubscribe_footer=True)
    await post.record(f"campaign-{post.campaign}", CampaignChanged(campaign_id=post.campaign, settings=footers))
    address = Entry(ACCOUNT, "postal_address", ACCOUNT, "account", {"postal_address": "1 Road"})
    await vault.put(post.kernel.pool, [address])
    await post.credential(sink.port)
    command = SendTest(command_id=new_id(), account_id=ACCOUNT, campaign_id=post.campaign)
    emails = ["a@own.example", "b@own.example"]
    entry = Entry(command.command_id, "emails", ACCOUNT, "campaign", {"emails": emails})
    await vault.put(post.kernel.pool, [entry])
    stream = f"testSend-{command.command_id}"
    async with start() as service:
        assert await service.readers[0].reach(await post.kernel.log.last_position())
        first, second = replica(post, service), replica(post, service)
        answer = await first.on_send_test(command)
        assert (answer.status, answer.body["messages"]) == (202, 4)
        for one in (first, second, replica(post, service)):
            assert (await one.on_send_test(command)) == answer

        async def ended() -> bool:
            return len(await post.history(stream)) > 1

        await until("the test has ended", ended)
        for one in (first, second):
            await one.stop()
    assert [event.name for event in await post.history(stream)] == ["TestSendStarted", "TestSendEnded"]
    texts = [mail.message.get_body(("plain",)) for mail in sink.messages]
    said = [text.get_content().replace("\r\n", "\n").rstrip() for text in texts if text is not None]
    assert all(text.endswith("-- \n1 Road\nUnsubscribe: https://example.com/u/sample") for text in said)
    assert [mail.recipient for mail in sink.messages] == [email for email in emails for _ in range(2)]
    assert UUID(answer.body["id"]) == command.command_id
