"""Webhooks: every event arrives, signed, in order, whatever endpoints and processes do."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from outrider.api.webhooks.posting import SECONDS as PATIENCE_SECONDS
from outrider.events import vault
from outrider.events.clock import real_clock
from outrider.events.database import connect
from outrider.events.engagement import EmailOpened
from outrider.events.ids import new_id
from outrider.events.log import Log, Write
from outrider.events.vault import Sealer
from tests.support import servers as support
from tests.support.http import problem
from tests.support.mailed import mailed
from tests.support.receiver import HANG, Heard, Receiver, receiving
from tests.support.servers import Servers
from tests.support.system import System, started
from tests.support.waiting import wait_until

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def gateway(servers: Servers, template: "asyncpg.Connection") -> AsyncGenerator[System]:
    """The API, and what delivers."""
    async with support.database(servers, template) as url:
        with ExitStack() as stack:
            nats = stack.enter_context(servers.nats())
            services = ("dispatcher", "api", "webhooks")
            yield await started(servers, stack.callback, url, nats.url, clock="", settings=None, services=services)


@pytest.fixture
async def client(gateway: System) -> AsyncGenerator[httpx.AsyncClient]:
    """A tenant of the test's own."""
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as client:
        operator = {"Authorization": f"Bearer {gateway.operator_token}"}
        account = (await client.post("/accounts", json={"account": {"name": "Hooked"}}, headers=operator)).json()
        client.headers["Authorization"] = f"Bearer {account['api_key']['plaintext']}"
        yield client


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    """Where everything arrives."""
    async with receiving() as one:
        yield one


async def registered(client: httpx.AsyncClient, url: str, *filters: str) -> Json:
    answer = await client.post("/webhooks", json={"webhook": {"url": url, "event_filters": filters or ["*"]}})
    assert answer.status_code == 201, answer.text
    webhook: Json = answer.json()
    return webhook


async def imported(client: httpx.AsyncClient) -> str:
    rows = [{"email": f"{new_id()}@hooked.example"}]
    answer = await client.post("/contact_imports", json={"contact_import": {"name": "One", "contacts": rows}})
    return str(answer.json()["id"])


async def deliveries(client: httpx.AsyncClient, webhook: Json) -> list[Json]:
    rows: list[Json] = (await client.get(f"/webhooks/{webhook['id']}/deliveries")).json()
    return rows


async def delivery(client: httpx.AsyncClient, webhook: Json, **wanted: object) -> Json:
    """The newest delivery, once it is like that."""
    async with asyncio.timeout(60):
        while True:
            rows = await deliveries(client, webhook)
            if rows and wanted.items() <= rows[0].items():
                return rows[0]
            await asyncio.sleep(0.05)


async def disabled(client: httpx.AsyncClient, webhook: Json) -> Json:
    """The webhook, once it is."""
    async with asyncio.timeout(60):
        while True:
            shown: Json = (await client.get(f"/webhooks/{webhook['id']}")).json()
            if shown["disabled_at"] is not None:
                return shown
            await asyncio.sleep(0.05)


async def opened(gateway: System, client: httpx.AsyncClient, path: str, delivered: UUID, times: int) -> None:
    """The mail was looked at so often."""
    one = (await client.get(f"{path}/enrollments")).json()[0]
    pool = await connect(gateway.site.role_urls()["outrider_api"], "log", size=1)
    clock = real_clock()
    events = [
        EmailOpened(
            delivery_id=delivered,
            enrollment_id=UUID(one["id"]),
            campaign_id=UUID(path.rpartition("/")[2]),
            contact_id=UUID(one["contact_id"]),
            position=1,
            opened_at=clock.now() + timedelta(seconds=number),
            counts=True,
        )
        for number in range(times)
    ]
    account = UUID((await client.get("/account")).json()["id"])
    await Log(pool, clock).append(account, Write(f"engagement-{delivered}", 0, events, new_id()))
    await pool.close()


async def in_the_work(gateway: System, query: str, *values: object) -> None:
    """Done to what the webhooks process remembers: time cannot be waited for."""
    owner = await asyncpg.connect(gateway.site.database_url)
    await owner.execute("set search_path to api_work")
    await owner.execute(query, *values)
    await owner.close()


async def all_of_it(client: httpx.AsyncClient, receiver: Receiver, path: str) -> list[Json]:
    """The account's events, once the mail was sent and the campaign paused, and this endpoint has heard all of them."""
    async with asyncio.timeout(60):
        while True:
            page: list[Json] = (await client.get("/events", headers={"Accept": "application/json"})).json()
            ended = {"campaign.paused", "campaign.completed"} <= {one["type"] for one in page}
            if ended and {one["id"] for one in page} == {one.payload["id"] for one in receiver.at(path)}:
                return page
            await asyncio.sleep(0.05)


def types(heard: Sequence[Heard]) -> set[str]:
    return {one.payload["type"] for one in heard}


