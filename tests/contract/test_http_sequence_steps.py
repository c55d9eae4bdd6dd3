"""Steps of a campaign over HTTP: shown, changed as far as they are unsent, added and deleted before any dispatch."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.support.http import STEP, create, decided, fields, problem

SECOND = {**STEP, "position": 2, "delay_minutes": 2880, "subject": "Re: Hi", "body_html": "<p>Again</p>"}
THIRD = {**SECOND, "position": 3, "subject": "Re: Re: Hi", "body_html": "<p>Last</p>"}


async def made(client: httpx.AsyncClient, *steps: Mapping[str, object]) -> tuple[str, str]:
    """The paths of a campaign and of its steps."""
    created = (await create(client, sequence_steps=list(steps), min_wait_seconds=0, max_wait_seconds=0)).json()
    path = f"/campaigns/{created['id']}"
    return path, f"{path}/sequence_steps"


async def patched(client: httpx.AsyncClient, path: str, **changes: object) -> httpx.Response:
    return await client.patch(path, json={"sequence_step": changes})


async def dispatched(client: httpx.AsyncClient, campaign: str, name: str) -> None:
    """Somebody is enrolled and scheduled."""
    body = {"contact_import": {"name": "People", "contacts": [{"email": f"{name}@steps.example"}]}}
    import_id = (await client.post("/contact_imports", json=body)).json()["id"]
    await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id})
    assert (await client.post(f"{campaign}/dispatch")).json()["scheduled"] == 1


async def planned(client: httpx.AsyncClient, campaign: str) -> Mapping[str, str]:
    """The day of each step."""
    days: Sequence[Mapping[str, Any]] = (await client.get(f"{campaign}/send_forecast?days=90")).json()["days"]
    return {position: day["date"] for day in days for position in day["by_step"]}


async def test_a_patch_changes_what_it_names(client: httpx.AsyncClient) -> None:
    campaign, steps = await made(client, STEP, SECOND)
    shown = (await client.get(steps)).json()
    assert shown == (await client.get(campaign)).json()["sequence_steps"]
    assert (await client.get(f"{steps}/2")).json() == shown[1]
    answer = await patched(client, f"{steps}/2", subject="Still there, {{first_name}}?")
    assert (answer.status_code, answer.json()) == (200, {**shown[1], "subject": "Still there, {{first_name}}?"})
    assert (await patched(client, f"{steps}/2", **answer.json())).json() == answer.json()
    assert (await client.get(steps)).json() == [shown[0], answer.json()]
    preview = (await client.get(f"{campaign}/preview?position=2")).json()["steps"]
    assert preview[0]["subject"] == "Still there, Ada?"


async def test_patches_at_once_take_nothing_back_from_each_other(client: httpx.AsyncClient) -> None:
    _, steps = await made(client, STEP, SECOND)
    for number in range(3):
        changes: Mapping[str, object] = {
            **{name: f"{name} {number}" for name in ("subject", "body_html", "body_text")},
            "delay_minutes": 100 + number,
        }
        asked = [patched(client, f"{steps}/2", **{name: value}) for name, value in changes.items()]
        answers = [await decided(client, answer) for answer in await asyncio.gather(*asked)]
        assert [status for status, _ in answers] == [200] * len(answers)
        shown = (await client.get(f"{steps}/2")).json()
        assert {name: shown[name] for name in changes} == changes


async def test_what_is_wrong_with_a_step_is_named(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    campaign, steps = await made(client, STEP)
    assert fields(await patched(client, f"{steps}/1", subject="{{nobody}}", delay_minutes=-1, colour="red")) == [
        "sequence_step.subject",
        "sequence_step.delay_minutes",
        "sequence_step.colour",
    ]
    assert fields(await patched(client, f"{steps}/1", position=2)) == ["sequence_step.position"]
    assert fields(await client.patch(f"{steps}/1", json={})) == ["sequence_step"]
    assert fields(await client.post(steps, json={"sequence_step": {**SECOND, "position": 3}})) == [
        "sequence_step.position"
    ]
    for unknown in ("2", "0", "x", "01"):
        for method in ("GET", "PATCH", "DELETE"):
            body = {"sequence_step": {"subject": "x"}} if method == "PATCH" else None
            answer = await client.request(method, f"{steps}/{unknown}", json=body)
            assert problem(answer) == (404, "sequence_step_not_found")
    assert problem(await stranger.get(steps)) == (404, "campaign_not_found")
    assert problem(await patched(stranger, f"{steps}/1", subject="x")) == (404, "campaign_not_found")
    assert (await client.get(campaign)).json()["sequence_steps"][0]["subject"] == STEP["subject"]


async def test_steps_are_added_and_deleted_until_something_is_dispatched(client: httpx.AsyncClient) -> None:
    campaign, steps = await made(client, STEP, SECOND)
    added = await client.post(steps, json={"sequence_step": {"subject": "Three", "body_html": "<p>3</p>"}})
    assert (added.status_code, added.json()["position"], added.json()["thread"]) == (201, 3, True)
    assert (await client.delete(f"{steps}/2")).status_code == 204
    left = (await client.get(steps)).json()
    assert [(step["position"], step["subject"]) for step in left] == [(1, STEP["subject"]), (2, "Three")]
    shown = (await client.get(f"{campaign}/preview")).json()["steps"]
    assert [step["subject"] for step in shown] == ["Hi Ada", "Three"]
    for _ in left:
        assert (await client.delete(f"{steps}/1")).status_code == 204
    assert problem(await client.post(f"{campaign}/dispatch")) == (422, "no_sequence_steps")
    assert (await client.post(steps, json={"sequence_step": STEP})).status_code == 201
    await dispatched(client, campaign, "fixed")
    assert problem(await client.delete(f"{steps}/1")) == (422, "campaign_already_dispatched")
    assert problem(await client.post(steps, json={"sequence_step": SECOND})) == (422, "campaign_already_dispatched")


async def test_another_delay_moves_the_follow_ups_that_are_not_sent(client: httpx.AsyncClient) -> None:
    campaign, steps = await made(client, STEP, SECOND, THIRD)
    await dispatched(client, campaign, "moved")
    before = await planned(client, campaign)
    first = datetime.fromisoformat(before["1"]).replace(tzinfo=UTC)
    for days in (1, 5):
        assert (await patched(client, f"{steps}/2", delay_minutes=days * 1440)).status_code == 200
        wanted = {"1": 0, "2": days, "3": days + 2}
        dates = {position: (first + timedelta(days=after)).date().isoformat() for position, after in wanted.items()}
        async with asyncio.timeout(180):
            while await planned(client, campaign) != dates:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)
