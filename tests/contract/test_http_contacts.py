"""Contacts one by one: who is there twice, whose address changes, and what goes with who is deleted."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from outrider.api.erasures import without
from tests.support.http import UNKNOWN, create, fields, problem
from tests.support.system import System


async def add(client: httpx.AsyncClient, email: str, **more: object) -> Mapping[str, Any]:
    answer = await client.post("/contacts", json={"contact": {"email": email, **more}})
    assert answer.status_code == 201, answer.text
    shown: Mapping[str, Any] = answer.json()
    return shown


async def test_a_contact_is_added_and_shown(client: httpx.AsyncClient) -> None:
    shown = await add(
        client, " Ann@BÜCHER.example ", first_name="Ann", timezone="Europe/Berlin", custom={"role": "CTO"}
    )
    assert shown == (await client.get(f"/contacts/{shown['id']}")).json()
    assert shown["email"] == "Ann@xn--bcher-kva.example"
    assert (shown["first_name"], shown["last_name"], shown["custom"]) == ("Ann", None, {"role": "CTO"})
    assert [shown[name] for name in ("unsubscribed_at", "bounced_at", "bounce_reason")] == [None, None, None]


async def test_an_address_is_there_once(client: httpx.AsyncClient) -> None:
    shown = await add(client, "once@example.com")
    answer = await client.post("/contacts", json={"contact": {"email": "ONCE@Example.com"}})
    assert problem(answer) == (422, "contact_already_exists")
    assert answer.json()["details"] == {"contact_id": shown["id"]}
    body = {"contact_import": {"name": "Again", "contacts": [{"email": "once@example.com"}]}}
    assert (await client.post("/contact_imports", json=body)).json()["skipped"] == 1


async def test_of_two_who_add_an_address_at_once_one_wins(client: httpx.AsyncClient) -> None:
    body = {"contact": {"email": "race@example.com"}}
    answers = await asyncio.gather(*(client.post("/contacts", json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422]
    assert len((await client.get("/contacts?email=race@example.com")).json()) == 1


async def test_a_wrong_contact_is_refused_at_its_fields(client: httpx.AsyncClient) -> None:
    wrong = {"email": "nobody", "timezone": "Mars/Olympus", "nick_name": "x", "custom": {"a": [1]}}
    answer = await client.post("/contacts", json={"contact": wrong})
    assert fields(answer) == ["contact.email", "contact.timezone", "contact.custom.a", "contact.nick_name"]
    assert answer.json()["details"]["errors"][2]["message"] == "must be a string, a number, true, false or null"
    for name in ("localtime", "posixrules", "Factory"):  # a file of the machine, or a place of nobody
        answer = await client.post("/contacts", json={"contact": {"email": "zone@example.com", "timezone": name}})
        assert fields(answer) == ["contact.timezone"]
    values = {"a": "x", "b": True, "c": 5, "d": 5.5, "e": None, "f": 10**30}
    assert (await add(client, "values@example.com", custom=values))["custom"] == values
    assert fields(await client.post("/contacts", json={"contact": {}})) == ["contact.email"]
    shown = await add(client, "sound@example.com")
    path = f"/contacts/{shown['id']}"
    assert fields(await client.patch(path, json={"contact": {"email": None}})) == ["contact.email"]
    for method in ("PATCH", "DELETE", "GET"):
        assert problem(await client.request(method, f"/contacts/{UNKNOWN}")) == (404, "contact_not_found")


async def test_patches_at_once_take_nothing_back_from_each_other(client: httpx.AsyncClient) -> None:
    path = f"/contacts/{(await add(client, 'many@example.com'))['id']}"
    for number in range(5):
        changes = {name: f"{name} {number}" for name in ("first_name", "last_name", "company")}
        changes["email"] = f"many{number}@example.com"
        asked = [client.patch(path, json={"contact": {name: value}}) for name, value in changes.items()]
        assert [answer.status_code for answer in await asyncio.gather(*asked)] == [200] * len(asked)
        shown = (await client.get(path)).json()
        assert {name: shown[name] for name in changes} == changes
        assert (await client.get("/contacts", params={"email": changes["email"]})).json() == [shown]


async def test_what_is_left_out_of_a_patch_stays(client: httpx.AsyncClient) -> None:
    shown = await add(client, "patch@example.com", first_name="Pat", company="Acme", custom={"a": 1})
    path = f"/contacts/{shown['id']}"
    answer = await client.patch(path, json={"contact": {**shown, "first_name": "Patricia", "company": None}})
    assert answer.status_code == 200
    assert answer.json() == {**shown, "first_name": "Patricia", "company": None}
    assert (await client.get(path)).json() == answer.json()
    assert (await client.patch(path, json={"contact": {}})).json() == answer.json()


async def test_a_changed_address_frees_the_old_one_and_keeps_the_new(client: httpx.AsyncClient) -> None:
    one, other = await add(client, "old@example.com"), await add(client, "taken@example.com")
    path = f"/contacts/{one['id']}"
    answer = await client.patch(path, json={"contact": {"email": "taken@example.com", "first_name": "Lost"}})
    assert problem(answer) == (422, "contact_already_exists")
    assert answer.json()["details"] == {"contact_id": other["id"]}
    assert (await client.get(path)).json() == one
    moved = await client.patch(path, json={"contact": {"email": "new@example.com"}})
    assert moved.json() == {**one, "email": "new@example.com"}
    assert [row["id"] for row in (await client.get("/contacts?email=new@example.com")).json()] == [one["id"]]
    assert (await client.get("/contacts?email=old@example.com")).json() == []
    assert problem(await client.post("/contacts", json={"contact": {"email": "new@example.com"}}))[0] == 422
    assert (await add(client, "old@example.com"))["id"] != one["id"]


async def test_who_is_deleted_takes_the_enrollments_along(client: httpx.AsyncClient) -> None:
    shown = await add(client, "gone@example.com")
    campaign = (await create(client)).json()["id"]
    body = {"contact_id": shown["id"]}
    enrolled = (await client.post(f"/campaigns/{campaign}/enroll_contact", json=body)).json()
    answer = await client.delete(f"/contacts/{shown['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "DELETE", "PATCH"):
        assert problem(await client.request(method, f"/contacts/{shown['id']}")) == (404, "contact_not_found")
    assert (await client.get(f"/enrollments/{enrolled['id']}")).json()["status"] == "stopped"
    assert problem(await client.post(f"/campaigns/{campaign}/dispatch")) == (422, "no_pending_enrollments")
    assert (await add(client, "gone@example.com"))["id"] != shown["id"]


async def test_anothers_contact_is_answered_like_an_unknown_one(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    shown = await add(client, "mine@example.com")
    for method in ("GET", "PATCH", "DELETE"):
        theirs = await stranger.request(method, f"/contacts/{shown['id']}")
        unknown = await stranger.request(method, f"/contacts/{UNKNOWN}")
        assert problem(theirs) == (404, "contact_not_found")
        assert theirs.content == unknown.content
    assert (await add(stranger, "mine@example.com"))["id"] != shown["id"]


async def test_a_verdict_that_is_late_shows_what_the_call_would_have(
    gateway: System, client: httpx.AsyncClient
) -> None:
    bodies: Mapping[str, Any] = {
        "/contacts": {"contact": {"email": "late@example.com", "first_name": "Lata"}},
        "/suppressions": {"suppression": {"value": "@late.example"}},
        "/outreaches": {"outreach": {"name": "Late"}},
        "/contact_imports": {"contact_import": {"name": "Late", "contacts": [{"email": "later@example.com"}]}},
    }
    gateway.kill("dispatcher")
    try:
        answers = await asyncio.gather(*(client.post(path, json=body) for path, body in bodies.items()))
    finally:
        gateway.revive("dispatcher")
    for (path, body), answer in zip(bodies.items(), answers, strict=True):
        assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
        while (told := (await client.get(answer.headers["location"])).json())["status"] == "accepted":  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)
        assert (told["status"], told["http_status"]) == ("succeeded", 201)
        sent = {name: value for name, value in next(iter(body.values())).items() if name != "contacts"}
        assert sent.items() <= told["body"].items()
        assert (await client.get(path)).json()[0]["id"] == told["body"]["id"]


async def test_who_was_deleted_can_be_erased_and_nobody_else_is(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    shown = await add(client, "erased@example.com")
    path = f"/contacts/{shown['id']}"
    assert problem(await client.get(f"{path}/erasure")) == (404, "erasure_not_found")
    for method, end in (("POST", "erase"), ("GET", "erasure")):
        assert problem(await stranger.request(method, f"{path}/{end}")) == (404, "contact_not_found")
        assert problem(await client.request(method, f"/contacts/{UNKNOWN}/{end}")) == (404, "contact_not_found")
    assert fields(await client.post(f"{path}/erase", json={"why": "x"})) == ["why"]
    await client.delete(path)
    erased = await client.post(f"{path}/erase")
    assert (erased.status_code, erased.json().keys()) == (200, {"contact_id", "erased_at"})
    receipt = (await client.get(f"{path}/erasure")).json()
    assert (receipt["contact_id"], receipt["kept"]) == (shown["id"], [])
    assert (await client.post(f"{path}/erase")).json() == erased.json()


async def test_no_kept_answer_names_who_was_erased_also_where_its_gateway_died(
    gateway: System, client: httpx.AsyncClient
) -> None:
    contact, owner = (await add(client, "kept@example.com"))["id"], await asyncpg.connect(gateway.site.database_url)
    header = {"Idempotency-Key": str(uuid4())}
    body = {"suppression": {"value": "kept@example.com", "reason": "Kim Kept asked"}}
    first = (await client.post("/suppressions", json=body, headers=header)).json()
    [kept] = await owner.fetch(
        "select owner, value from log.vault where owner = (select request_id from log.requests "
        "where created_at = (select max(created_at) from log.requests))"
    )

    async def replayed() -> Mapping[str, Any]:
        answer = await client.post("/suppressions", json=body, headers=header)
        assert (answer.status_code, answer.headers["idempotency-replayed"]) == (201, "true")
        shown: Mapping[str, Any] = answer.json()
        return shown

    nobody = {**first, "value": None, "reason": None}
    await client.delete(f"/contacts/{contact}")
    assert await replayed() == first
    assert (await client.post(f"/contacts/{contact}/erase")).status_code == 200
    assert await replayed() == nobody
    for ask in (client.get(f"/contacts/{contact}/erasure"), client.post(f"/contacts/{contact}/erase")):
        await owner.execute("update log.vault set value = $2 where owner = $1", *kept)  # nobody had redacted it
        assert await replayed() == first
        assert (await ask).status_code == 200
        assert await replayed() == nobody
    await owner.close()


def test_an_answer_about_an_erased_person_keeps_its_shape_and_no_words_about_anybody() -> None:
    person = {"id": "1", "email": "a@b.example", "custom": {"role": "x"}, "created_at": "now"}
    assert without(person, "1") == {"id": "1", "email": None, "custom": {}, "created_at": "now"}
    assert without(person, "2") == person
    send, account = {"id": "3", "smtp_reply": "550 <a@b.example>"}, {"label": "One", "smtp_error": "550 <a@b.example>"}
    assert without([send, account], "1") == [{"id": "3", "smtp_reply": None}, {"label": "One", "smtp_error": None}]
    skipped = [{"contact_id": "2", "reason": "it opted out"}]
    assert without(skipped, "1") == skipped
