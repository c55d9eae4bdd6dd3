"""Outreaches through the gateway and the dispatcher: campaigns that share their contacts."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from tests.support.http import UNKNOWN, create, fields, problem

NOTHING = {"pending": 0, "sent": 0, "opened": 0, "replied": 0, "bounced": 0}


async def outreach(client: httpx.AsyncClient, *, unique: bool = True) -> str:
    answer = await client.post("/outreaches", json={"outreach": {"name": "Spring", "unique_contacts": unique}})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def people(client: httpx.AsyncClient, *emails: str) -> str:
    rows = [{"email": email} for email in emails]
    answer = await client.post("/contact_imports", json={"contact_import": {"name": "People", "contacts": rows}})
    return str(answer.json()["id"])


async def campaign_of(client: httpx.AsyncClient, outreach_id: str) -> str:
    answer = await create(client, outreach_id=outreach_id)
    assert answer.status_code == 201, answer.text
    return f"/campaigns/{answer.json()['id']}"


async def enroll(client: httpx.AsyncClient, campaign: str, import_id: str) -> Mapping[str, Any]:
    answer = await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id})
    assert answer.status_code == 200, answer.text
    body: Mapping[str, Any] = answer.json()
    return body


async def test_an_outreach_is_created_shown_changed_and_deleted(client: httpx.AsyncClient) -> None:
    created = (await client.post("/outreaches", json={"outreach": {"name": " Spring "}})).json()
    assert (created["name"], created["unique_contacts"]) == ("Spring", False)
    path = f"/outreaches/{created['id']}"
    assert (await client.get("/outreaches?limit=1")).json() == [created]
    assert (await client.get(path)).json() == {**created, "totals": NOTHING, "campaigns": []}
    changed = await client.patch(path, json={"outreach": {"unique_contacts": True}})
    assert changed.json() == {**created, "unique_contacts": True, "totals": NOTHING, "campaigns": []}
    changed = await client.patch(path, json={"outreach": {**changed.json(), "name": "Summer"}})
    assert (changed.status_code, changed.json()) == (200, (await client.get(path)).json())
    assert (changed.json()["name"], changed.json()["unique_contacts"]) == ("Summer", True)
    answer = await client.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "PATCH", "DELETE"):
        assert problem(await client.request(method, path)) == (404, "outreach_not_found")


async def test_a_wrong_outreach_is_refused_at_its_fields(client: httpx.AsyncClient) -> None:
    wrong = {"name": "", "unique_contacts": "yes", "color": 1}
    answer = await client.post("/outreaches", json={"outreach": wrong})
    assert set(fields(answer)) == {"outreach.name", "outreach.unique_contacts", "outreach.color"}
    for method in ("GET", "PATCH", "DELETE"):
        assert problem(await client.request(method, f"/outreaches/{UNKNOWN}")) == (404, "outreach_not_found")


async def test_an_outreach_stays_while_a_campaign_refers_to_it(client: httpx.AsyncClient) -> None:
    one, other = await outreach(client), await outreach(client)
    campaign = await campaign_of(client, one)
    assert (await client.get(campaign)).json()["outreach_id"] == one
    assert problem(await client.delete(f"/outreaches/{one}")) == (422, "outreach_not_empty")
    moved = await client.patch(campaign, json={"campaign": {"outreach_id": other, "min_wait_seconds": 5}})
    assert (moved.json()["outreach_id"], moved.json()["min_wait_seconds"]) == (other, 5)
    assert problem(await client.patch(campaign, json={"campaign": {"outreach_id": UNKNOWN}})) == (
        404,
        "outreach_not_found",
    )
    assert (await client.patch(campaign, json={"campaign": {"min_wait_seconds": 6}})).json()["outreach_id"] == other
    assert (await client.delete(f"/outreaches/{one}")).status_code == 204
    assert problem(await client.delete(f"/outreaches/{other}")) == (422, "outreach_not_empty")
    third = await outreach(client)
    last = await campaign_of(client, third)
    assert (await client.patch(last, json={"campaign": {"outreach_id": None}})).json()["outreach_id"] is None
    assert (await client.delete(f"/outreaches/{third}")).status_code == 204
    assert (await client.delete(campaign)).status_code == 204
    assert (await client.delete(f"/outreaches/{other}")).status_code == 204


async def test_an_outreach_adds_up_its_campaigns(client: httpx.AsyncClient) -> None:
    shared = await outreach(client, unique=False)
    import_id = await people(client, "a@totals.example", "b@totals.example")
    first, second = await campaign_of(client, shared), await campaign_of(client, shared)
    for campaign in (first, second):
        assert (await enroll(client, campaign, import_id))["enrolled"] == 2
    shown = (await client.get(f"/outreaches/{shared}")).json()
    assert shown["totals"] == {**NOTHING, "pending": 4}
    assert [f"/campaigns/{row['id']}" for row in shown["campaigns"]] == [second, first]
    assert {(row["name"], row["status"]) for row in shown["campaigns"]} == {("Q2 launch", "pending")}
    assert (await client.delete(second)).status_code == 204
    assert (await client.get(f"/outreaches/{shared}")).json()["totals"] == {**NOTHING, "pending": 2}


async def test_a_contact_is_enrolled_in_one_campaign_of_the_outreach(client: httpx.AsyncClient) -> None:
    shared = await outreach(client)
    import_id = await people(client, "a@unique.example", "b@unique.example")
    contacts = [row["id"] for row in (await client.get(f"/contact_imports/{import_id}/contacts")).json()]
    first, second = await campaign_of(client, shared), await campaign_of(client, shared)
    body = {"contact_id": contacts[0]}
    assert (await client.post(f"{first}/enroll_contact", json=body)).status_code == 201
    found = await enroll(client, second, import_id)
    assert (found["enrolled"], found["skipped_count"]) == (1, 1)
    assert (found["skipped"][0]["contact_id"], found["skipped"][0]["kind"]) == (contacts[0], "cross_campaign_duplicate")
    refused = await client.post(f"{second}/enroll_contact", json=body)
    assert problem(refused) == (422, "contact_skipped")
    assert refused.json()["details"] == {"kind": "cross_campaign_duplicate"}
    skips: list[Mapping[str, Any]] = []
    async with asyncio.timeout(180):  # a refusal names no position at which its row can be read
        while len(skips) < len(contacts):
            skips = (await client.get(f"{second}/skips?kind=cross_campaign_duplicate")).json()
            await asyncio.sleep(0.05)
    assert [row["contact_id"] for row in skips] == [contacts[0]] * 2
    assert problem(await client.post(f"{first}/enroll_contact", json=body)) == (422, "contact_already_enrolled")
    elsewhere = await campaign_of(client, await outreach(client))
    assert (await enroll(client, elsewhere, import_id))["enrolled"] == 2

    assert (await client.delete(first)).status_code == 204  # nothing was mailed: the contact is free again
    assert (await client.post(f"{second}/enroll_contact", json=body)).status_code == 201


async def test_of_sibling_campaigns_that_enroll_at_once_one_gets_each_contact(client: httpx.AsyncClient) -> None:
    emails = [f"n{number}@race.example" for number in range(120)]
    shared, import_id = await outreach(client), await people(client, *emails)
    campaigns = [await campaign_of(client, shared) for _ in range(3)]
    answers = await asyncio.gather(*(enroll(client, campaign, import_id) for campaign in campaigns))
    assert sum(answer["enrolled"] for answer in answers) == 120
    assert [answer["enrolled"] + answer["skipped_count"] for answer in answers] == [120] * 3
    assert {row["kind"] for answer in answers for row in answer["skipped"]} == {"cross_campaign_duplicate"}
    enrolled = [
        row["contact_id"]
        for campaign in campaigns
        for row in (await client.get(f"{campaign}/enrollments?limit=1000")).json()
    ]
    assert len(enrolled) == len(set(enrolled)) == 120


async def test_anothers_outreach_is_answered_like_an_unknown_one(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    mine = await outreach(client)
    for method in ("GET", "PATCH", "DELETE"):
        theirs = await stranger.request(method, f"/outreaches/{mine}")
        assert problem(theirs) == (404, "outreach_not_found")
    assert problem(await create(stranger, outreach_id=mine)) == (404, "outreach_not_found")