def verified(secret: str, heard: Heard) -> Mapping[str, Any]:
    found: Mapping[str, Any] = Verifier(secret).verify(heard.body.decode(), dict(heard.headers))
    return found


async def test_what_happens_arrives_signed_once_and_in_order(
    gateway: System, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    everything = await registered(client, receiver.url("/all"))
    few = await registered(client, receiver.url("/few"), "enrollment.*", "campaign.paused")
    path, delivered = await mailed(gateway, client, timedelta(hours=1))
    await opened(gateway, client, path, delivered, 3)
    await client.post(f"{path}/pause")
    page = await all_of_it(client, receiver, "/all")
    about_people = [one["type"] for one in page if one["type"].startswith("enrollment.")]
    assert about_people[0] == "enrollment.sent"
    assert about_people.count("enrollment.opened") == 1
    await receiver.until(lambda: len(receiver.at("/few")) == len(about_people) + 1)
    said = {one.headers["webhook-id"]: verified(everything["secret"], one) for one in receiver.at("/all")}
    assert said == {one["id"]: one for one in page}, "the payload is that of GET /events, once each"
    order = [one.payload["type"] for one in receiver.at("/all") if one.payload["type"].startswith("enrollment.")]
    assert order == about_people
    assert types(receiver.at("/few")) == {*about_people, "campaign.paused"}
    assert verified(few["secret"], receiver.at("/few")[0])
    rows = await deliveries(client, everything)
    assert [row["event_type"] for row in rows] == [one["type"] for one in reversed(page)]
    assert set(rows[0]) == {"id", "event_type", "attempt", "status_code", "error", "delivered_at", "created_at"}
    assert {(row["attempt"], row["status_code"], row["error"]) for row in rows} == {(1, 200, None)}
    assert all(row["delivered_at"] for row in rows)


async def test_what_failed_is_tried_again_and_can_be_asked_for(
    gateway: System, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await registered(client, receiver.url())
    receiver.answer = lambda _: 503
    import_id = await imported(client)
    row = await delivery(client, webhook, attempt=1)
    assert (row["status_code"], row["error"], row["delivered_at"]) == (503, "answered 503", None)
    assert (await client.get(f"/webhooks/{webhook['id']}")).json()["consecutive_failures"] == 1
    receiver.answer = lambda _: 200
    await in_the_work(gateway, "update todos set not_before = clock_timestamp() where key = $1", row["id"])
    again = await delivery(client, webhook, attempt=2)
    assert (again["status_code"], again["error"]) == (200, None)
    assert (await client.get(f"/webhooks/{webhook['id']}")).json()["consecutive_failures"] == 0
    answer = await client.post(f"/webhooks/{webhook['id']}/deliveries/{row['id']}/redeliver")
    assert answer.status_code == 202
    await receiver.until(lambda: len(receiver.heard) == 3)
    assert {one.headers["webhook-id"] for one in receiver.heard} == {receiver.heard[0].headers["webhook-id"]}
    assert {one.payload["data"]["contact_import_id"] for one in receiver.heard} == {import_id}


async def test_the_eighth_failure_is_the_last(gateway: System, client: httpx.AsyncClient, receiver: Receiver) -> None:
    webhook = await registered(client, receiver.url())
    receiver.answer = lambda _: 500
    await imported(client)
    row = None
    for attempt in range(1, 9):
        row = await delivery(client, webhook, attempt=attempt)
        await in_the_work(gateway, "update endpoints set rests_until = null")
        await in_the_work(gateway, "update todos set not_before = clock_timestamp() where key = $1", row["id"])
    assert row is not None
    assert row["error"] == "answered 500"
    assert len(receiver.heard) == 8
    receiver.answer = lambda _: 200
    await in_the_work(gateway, "update endpoints set rests_until = null")
    await client.post(f"/webhooks/{webhook['id']}/deliveries/{row['id']}/redeliver")
    assert (await delivery(client, webhook, attempt=1))["error"] is None


async def test_an_endpoint_that_hangs_delays_nobody_else_and_keeps_its_order(
    gateway: System, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    await registered(client, receiver.url("/slow"))
    await registered(client, receiver.url("/quick"))
    receiver.answer = lambda heard: HANG if heard.path == "/slow" else 200
    path, delivered = await mailed(gateway, client, timedelta(hours=1))
    await opened(gateway, client, path, delivered, 1)
    quick = {"enrollment.sent", "enrollment.opened"}
    await receiver.until(lambda: quick <= types(receiver.at("/quick")), PATIENCE_SECONDS - 1)
    slow = [one.payload["type"] for one in receiver.at("/slow")]
    assert "enrollment.sent" in slow
    assert "enrollment.opened" not in slow, "it waits until the event before it was taken, or given up"


async def test_what_breaks_inside_is_said_holds_up_nobody_and_goes_on_when_mended(
    gateway: System, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    broken, sound = [await registered(client, receiver.url(path)) for path in ("/broken", "/sound")]
    pool = await connect(gateway.site.role_urls()["outrider_api"], "log", size=1)
    account, owner = UUID((await client.get("/account")).json()["id"]), UUID(broken["id"])
    kept = await vault.get(pool, account, owner, "endpoint")
    assert kept is not None
    no_secret = Sealer(gateway.site.keys.webhook_seal_public_key).seal(owner, {"secret": "whsec_!"})
    await vault.put(pool, [vault.Entry(owner, "endpoint", account, "webhook", {**kept, **no_secret})])
    await imported(client)
    await receiver.until(lambda: len(receiver.at("/sound")) == 1)
    row = await delivery(client, broken, attempt=0)
    line = f'"key": "{row["id"]}", "error": "EmptyWebhookSecretError", "event": "webhook.broken"'
    assert await asyncio.to_thread(wait_until, "said so", lambda: line in (gateway.folder / "webhooks.log").read_text())
    await vault.put(pool, [vault.Entry(owner, "endpoint", account, "webhook", kept)])
    await in_the_work(gateway, "update todos set not_before = clock_timestamp() where key = $1", row["id"])
    await receiver.until(lambda: len(receiver.at("/broken")) == 1)
    assert receiver.at("/broken")[0].headers["webhook-id"] == receiver.at("/sound")[0].headers["webhook-id"]
    assert (await delivery(client, sound, attempt=1))["error"] is None
    await pool.close()


async def test_410_disables_at_once_and_enabling_begins_anew(client: httpx.AsyncClient, receiver: Receiver) -> None:
    webhook = await registered(client, receiver.url())
    receiver.answer = lambda _: 410
    await imported(client)
    gone = await delivery(client, webhook, status_code=410)
    shown = await disabled(client, webhook)
    assert shown["disabled_reason"] == "gone"
    await imported(client)
    for call in ("test", f"deliveries/{gone['id']}/redeliver"):
        assert problem(await client.post(f"/webhooks/{webhook['id']}/{call}")) == (422, "webhook_disabled")
    receiver.answer = lambda _: 200
    answer = await client.patch(f"/webhooks/{webhook['id']}", json={"webhook": {"disabled_at": None}})
    assert (answer.json()["disabled_at"], answer.json()["disabled_reason"]) == (None, None)
    assert (await client.post(f"/webhooks/{webhook['id']}/test")).status_code == 202
    row = await delivery(client, webhook, event_type="webhook.test", attempt=1)
    assert row["status_code"] == 200
    assert [one.payload["type"] for one in receiver.heard] == ["contact_import.completed", "webhook.test"]
    assert verified(webhook["secret"], receiver.heard[-1])["data"]["webhook_id"] == webhook["id"]


async def test_five_days_of_failure_disable(gateway: System, client: httpx.AsyncClient, receiver: Receiver) -> None:
    webhook = await registered(client, receiver.url())
    receiver.answer = lambda _: 500
    await imported(client)
    await delivery(client, webhook, attempt=1)
    long_ago = "update endpoints set failing_since = clock_timestamp() - interval '5 days' where webhook_id = $1"
    await in_the_work(gateway, long_ago, webhook["id"])
    await imported(client)
    shown = await disabled(client, webhook)
    assert shown["disabled_reason"] == "failing"


async def test_after_two_rotations_all_three_secrets_verify(client: httpx.AsyncClient, receiver: Receiver) -> None:
    webhook = await registered(client, receiver.url())
    """Also where both were asked for at once: none of them puts back what the other one has replaced."""
    first, answer = await asyncio.gather(*(client.post(f"/webhooks/{webhook['id']}/rotate_secret") for _ in range(2)))
    assert set(answer.json()) == {"id", "secret"}
    await imported(client)
    await receiver.until(lambda: len(receiver.heard) == 1)
    for secret in (webhook["secret"], first.json()["secret"], answer.json()["secret"]):
        assert verified(secret, receiver.heard[0])["type"] == "contact_import.completed"
    for path in ("/webhooks", f"/webhooks/{webhook['id']}"):
        assert "whsec_" not in (await client.get(path)).text


async def test_a_killed_worker_loses_nothing(gateway: System, client: httpx.AsyncClient, receiver: Receiver) -> None:
    await registered(client, receiver.url())
    receiver.answer = lambda _: HANG
    first = await imported(client)
    await receiver.until(lambda: len(receiver.heard) == 1)
    gateway.kill("webhooks")
    receiver.answer = lambda _: 200
    second = await imported(client)
    gateway.revive("webhooks")
    await receiver.until(lambda: len(receiver.heard) == 3)
    assert {one.payload["data"]["contact_import_id"] for one in receiver.heard} == {first, second}
    assert len({one.headers["webhook-id"] for one in receiver.heard}) == 2
