"""Pixels, links and unsubscribing, from the mail's side."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from outrider.events.database import connect
from outrider.events.ids import new_id
from outrider.events.tokens import Keyring, track_click, track_open, unsubscribe
from tests.kernel.until import until
from tests.support.mailed import mailed
from tests.support.system import System

READER = {"User-Agent": "Mozilla/5.0 (X11; Linux) Gecko Thunderbird"}
GIF = b"GIF89a"


def keys(gateway: System) -> Keyring:
    return Keyring.parse(gateway.site.keys.hash_key)


async def totals(client: httpx.AsyncClient, path: str) -> Mapping[str, int]:
    """Of the campaign, once everything recorded is shown."""
    campaign = await shown(client, path)
    return {**campaign["totals"], "unsubscribed": campaign["unsubscribed"]}


async def shown(client: httpx.AsyncClient, path: str) -> Mapping[str, Any]:
    """The campaign, once everything recorded is shown."""
    campaign: Mapping[str, Any] = (
        await client.get(path, headers={"Outrider-Min-Position": str(await newest(client))})
    ).json()
    return campaign


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
    pool = await connect(gateway.site.role_urls()["outrider_api"], "log", size=1)
    try:
        query = "select type, data::jsonb->>'counts' as counts from log.events where stream = $1"
        stored = [tuple(row.values()) for row in await pool.fetch(query, f"engagement-{delivery}")]
    finally:
        await pool.close()
    assert stored == [("EmailOpened", "false")]


async def test_whoever_fetches_it_at_once_has_not_read_it(gateway: System, client: httpx.AsyncClient) -> None:
    path, delivery = await mailed(gateway, client, timedelta(seconds=-5))
    async with httpx.AsyncClient(base_url=gateway.url, headers=READER) as reader:
        assert (await reader.get(f"/t/o/{track_open(keys(gateway), delivery)}.gif")).status_code == 200
    assert (await totals(client, path))["opened"] == 0


async def test_whoever_fetches_what_is_not_known_as_accepted_has_not_read_it(
    gateway: System, client: httpx.AsyncClient
) -> None:
    path, delivery = await mailed(gateway, client, timedelta(minutes=5), accepted=False)
    async with httpx.AsyncClient(base_url=gateway.url, headers=READER) as reader:
        assert (await reader.get(f"/t/o/{track_open(keys(gateway), delivery)}.gif")).status_code == 200
        link = f"/t/c/{track_click(keys(gateway), delivery, 1, 'https://example.com/')}"
        assert (await reader.get(link)).status_code == 302
    campaign = await shown(client, path)
    assert (campaign["totals"]["opened"], campaign["clicked"]) == (0, 0)


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


async def test_an_opt_out_that_nobody_can_decide_now_is_done_later_and_kept_once(
    gateway: System, client: httpx.AsyncClient
) -> None:
    path, delivery = await mailed(gateway, client, timedelta(minutes=5))
    link = f"/u/{unsubscribe(keys(gateway), delivery)}"
    async with httpx.AsyncClient(base_url=gateway.url, headers=READER, timeout=60) as reader:
        gateway.kill("dispatcher")
        waits = await reader.post(link, data={"List-Unsubscribe": "One-Click"})
        assert (waits.status_code, waits.headers["content-type"]) == (200, "text/html; charset=utf-8")
        gateway.revive("dispatcher")
        await until("the person is unsubscribed", lambda: is_unsubscribed(client, path), 120)
        assert (await reader.post(link)).content == waits.content
    pool = await connect(gateway.site.role_urls()["outrider_api"], "log", size=1)
    try:
        query = "select status, expires_at from log.commands where request->>'delivery_id' = $1"
        assert [tuple(row.values()) for row in await pool.fetch(query, str(delivery))] == [("succeeded", None)]
        failed = "update log.commands set status = 'rejected', http_status = 500 where request->>'delivery_id' = $1"
        owner = await asyncpg.connect(gateway.site.database_url)
        await owner.execute(failed, str(delivery))
        await owner.close()
        async with httpx.AsyncClient(base_url=gateway.url, timeout=60) as reader:
            assert (await reader.post(link)).status_code == 200
        assert len(await pool.fetch(query, str(delivery))) == 2, "what failed is asked once more"
    finally:
        await pool.close()


async def is_unsubscribed(client: httpx.AsyncClient, path: str) -> bool:
    return (await totals(client, path))["unsubscribed"] == 1


async def test_a_link_leads_where_the_mail_said_and_counts_as_click_and_open(
    gateway: System, client: httpx.AsyncClient
) -> None:
    path, delivery = await mailed(gateway, client, timedelta(minutes=5))
    target = "https://example.com/a?b=c&d=%C3%A4#e"
    link = f"/t/c/{track_click(keys(gateway), delivery, 2, target)}"
    async with httpx.AsyncClient(base_url=gateway.url) as web:
        assert (await web.head(link, headers=READER)).status_code == 302
        assert (await web.get(link, headers={"User-Agent": "Mozilla/5.0 SafeLinks"})).status_code == 302
        assert (await shown(client, path))["clicked"] == 0
        for _ in range(25):
            answer = await web.get(link, headers=READER)
            assert (answer.status_code, answer.headers["location"], answer.content) == (302, target, b"")
            assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == (
                "no-store, private",
                "no-referrer",
            )
    campaign = await shown(client, path)
    assert (campaign["clicked"], campaign["totals"]["opened"]) == (1, 1)
    events = (await client.get("/events?after=0", headers={"Accept": "application/json"})).json()
    mine = [one for one in events if one["data"].get("campaign_id") == path.rpartition("/")[2]]
    kinds = [one["type"] for one in mine if one["type"] in {"enrollment.opened", "enrollment.clicked"}]
    assert kinds == ["enrollment.opened", *["enrollment.clicked"] * 19]  # 20 are recorded, one was a scanner's
    assert {one["data"]["link_number"] for one in mine if one["type"] == "enrollment.clicked"} == {2}


async def test_a_forged_link_is_not_found_and_leads_nowhere(gateway: System, client: httpx.AsyncClient) -> None:
    _, delivery = await mailed(gateway, client, timedelta(minutes=5))
    genuine = track_click(keys(gateway), delivery, 1, "https://example.com/")
    foreign = track_click(Keyring(b"x" * 32), delivery, 1, "https://evil.example/")
    other = track_open(keys(gateway), delivery)
    async with httpx.AsyncClient(base_url=gateway.url, headers=READER) as web:
        for token in (foreign, other, genuine[:-1], f"{genuine}A", "evil.example", "x" * 5000):
            answer = await web.get(f"/t/c/{token}")
            assert answer.status_code == 404, token
            assert "location" not in answer.headers
        assert (await web.get(f"/t/c/{genuine}?url=https://evil.example/")).headers[
            "location"
        ] == "https://example.com/"


async def test_the_links_of_a_message_that_is_gone_work_still(gateway: System) -> None:
    link = f"/t/c/{track_click(keys(gateway), new_id(), 1, 'https://example.com/')}"
    async with httpx.AsyncClient(base_url=gateway.url, headers=READER) as web:
        assert (await web.get(link)).headers["location"] == "https://example.com/"


async def test_one_click_may_come_as_a_form_of_several_parts(gateway: System, client: httpx.AsyncClient) -> None:
    path, delivery = await mailed(gateway, client, timedelta(minutes=5))
    link = f"/u/{unsubscribe(keys(gateway), delivery)}"
    async with httpx.AsyncClient(base_url=gateway.url, headers=READER, timeout=30) as reader:
        for _ in range(2):
            answer = await reader.post(link, files={"List-Unsubscribe": (None, "One-Click")})
            assert answer.status_code == 200
    assert (await totals(client, path))["unsubscribed"] == 1
