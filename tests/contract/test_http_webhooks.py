"""`/webhooks`: what a client may say and is told; deliveries have a story of their own in tests/flows."""

import asyncpg
import httpx
import pytest

from tests.support.http import UNKNOWN, fields, problem
from tests.support.system import System

URL = "https://hooks.example/in?token=very-secret"
SHOWN = {
    *("id", "url", "event_filters", "consecutive_failures", "disabled_at", "disabled_reason", "created_at"),
}


async def register(client: httpx.AsyncClient, **given: object) -> httpx.Response:
    return await client.post("/webhooks", json={"webhook": {"url": URL, **given}})


async def test_a_webhook_is_kept_changed_and_removed(client: httpx.AsyncClient) -> None:
    answer = await register(client)
    assert answer.status_code == 201
    webhook = answer.json()
    assert set(webhook) == {*SHOWN, "secret"}
    assert webhook["secret"].startswith("whsec_")
    assert (webhook["url"], webhook["event_filters"], webhook["disabled_at"]) == (URL, ["*"], None)
    path = f"/webhooks/{webhook['id']}"
    shown = (await client.get(path)).json()
    assert shown == {name: value for name, value in webhook.items() if name != "secret"}
    assert (await client.get("/webhooks")).json()[0] == shown
    changed = await client.patch(path, json={"webhook": {"event_filters": ["enrollment.*", "enrollment.*"]}})
    assert changed.json() == {**shown, "event_filters": ["enrollment.*"]}
    moved = await client.patch(path, json={"webhook": {"url": "https://else.example/"}})
    assert moved.json() == {**changed.json(), "url": "https://else.example/"}
    assert (await client.get(f"{path}/deliveries")).json() == []
    assert (await client.delete(path)).status_code == 204
    assert problem(await client.get(path)) == (404, "webhook_not_found")


async def test_the_same_request_registers_once(client: httpx.AsyncClient) -> None:
    before = len((await client.get("/webhooks")).json())
    answers = [
        await client.post("/webhooks", json={"webhook": {"url": URL}}, headers={"Idempotency-Key": "hook"})
        for _ in range(2)
    ]
    assert answers[0].content == answers[1].content
    assert len((await client.get("/webhooks")).json()) == before + 1


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example/", "ftp://hooks.example/", "hooks.example", "", "https://", "https://[::1"),
        *("https://127.0.0.1/", "https://[::1]/", "https://10.0.0.8/", "https://169.254.169.254/latest", "https://0.0.0.0/"),
        *("https://[::ffff:10.0.0.8]/", "https://localhost/", "https://a.localhost./", "https://me:pw@hooks.example/"),
        *("https://hooks.example/ä", "https://hooks.example/a b", "https://hooks.example:99999/"),
        f"https://hooks.example/{'a' * 2048}",
    ],
)  # fmt: skip
async def test_a_url_that_may_not_be_is_refused(client: httpx.AsyncClient, url: str) -> None:
    assert fields(await register(client, url=url)) == ["webhook.url"]


@pytest.mark.parametrize("filters", [["enrollment.eaten"], ["*", "sent"], ["campaign"]])
async def test_a_filter_that_lets_nothing_through_is_refused(client: httpx.AsyncClient, filters: list[str]) -> None:
    assert fields(await register(client, event_filters=filters)) == [f"webhook.event_filters[{len(filters) - 1}]"]


async def test_no_filter_at_all_and_fields_that_nobody_knows_are_refused(client: httpx.AsyncClient) -> None:
    assert fields(await register(client, event_filters=[])) == ["webhook.event_filters"]
    assert fields(await register(client, colour="green")) == ["webhook.colour"]
    assert fields(await client.post("/webhooks", json={"webhook": {}})) == ["webhook.url"]
    path = f"/webhooks/{(await register(client)).json()['id']}"
    assert fields(await client.patch(path, json={"webhook": {"url": ""}})) == ["webhook.url"]
    repeated = await client.patch(path, json={"webhook": {"disabled_at": "2026-01-01T00:00:00Z"}})
    assert repeated.json()["disabled_at"] is None, "what only an answer has may be repeated in vain"


async def test_nobody_knows_another_accounts_webhook(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    known = (await register(client)).json()["id"]
    for webhook in (known, UNKNOWN, "x"):
        for method, path in (
            *(("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", "/test")),
            *(("POST", "/rotate_secret"), ("POST", f"/deliveries/{UNKNOWN}/redeliver")),
        ):
            body = {"webhook": {"url": URL}} if method == "PATCH" else None
            answer = await stranger.request(method, f"/webhooks/{webhook}{path}", json=body)
            assert problem(answer) == (404, "webhook_not_found")
    assert problem(await client.post(f"/webhooks/{known}/deliveries/x/redeliver")) == (404, "delivery_not_found")
    assert problem(await client.post(f"/webhooks/{known}/deliveries/{UNKNOWN}/redeliver")) == (
        404,
        "delivery_not_found",
    )


async def test_neither_url_nor_secret_stands_in_the_log_or_in_the_clear(
    gateway: System, client: httpx.AsyncClient
) -> None:
    secret = (await register(client)).json()["secret"]
    owner = await asyncpg.connect(gateway.site.database_url)
    log = await owner.fetchval("select string_agg(data::text, '') from log.events")
    vault = await owner.fetchval("select string_agg(value::text, '') from log.vault")
    await owner.close()
    assert "very-secret" not in log
    assert secret not in log + vault
