"""Pixels and unsubscribing, from the mail's side."""

from collections.abc import Mapping
from datetime import timedelta

import httpx
import pytest

from outrider.events.database import connect
from outrider.events.tokens import Keyring, track_open, unsubscribe
from tests.support.mailed import mailed
from tests.support.system import System

READER = {"User-Agent": "Mozilla/5.0 (X11; Linux) Gecko Thunderbird"}
GIF = b"GIF89a"


def keys(gateway: System) -> Keyring:
    return Keyring.parse(gateway.site.keys.hash_key)


async def totals(client: httpx.AsyncClient, path: str) -> Mapping[str, int]:
    """Of the campaign, once everything recorded is shown."""
    shown = (await client.get(path, headers={"Outrider-Min-Position": str(await newest(client))})).json()
    return {**shown["totals"], "unsubscribed": shown["unsubscribed"]}


async def newest(client: httpx.AsyncClient) -> int:
    """The position of something recorded just now."""
    return int((await client.post("/api_keys", json={"label": "x"})).headers["outrider-position"])


async def test_an_open_counts_once_however_often_the_picture_is_fetched(
    gateway: System, client: httpx.AsyncClient
) -> None:
    path, delivery = await mailed(gateway, client, timedelta(minutes=5))
    async with httpx.AsyncClient(base_url=gateway.url, headers=READER) as reader:
        for _ in range(25):
            answer = await reader.get(f"/t/o/{track_open(keys(gateway), delivery)}.gif")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
            assert answer.content.startswith(GIF)
    assert await totals(client, path) == {
        "pending": 0,
        "sent": 1,
        "opened": 1,
        "replied": 0,
        "bounced": 0,
        "unsubscribed": 0,
    }
    pool = await connect(gateway.site.role_urls()["outrider_api"], "log", size=1)
    try:
        stored = await pool.fetchval("select count(*) from log.events where stream = $1", f"engagement-{delivery}")
        assert stored == 20
    finally:
        await pool.close()


@pytest.mark.parametrize("agent", ["GoogleImageProxy", "Barracuda Sentinel", "curl/8.0"])
async def test_a_machines_fetch_is_recorded_and_does_not_count(
    gateway: System, client: httpx.AsyncClient, agent: str
) -> None:
    path, delivery = await mailed(gateway, client, timedelta(minutes=5))
    async with httpx.AsyncClient(base_url=gateway.url, headers={"User-Agent": agent}) as reader:
        assert (await reader.get(f"/t/o/{track_open(keys(gateway), delivery)}.gif")).status_code == 200
    assert (await totals(client, path))["opened"] == 0


async def test_whoever_fetches_it_at_once_has_not_read_it(gateway: System, client: httpx.AsyncClient) -> None:
    path, delivery = await mailed(gateway, client, timedelta(seconds=-5))
    async with httpx.AsyncClient(base_url=gateway.url, headers=READER) as reader:
        assert (await reader.get(f"/t/o/{track_open(keys(gateway), delivery)}.gif")).status_code == 200
    assert (await totals(client, path))["opened"] == 0


async def test_only_a_post_unsubscribes_and_it_may_be_repeated(gateway: System, client: httpx.AsyncClient) -> None:
    path, delivery = await mailed(gateway, client, timedelta(minutes=5))
    link = f"/u/{unsubscribe(keys(gateway), delivery)}"
    async with httpx.AsyncClient(base_url=gateway.url, headers=READER, timeout=30) as reader:
        page = await reader.get(link)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert (await totals(client, path))["unsubscribed"] == 0
        for _ in range(2):
            answer = await reader.post(link, data={"List-Unsubscribe": "One-Click"})
            assert answer.status_code == 200
    assert (await totals(client, path))["unsubscribed"] == 1
    one = (await client.get(f"{path}/enrollments")).json()[0]
    assert (one["status"], one["next_send_at"]) == ("unsubscribed", None)
    assert (await client.get(f"/contacts/{one['contact_id']}")).json()["unsubscribed_at"] is not None
