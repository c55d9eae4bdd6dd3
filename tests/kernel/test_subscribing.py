"""Hearing of events from outside: one account's, in order, with rights for nothing else."""

import asyncio
import os
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path
from typing import cast
from uuid import UUID

import nats
import pytest
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from outrider.events.account import PlanChanged
from outrider.events.bus import declare
from outrider.events.ids import new_id
from outrider.events.message import Event, Recorded
from outrider.events.publication import Publication, Publishable
from outrider.events.streams import declare_subscriber
from outrider.events.subscribing import subscribe
from outrider.local.home import write_private
from outrider.local.nats import PROGRAM
from outrider.local.serving import Part, answers
from tests.support.servers import Server, Servers

ACCOUNTS = Path(__file__).parents[2] / "deploy/nats/accounts.conf"
MINE, OTHER = new_id(), new_id()
CONFIG = """listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor}"
jetstream {{ store_dir: "{folder}/data" }}
include "accounts.conf"
"""
Url = str


@pytest.fixture
def fenced(servers: Servers) -> Generator[tuple[Server, Url, Url]]:
    """A nats-server with the accounts of deploy/nats: the services' URL, and the subscriber's."""
    folder = servers.folder("nats-accounts")
    port, monitor = servers.ports.pick(folder.name), servers.ports.pick(f"{folder.name} monitor")
    write_private(folder / "accounts.conf", ACCOUNTS.read_text(encoding="utf-8"))
    write_private(folder / "nats.conf", CONFIG.format(port=port, monitor=monitor, folder=folder))
    secrets = {"OUTRIDER_NATS_PASSWORD": "ours", "CRM_NATS_PASSWORD": "theirs"}
    part = Part(
        folder.name,
        (PROGRAM, "-c", str(folder / "nats.conf")),
        answers(monitor, "/healthz?js-enabled-only=true"),
        secrets,
    )
    servers.machine.start(part)
    url = f"nats://outrider:ours@127.0.0.1:{port}"
    yield Server(url, folder.name, servers.machine), url, f"nats://crm:theirs@127.0.0.1:{port}"
    servers.machine.drop(folder.name)


def publishable(position: int, account: UUID) -> Publishable:
    said = (
        f'{{"position":{position},"account_id":"{account}","stream":"account-{account}","version":1,'
        f'"type":"PlanChanged","type_version":1,"cause":"{account}","ordinal":0,"business_at":"2026-03-02T09:00:00Z",'
        f'"recorded_at":"2026-03-02T09:00:00Z","data":{{"account_id":"{account}","monthly_limit":{position}}}}}'
    )
    return Publishable(position, f"evt.{account}.account.PlanChanged", said.encode())


async def publish(url: str, *positions: int) -> None:
    """Events of two accounts in turn: the even ones are mine."""
    client = await nats.connect(url)
    publication = Publication(lambda: client, url)
    events = [publishable(number, OTHER if number % 2 else MINE) for number in positions]
    await publication.publish(events, await publication.last())
    await client.close()


async def heard(events: AsyncGenerator[Recorded[Event]], number: int) -> Sequence[int]:
    """The positions of the next so many."""
    found: list[int] = []
    async with asyncio.timeout(60):
        async for item in events:
            assert item.account_id == MINE
            assert cast("PlanChanged", item.event).monthly_limit == item.position
            found.append(item.position)
            if len(found) == number:
                break
    return found


async def test_a_subscriber_hears_his_own_account_in_order_and_goes_on_where_he_was(
    fenced: tuple[Server, Url, Url],
) -> None:
    server, ours, theirs = fenced
    await declare(ours)
    await declare_subscriber(ours, "crm", MINE)
    await publish(ours, *range(1, 21))
    events = subscribe(theirs, "crm")
    assert await heard(events, 10) == list(range(2, 21, 2))
    server.kill()
    server.revive()
    await publish(ours, *range(21, 41))
    assert await heard(events, 9) == list(range(22, 39, 2))
    await anext(events)
    await events.aclose()


async def test_he_can_read_nobody_else_and_tell_the_services_nothing(fenced: tuple[Server, Url, Url]) -> None:
    _, ours, theirs = fenced
    await declare(ours)
    await declare_subscriber(ours, "crm", MINE)
    await declare_subscriber(ours, "other", OTHER)
    await publish(ours, 1, 2)
    services = await nats.connect(ours)
    spy = await services.subscribe("cmd.>")
    client = await nats.connect(theirs)
    stream = client.jetstream(timeout=0.5)
    for forbidden in (
        stream.stream_info("EVENTS"),
        stream.consumer_info("EVENTS", "crm"),
        stream.get_last_msg("EVENTS", "evt.>"),
        stream.delete_consumer("EVENTS", "crm"),
        stream.publish("cmd.dispatcher", b"x", timeout=0.5),
        (await stream.pull_subscribe_bind(durable="other", stream="EVENTS")).fetch(1, timeout=0.5),
    ):
        with pytest.raises((NatsError, JetStreamError)):
            await forbidden
    await client.publish("$JS.API.CONSUMER.MSG.NEXT.EVENTS.crm", b"1", reply="cmd.dispatcher")
    await client.flush()
    await services.flush()
    with pytest.raises(NatsError):
        await spy.next_msg(timeout=0.5)
    await client.close()
    await services.close()


def test_the_package_needs_no_setting() -> None:
    assert not [name for name in os.environ if name.startswith("OUTRIDER_")], "a subscriber is configured by arguments"
