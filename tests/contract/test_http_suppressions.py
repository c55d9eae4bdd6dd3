"""The do-not-contact list, through the gateway and the dispatcher."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from tests.support.http import UNKNOWN, create, fields, problem


async def suppress(client: httpx.AsyncClient, value: str, reason: str | None = None) -> Mapping[str, Any]:
    answer = await client.post("/suppressions", json={"suppression": {"value": value, "reason": reason}})
    assert answer.status_code == 201, answer.text
    shown: Mapping[str, Any] = answer.json()
    return shown


async def people(client: httpx.AsyncClient, *emails: str) -> tuple[str, dict[str, str]]:
    """An import, and its contacts by address."""
    rows = [{"email": email} for email in emails]
    body = {"contact_import": {"name": "People", "contacts": rows}}
    import_id = (await client.post("/contact_imports", json=body)).json()["id"]
    contacts = (await client.get(f"/contact_imports/{import_id}/contacts")).json()
    return import_id, {contact["email"]: contact["id"] for contact in contacts}


async def test_a_suppression_is_listed_until_it_is_lifted(client: httpx.AsyncClient) -> None:
    one = await suppress(client, " Ann@BÜCHER.example ", "asked by phone")
    other = await suppress(client, "@Firma.example")
    assert (one["value"], one["reason"]) == ("Ann@xn--bcher-kva.example", "asked by phone")
    assert (other["value"], other["reason"]) == ("@firma.example", None)
    assert (await client.get("/suppressions?limit=2")).json() == [other, one]
    assert (await client.get(f"/suppressions/{one['id']}")).json() == one
    answer = await client.delete(f"/suppressions/{one['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert one["id"] not in {row["id"] for row in (await client.get("/suppressions")).json()}
    for method in ("GET", "DELETE"):
        answer = await client.request(method, f"/suppressions/{one['id']}")
        assert problem(answer) == (404, "suppression_not_found")


async def test_an_address_stands_once_however_often_it_is_said(client: httpx.AsyncClient) -> None:
    bodies = [
        {"suppression": {"value": value}} for value in ("twice@example.com", "TWICE@Example.com", "twice@example.com")
    ]
    answers = await asyncio.gather(*(client.post("/suppressions", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.json()["value"] for answer in answers}) == 1
    await client.delete(f"/suppressions/{answers[0].json()['id']}")
    again = await client.post("/suppressions", json=bodies[0])
    assert again.status_code == 201


async def test_what_is_neither_address_nor_domain_is_refused(client: httpx.AsyncClient) -> None:
    for value in ("example.com", "@", "@nodot", "a b@example.com", 5, None):
        answer = await client.post("/suppressions", json={"suppression": {"value": value}})
        assert fields(answer) == ["suppression.value"]
    assert fields(await client.post("/suppressions", json={})) == ["suppression"]
    assert problem(await client.delete(f"/suppressions/{UNKNOWN}")) == (404, "suppression_not_found")


async def test_the_suppressed_are_neither_enrolled_nor_dispatched(client: httpx.AsyncClient) -> None:
    emails = ("a@free.example", "b@free.example", "c@firm.example", "d@firm.example")
    import_id, contacts = await people(client, *emails)
    before = (await client.post("/contacts", json={"contact": {"email": "e@firm.example"}})).json()["id"]
    campaign = f"/campaigns/{(await create(client)).json()['id']}"
    for contact in (contacts["b@free.example"], before):
        answer = await client.post(f"{campaign}/enroll_contact", json={"contact_id": contact})
        assert answer.status_code == 201
    address, domain = await suppress(client, "B@free.example"), await suppress(client, "@firm.example")

    answer = (await client.post(f"{campaign}/enroll", json={"contact_import_id": import_id})).json()
    assert answer["enrolled"] == 1
    kinds = {row["email"]: row["kind"] for row in answer["skipped"]}
    assert kinds == {
        "b@free.example": "already_enrolled",
        "c@firm.example": "suppressed",
        "d@firm.example": "suppressed",
    }
    refused = await client.post(f"{campaign}/enroll_contact", json={"contact_id": contacts["c@firm.example"]})
    assert problem(refused) == (422, "contact_skipped")
    assert refused.json()["details"] == {"kind": "suppressed"}

    dispatched = (await client.post(f"{campaign}/dispatch")).json()
    assert (dispatched["batch_number"], dispatched["scheduled"], dispatched["skipped"]) == (0, 0, 2)
    skips = (await client.get(f"{campaign}/skips?kind=suppressed")).json()
    assert {row["contact_id"] for row in skips} == {
        contacts["b@free.example"],
        contacts["c@firm.example"],
        contacts["d@firm.example"],
        before,
    }

    for one in (address, domain):
        assert (await client.delete(f"/suppressions/{one['id']}")).status_code == 204
    answer = await client.post(f"{campaign}/enroll_contact", json={"contact_id": contacts["c@firm.example"]})
    assert answer.status_code == 201


async def test_a_contact_is_looked_up_by_the_address_that_it_has_now(client: httpx.AsyncClient) -> None:
    contact = (await client.post("/contacts", json={"contact": {"email": "x@before.example"}})).json()["id"]
    await suppress(client, "@after.example")
    path = f"/contacts/{contact}"
    assert (await client.patch(path, json={"contact": {"email": "x@after.example"}})).status_code == 200
    campaign = f"/campaigns/{(await create(client)).json()['id']}"
    refused = await client.post(f"{campaign}/enroll_contact", json={"contact_id": contact})
    assert (problem(refused), refused.json()["details"]) == ((422, "contact_skipped"), {"kind": "suppressed"})
    assert (await client.patch(path, json={"contact": {"email": "x@before.example"}})).status_code == 200
    assert (await client.post(f"{campaign}/enroll_contact", json={"contact_id": contact})).status_code == 201


async def test_anothers_list_is_not_mine(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    mine = await suppress(client, "mine@suppressed.example")
    assert (await stranger.get("/suppressions")).json() == []
    for method in ("GET", "DELETE"):
        answer = await stranger.request(method, f"/suppressions/{mine['id']}")
        assert problem(answer) == (404, "suppression_not_found")
    assert (await suppress(stranger, "mine@suppressed.example"))["id"] != mine["id"]
