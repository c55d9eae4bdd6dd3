"""Webhooks as they are listed, and the to-dos of their deliveries: the same whether run on, run again or rebuilt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid5

from outrider.api.webhooks.deliveries import deliveries
from outrider.api.webhooks.lateness import LATE
from outrider.events.database import Pool, Row, connect
from outrider.events.ids import new_id
from outrider.events.projector import Reader
from outrider.events.webhook import (
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookRedeliveryRequested,
    WebhookRegistered,
    WebhookRemoved,
    WebhookTestRequested,
)
from tests.support.api_events import ACCOUNT, START, Facts, enrollment, facts

HOOK, OTHER = UUID(int=1), UUID(int=2)


async def registered(found: Facts, webhook: UUID, *filters: str) -> None:
    await found.record("api", f"webhook-{webhook}", WebhookRegistered(webhook_id=webhook, event_filters=filters))


async def filled(found: Facts, work: Pool, limit: int = 500) -> None:
    """The to-dos are those of everything that is recorded."""
    await replace(found, reader=Reader(deliveries, found.logs["api"], work)).catch_up(limit)


async def rows(work: Pool, webhook: UUID) -> Sequence[Row]:
    return await work.fetch(
        "select key, owner, ordinal, data ->> 'type' as type, done_at is not null as done, error from todos "
        "where kind = 'deliver_webhook' and lane = $1 order by ordinal",
        webhook,
    )


async def test_the_list_shows_each_as_it_was_left(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        for webhook in (HOOK, OTHER):
            await registered(found, webhook, "*")
        changed = WebhookChanged(webhook_id=HOOK, event_filters=("enrollment.*",), url_changed=True)
        await found.record("api", f"webhook-{HOOK}", changed, WebhookDisabled(webhook_id=HOOK, reason="gone"))
        await found.record("api", f"webhook-{OTHER}", WebhookDisabled(webhook_id=OTHER, reason="failing"))
        await found.record("api", f"webhook-{OTHER}", WebhookEnabled(webhook_id=OTHER))
        await found.catch_up()
        shown = await found.tables.fetch(
            "select account_id, event_filters, disabled_at is not null as off, disabled_reason from webhooks "
            "order by webhook_id"
        )
        assert [tuple(row.values()) for row in shown] == [
            (ACCOUNT, ["enrollment.*"], True, "gone"),
            (ACCOUNT, ["*"], False, None),
        ]
        once = await found.dump()
        await found.forget()
        await found.catch_up(3)
        assert await found.dump() == once
        await found.record("api", f"webhook-{HOOK}", WebhookRemoved(webhook_id=HOOK))
        await found.catch_up()
        assert [row["webhook_id"] for row in await found.tables.fetch("select webhook_id from webhooks")] == [OTHER]


async def test_an_endpoint_gets_one_delivery_of_each_event_that_it_wants(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        work = await connect(urls["outrider_api"], "api_work", size=2)
        await found.begin(2)
        await registered(found, HOOK, "enrollment.*")
        await registered(found, OTHER, "campaign.activated")
        await found.dispatch(range(2))
        for number in range(2):
            await found.settle(number, 1)
        await filled(found, work)
        hook = await rows(work, HOOK)
        assert {row["type"] for row in hook} == {"enrollment.sent"}, "nothing from before it was registered"
        assert {row["owner"] for row in hook} == {uuid5(HOOK, str(enrollment(number))) for number in range(2)}
        assert [row["type"] for row in await rows(work, OTHER)] == ["campaign.activated"]
        positions = await found.tables.fetch("select position from log.events where type = 'EmailSent' order by 1")
        assert [row["ordinal"] for row in hook] == [row["position"] for row in positions]
        await work.execute("delete from checkpoints")
        await filled(found, work, 3)
        assert await rows(work, HOOK) == hook, "a second time adds nothing"
        await work.close()


async def test_what_is_late_is_what_an_endpoint_that_is_well_waits_for(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        work = await connect(urls["outrider_api"], "api_work", size=2)
        now = START
        for webhook in (HOOK, OTHER):
            await registered(found, webhook, "*")
            test = WebhookTestRequested(webhook_id=webhook, test_id=new_id())
            await found.record("api", f"webhook-{webhook}", test)
        await filled(found, work)

        async def late() -> float:
            seconds: float = await work.fetchval(LATE, now, now)
            return round(seconds)

        await work.execute("update todos set due_at = $1", now + timedelta(seconds=1))
        assert await late() == 0
        await work.execute("update todos set due_at = $1", now - timedelta(seconds=70))
        await work.execute("update todos set due_at = due_at - interval '1 day' where lane = $1", OTHER)
        await work.execute("update endpoints set consecutive_failures = 1 where webhook_id = $1", OTHER)
        assert await late() == 70
        await work.execute("update todos set not_before = $1 where lane = $2", now + timedelta(seconds=9), HOOK)
        assert await late() == 0, "somebody is at it"
        await work.close()


async def test_what_becomes_of_a_webhook_becomes_of_its_deliveries(urls: Mapping[str, str]) -> None:
    async with facts(urls) as found:
        work = await connect(urls["outrider_api"], "api_work", size=2)
        await registered(found, HOOK, "*")
        test_id = new_id()
        stream = f"webhook-{HOOK}"
        await found.record("api", stream, WebhookTestRequested(webhook_id=HOOK, test_id=test_id))
        await filled(found, work)
        (test,) = await rows(work, HOOK)
        assert (test["type"], test["owner"], test["done"]) == ("webhook.test", None, False)
        await found.record("api", stream, WebhookDisabled(webhook_id=HOOK, reason="failing"))
        await found.dispatch(range(0))
        await filled(found, work)
        (closed,) = await rows(work, HOOK)
        assert (closed["done"], closed["error"]) == (True, "the webhook was disabled")
        again = WebhookRedeliveryRequested(webhook_id=HOOK, delivery_id=UUID(test["key"]))
        strange = WebhookRedeliveryRequested(webhook_id=OTHER, delivery_id=UUID(test["key"]))
        await found.record("api", stream, WebhookEnabled(webhook_id=HOOK), again)
        await found.record("api", f"webhook-{OTHER}", strange)
        await filled(found, work)
        (opened,) = await rows(work, HOOK)
        assert (opened["done"], opened["error"]) == (False, None)
        await found.record("api", stream, WebhookRemoved(webhook_id=HOOK))
        await filled(found, work)
        assert await rows(work, HOOK) == []
        assert await work.fetchval("select count(*) from endpoints") == 0
        await work.close()
