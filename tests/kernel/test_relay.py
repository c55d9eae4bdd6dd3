"""The relay: the whole log, in order, once, whatever happens to whom."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

import nats
import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from outrider.api.relay import relaying
from outrider.api.relay.relaying import Relay
from outrider.events.bus import EVENTS_STREAM
from outrider.events.database import connect
from outrider.events.errors import Unavailable
from outrider.events.ids import new_id
from outrider.events.log import Write
from outrider.events.message import Json
from outrider.events.publication import Place, Publication, Publishable
from tests.kernel.until import running, until
from tests.support.kernel import ACCOUNT, Kernel, changed, kernel
from tests.support.servers import Server
from tests.support.shown import shown


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator[Client]:
    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    try:
        yield client
    finally:
        await client.close()


async def record(found: Kernel, number: int) -> None:
    stream = f"account-{ACCOUNT}"
    await found.log.append(ACCOUNT, Write(stream, None, [changed(limit) for limit in range(number)], new_id()))


async def published(url: str) -> list[Json]:
    """Everything in the stream."""
    async with connected(url) as client:
        stream = client.jetstream()
        try:
            state = (await stream.stream_info(EVENTS_STREAM)).state
        except NotFoundError:
            return []
        heard = await stream.subscribe("evt.>", stream=EVENTS_STREAM, ordered_consumer=True)
        return [json.loads((await heard.next_msg(5)).data) for _ in range(state.messages)]


async def positions(found: Kernel) -> Sequence[int]:
    return [row["position"] for row in await found.pool.fetch("select position from log.events order by position")]


async def all_there(found: Kernel, url: str) -> None:
    """The stream has every event, in order, once."""

    async def same() -> bool:
        return [one["position"] for one in await published(url)] == await positions(found)

    await until("everything is published", same)


async def kept_up(relay: Relay) -> None:
    """As the service does it."""
    while True:
        try:
            await relay.run()
        except Unavailable:
            await asyncio.sleep(0.05)


async def test_every_event_is_published_as_it_was_recorded(urls: Mapping[str, str], bus_url: str) -> None:
    async with kernel(urls) as found, connected(bus_url) as client:
        await record(found, 3)
        relay = Relay(found.log, found.pool, Publication(lambda: client, bus_url))
        async with running(kept_up(relay)):
            await all_there(found, bus_url)
            await record(found, 1200)
            relay.ring()
            await all_there(found, bus_url)
        first = (await published(bus_url))[0]
        assert first["type"] == "PlanChanged"
        assert first["data"] == {"account_id": str(ACCOUNT), "monthly_limit": 0}
        message = await client.jetstream().get_msg(EVENTS_STREAM, 1)
        assert message.subject == f"evt.{ACCOUNT}.account.PlanChanged"
        assert message.headers is not None
        assert message.headers["Nats-Msg-Id"] == f"0-{first['position']}"
        assert message.headers["Outrider-Position"] == str(first["position"])


async def test_a_killed_server_and_a_lost_stream_are_made_up_for(
    urls: Mapping[str, str], nats_server: Server, bus_url: str
) -> None:
    async with kernel(urls) as found, connected(bus_url) as client:
        relay = Relay(found.log, found.pool, Publication(lambda: client, bus_url))
        async with running(kept_up(relay)):
            await record(found, 10)
            await all_there(found, bus_url)
            await relay.measure()
            assert shown("outrider_reader_lag_events", reader="api.relay") == 0
            nats_server.kill()
            await record(found, 700)
            await relay.measure()
            assert shown("outrider_reader_lag_events", reader="api.relay") == 700
            nats_server.revive()
            await all_there(found, bus_url)
            await client.jetstream().delete_stream(EVENTS_STREAM)
            await record(found, 1)
            await all_there(found, bus_url)


async def test_of_two_relays_one_is_at_work_and_the_other_follows(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kernel(urls) as found, connected(bus_url) as client:
        one, two = (Relay(found.log, found.pool, Publication(lambda: client, bus_url)) for _ in range(2))
        async with running(kept_up(two)):
            async with running(kept_up(one)):
                for _ in range(20):
                    await record(found, 50)
                await all_there(found, bus_url)
            for relay in (one, two):  # whichever it was hands over, as a process that ends does
                await relay.stop()
        await record(found, 50)
        monkeypatch.setattr(relaying, "LEASE_SECONDS", -1.0)
        await one.measure()
        assert shown("outrider_reader_lag_events", reader="api.relay") is None, "it is another's turn"
        monkeypatch.undo()
        third = Relay(found.log, found.pool, Publication(lambda: client, bus_url))
        async with running(kept_up(third)):
            await all_there(found, bus_url)


async def test_a_log_that_the_stream_is_ahead_of_is_not_relayed_and_a_restored_one_has_another_epoch(
    urls: Mapping[str, str], bus_url: str
) -> None:
    async with kernel(urls) as found, kernel(urls, "api") as its, connected(bus_url) as client:
        await record(found, 3)
        relay = Relay(its.log, its.pool, Publication(lambda: client, bus_url))
        async with running(kept_up(relay)):
            await all_there(found, bus_url)
        await relay.stop()
        owner = await connect(urls["owner"], "log", size=1)
        await owner.execute("delete from log.events where position > 1")  # as a backup would have it
        relay = Relay(its.log, its.pool, Publication(lambda: client, bus_url))
        with pytest.raises(Unavailable, match="outrider restore"):
            await relay.run()
        await owner.execute("insert into log.restores (epoch, backup_position) values (4, 1)")
        owner.terminate()
        await record(found, 1)
        async with running(kept_up(relay)):
            await until("the newest is published", lambda: newest(client, "4-4"))


async def newest(client: Client, message_id: str) -> bool:
    message = await client.jetstream().get_last_msg(EVENTS_STREAM, "evt.>")
    headers = cast("Mapping[str, str] | None", message.headers) or {}
    return headers["Nats-Msg-Id"] == message_id


async def test_whoever_was_deposed_can_put_nothing_between(bus_url: str) -> None:
    async with connected(bus_url) as client:
        publication = Publication(lambda: client, bus_url)
        events = [Publishable(number, f"evt.{ACCOUNT}.account.PlanChanged", b"{}") for number in range(1, 6)]
        place = await publication.publish(events[:2], await publication.last())
        assert place == await publication.last() == Place(2, 2)
        await publication.publish(events[2:4], place)
        with pytest.raises(Unavailable):
            await publication.publish(events[4:], place)
        assert await publication.last() == Place(4, 4)
