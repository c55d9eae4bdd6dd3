"""`GET /events`: what a customer hears of his account, live and in pages."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from outrider.api.public_events import TYPES
from outrider.api.streaming import HEARTBEAT_SECONDS
from outrider.events.ids import new_id
from outrider.events.tokens import Keyring, track_open
from tests.support.mailed import mailed
from tests.support.system import System

Json = dict[str, Any]
READER = {"User-Agent": "Mozilla/5.0 (X11; Linux) Gecko Thunderbird"}
SECONDS = 180


@dataclass
class Live:
    """An open stream, and what came through it."""

    lines: AsyncGenerator[str]
    headers: Mapping[str, str]
    ids: list[int] = field(default_factory=list[int])

    async def next(self) -> tuple[str, Json]:
        """The next event: its type, and the payload."""
        found: dict[str, str] = {}
        async with asyncio.timeout(SECONDS):
            async for line in self.lines:
                name, _, value = line.partition(":")
                if name in {"id", "event", "data"}:
                    found[name] = value.strip()
                if not line and "data" in found:
                    break
        self.ids.append(int(found["id"]))
        return found["event"], json.loads(found["data"])

    async def types(self, number: int) -> list[str]:
        """The types of the next so many events."""
        return [(await self.next())[0] for _ in range(number)]


@asynccontextmanager
async def live(client: httpx.AsyncClient, query: str = "", **headers: str) -> AsyncGenerator[Live]:
    """Open a stream; it is open when the block begins."""
    given = {"Accept": "text/event-stream", **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with client.stream("GET", f"/events{query}", headers=given, timeout=SECONDS) as response:
        assert response.status_code == 200
        lines = response.aiter_lines()
        assert (await anext(lines)).startswith("retry:")
        yield Live(lines, response.headers)  # type: ignore[arg-type]  # it is a generator


async def imported(client: httpx.AsyncClient) -> str:
    """An import of one person; its id."""
    rows = [{"email": f"{new_id()}@live.example"}]
    answer = await client.post("/contact_imports", json={"contact_import": {"name": "One", "contacts": rows}})
    return str(answer.json()["id"])


async def page(client: httpx.AsyncClient, query: str = "") -> list[Json]:
    """A page of events."""
    answer = await client.get(f"/events{query}", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    rows: list[Json] = answer.json()
    return rows


async def opens(gateway: System, client: httpx.AsyncClient, delivery: UUID) -> None:
    """The mail is looked at."""
    token = track_open(Keyring.parse(gateway.site.keys.hash_key), delivery)
    await client.get(f"/t/o/{token}.gif", headers=READER)


async def test_a_stream_tells_what_happens_from_the_moment_it_is_opened(
    gateway: System, client: httpx.AsyncClient
) -> None:
    await imported(client)
    async with live(client) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        path, delivery = await mailed(gateway, client, timedelta(hours=1))
        await opens(gateway, client, delivery)
        await opens(gateway, client, delivery)
        said = [await stream.next() for _ in range(4)]
    assert [kind for kind, _ in said] == [
        "contact_import.completed",
        "campaign.activated",
        "enrollment.sent",
        "enrollment.opened",
    ]
    assert stream.ids == sorted(set(stream.ids))
    sent = said[2][1]
    one = (await client.get(f"{path}/enrollments")).json()[0]
    assert sent["data"]["enrollment_id"] == one["id"]
    assert sent["data"]["contact_id"] == one["contact_id"]
    assert sent["data"]["contact_email"].endswith("@tracking.example")
    assert sent["data"]["status"] == "sent"
    assert sent["data"]["sent_at"] == one["sent_at"]
    assert sent["data"]["position"] == stream.ids[2]
    assert sent["data"]["message_id"].startswith(f"<{delivery.hex}.")
    assert said[3][1]["data"]["sent_at"] == one["sent_at"]
    assert said[3][1]["data"]["status"] == "opened"


async def test_whoever_comes_back_misses_nothing_and_hears_nothing_twice(client: httpx.AsyncClient) -> None:
    first = [await imported(client) for _ in range(3)]
    async with live(client, "?after=0&types=contact_import.*") as stream:
        while (await stream.next())[1]["data"]["contact_import_id"] != first[0]:
            pass
        last = stream.ids[-1]
    then = await imported(client)
    async with live(client, "?types=contact_import.completed", Last_Event_ID=str(last)) as stream:
        said = [(await stream.next())[1]["data"]["contact_import_id"] for _ in range(3)]
    assert said == [*first[1:], then]
    assert min(stream.ids) > last


async def test_a_page_is_what_the_stream_tells(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await imported(client)
    everything = await page(client)
    seen: list[Json] = []
    url: str | None = "/events?limit=2"
    while url is not None:
        answer = await client.get(url, headers={"Accept": "application/json"})
        seen += answer.json()
        url = answer.links["next"]["url"] if "next" in answer.links else None
    assert seen == everything
    async with live(client, "?after=0") as stream:
        assert [(await stream.next())[1] for _ in everything] == everything


async def test_only_what_is_asked_for_comes(gateway: System, client: httpx.AsyncClient) -> None:
    path, _ = await mailed(gateway, client, timedelta(hours=1))
    await mailed(gateway, client, timedelta(hours=1))
    campaign = path.rpartition("/")[2]
    query = f"?types=campaign.activated,enrollment.sent&campaign_id={campaign}"
    of_one = await page(client, query)
    assert [row["type"] for row in of_one] == ["campaign.activated", "enrollment.sent"]
    assert {row["data"]["campaign_id"] for row in of_one} == {campaign}
    assert {row["type"].partition(".")[0] for row in await page(client, "?types=enrollment.*")} == {"enrollment"}
    after = of_one[0]["data"]["position"]
    assert [row["type"] for row in await page(client, f"{query}&after={after}")] == ["enrollment.sent"]


async def test_nobody_hears_of_another_account(
    gateway: System, client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    async with live(stranger) as stream, live(stranger, "?after=0") as all_of_it:
        path, _ = await mailed(gateway, client, timedelta(hours=1))
        import_id = await imported(stranger)
        for one in (stream, all_of_it):
            assert (await one.next())[1]["data"]["contact_import_id"] == import_id
    answer = await stranger.get(f"/events?campaign_id={path.rpartition('/')[2]}")
    assert (answer.status_code, answer.json()["code"]) == (404, "campaign_not_found")


async def test_a_stream_ends_with_its_key_and_no_other_does(client: httpx.AsyncClient) -> None:
    key = (await client.post("/api_keys", json={"label": "for a while"})).json()
    theirs = {"Authorization": f"Bearer {key['plaintext']}"}
    async with live(client) as stream, live(client, **theirs) as ending:
        assert (await client.delete(f"/api_keys/{key['id']}")).status_code == 204
        with pytest.raises(KeyError):  # it ended, without an event
            await ending.next()
        import_id = await imported(client)
        assert (await stream.next())[1]["data"]["contact_import_id"] == import_id
    answer = await client.get("/events", headers={**theirs, "Accept": "text/event-stream"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("query", "headers", "named"),
    [
        ("?types=enrollment.eaten", {}, "types"),
        ("?types=", {}, "types"),
        ("?after=yesterday", {}, "after"),
        ("?after=-1", {}, "after"),
        ("?limit=5", {}, "limit"),
        ("?since=5", {}, "since"),
        ("", {"Last-Event-ID": "x"}, "Last-Event-ID"),
    ],
)
async def test_what_cannot_be_asked_for_is_named(
    client: httpx.AsyncClient, query: str, headers: Mapping[str, str], named: str
) -> None:
    answer = await client.get(f"/events{query}", headers=dict(headers))
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["details"]["errors"]] == [named]


async def test_head_ends(client: httpx.AsyncClient) -> None:
    answer = await client.head("/events")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_stopped_gateway_ends_its_streams_and_they_go_on_at_another(
    gateway: System, client: httpx.AsyncClient
) -> None:
    first = await imported(client)
    async with live(client) as stream:
        gateway.machine.kill("api", 15)
        with pytest.raises((KeyError, httpx.RemoteProtocolError)):  # it ended, without an event
            await stream.next()
    gateway.revive("api")
    then = await imported(client)
    rows = await page(client, "?types=contact_import.completed")
    assert [row["data"]["contact_import_id"] for row in rows][-2:] == [first, then]


def test_the_types_are_those_that_were_promised() -> None:
    of_enrollments = "sent opened clicked replied bounced unsubscribed skipped finished"
    of_campaigns = "activated paused resumed completed"
    assert set(TYPES) == {
        *(f"enrollment.{name}" for name in of_enrollments.split()),
        *(f"campaign.{name}" for name in of_campaigns.split()),
        *("credential.disabled", "contact_import.completed"),
    }


async def test_a_stream_on_which_nothing_happens_says_so_every_15_seconds(client: httpx.AsyncClient) -> None:
    assert HEARTBEAT_SECONDS == 15
    rare = {"types": "campaign.completed"}
    async with asyncio.timeout(120), client.stream("GET", "/events", params=rare) as answer:
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                return
    pytest.fail("the stream ended without a comment")
