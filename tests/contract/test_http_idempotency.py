"""One request, one effect, one answer: Idempotency-Key over two gateways, and when any of them dies."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.kernel.until import until
from tests.support.http import CAMPAIGN, UNKNOWN, fields, problem
from tests.support.replicas import another_gateway
from tests.support.system import System

SECONDS = 180
TWINS = 8
REPLAYED = "idempotency-replayed"


@pytest.fixture(scope="module")
def other_url(gateway: System) -> Generator[str]:
    """A second gateway."""
    with another_gateway(gateway) as url:
        yield url


@pytest.fixture
async def other(gateway: System, other_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    """The same tenant at the second gateway."""
    async with httpx.AsyncClient(base_url=other_url, headers=dict(gateway.headers), timeout=30) as client:
        yield client


def key() -> dict[str, str]:
    """A header that nobody sent before."""
    return {"Idempotency-Key": f"order {uuid4()}".replace(" ", "/")}


def said(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All of it but the server's date, and that it was said before."""
    kept = [(name, value) for name, value in answer.headers.items() if name not in {"date", REPLAYED}]
    return answer.status_code, answer.content, sorted(kept)


async def test_the_same_request_is_answered_byte_for_byte_alike_by_any_gateway_and_done_once(
    client: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    header, body = key(), {"campaign": {**CAMPAIGN, "name": f"Once {uuid4()}"}}
    first = await client.post("/campaigns", json=body, headers=header)
    again = [await web.post("/campaigns", json=body, headers=header) for web in (client, other, other)]
    assert first.status_code == 201, first.text
    assert REPLAYED not in first.headers
    assert {REPLAYED: "true"}.items() <= again[0].headers.items()
    assert [said(one) for one in again] == [said(first)] * 3
    names = [row["name"] for row in (await client.get("/campaigns")).json()]
    assert names.count(body["campaign"]["name"]) == 1


async def test_a_key_is_for_one_request_of_one_account(client: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    header = key()
    body = {"outreach": {"name": "One"}}
    first = await client.post("/outreaches", json=body, headers=header)
    assert first.status_code == 201
    for method, path, other in (
        ("POST", "/outreaches", {"outreach": {"name": "Two"}}),
        ("POST", "/suppressions", body),
        ("PATCH", f"/outreaches/{first.json()['id']}", body),
        ("DELETE", f"/outreaches/{first.json()['id']}", None),
    ):
        answer = await client.request(method, path, json=other, headers=header)
        assert problem(answer) == (422, "idempotency_key_reused")
    assert (await client.get(f"/outreaches/{first.json()['id']}")).json()["name"] == "One"
    theirs = await stranger.post("/outreaches", json=body, headers=header)
    assert theirs.status_code == 201
    assert theirs.json()["id"] != first.json()["id"]
    assert REPLAYED not in theirs.headers


async def test_refusals_are_replayed_even_when_the_call_would_go_through_by_now(client: httpx.AsyncClient) -> None:
    header, address = key(), f"{uuid4()}@example.com"
    body = {"contact": {"email": address}}
    contact = (await client.post("/contacts", json=body)).json()["id"]
    refused = await client.post("/contacts", json=body, headers=header)
    assert problem(refused) == (422, "contact_already_exists")
    assert (await client.delete(f"/contacts/{contact}")).status_code == 204
    again = await client.post("/contacts", json=body, headers=header)
    assert again.headers[REPLAYED] == "true"
    assert said(again) == said(refused)
    for resource, name in (("contacts", "contact"), ("outreaches", "outreach")):
        header, nothing = key(), {name: dict[str, str]()}
        answers = [await client.patch(f"/{resource}/{UNKNOWN}", json=nothing, headers=header) for _ in range(2)]
        assert said(answers[0]) == said(answers[1])
        assert answers[1].headers[REPLAYED] == "true"


async def test_deleting_twice_with_one_key_is_deleting_once(client: httpx.AsyncClient) -> None:
    header = key()
    path = f"/outreaches/{(await client.post('/outreaches', json={'outreach': {'name': 'Gone'}})).json()['id']}"
    answers = [await client.delete(path, headers=header) for _ in range(2)]
    assert [one.status_code for one in answers] == [204, 204]
    assert said(answers[0]) == said(answers[1])
    assert problem(await client.delete(path, headers=key())) == (404, "outreach_not_found")


async def test_twins_at_two_gateways_are_carried_out_once(client: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    header, label = key(), f"twin {uuid4()}"
    calls = [
        web.post("/api_keys", json={"label": label}, headers=header) for web in (client, other) for _ in range(TWINS)
    ]
    answers = await asyncio.gather(*calls)
    firsts = [one for one in answers if one.status_code == 201 and REPLAYED not in one.headers]
    assert len(firsts) == 1, [one.status_code for one in answers]
    for one in answers:
        if one.status_code != 201:
            assert problem(one) == (409, "idempotency_key_in_progress")
        else:
            assert said(one) == said(firsts[0])
    labels = [row["label"] for row in (await client.get("/api_keys")).json()]
    assert labels.count(label) == 1


@pytest.mark.parametrize("value", ["", "two words", "x" * 256, "\xe9"])
async def test_a_key_has_1_to_255_visible_characters(value: str, client: httpx.AsyncClient) -> None:
    header = {b"Idempotency-Key": value.encode("latin-1")}
    answer = await client.post("/outreaches", json={"outreach": {"name": "x"}}, headers=header)
    assert problem(answer) == (400, "bad_request")
    longest = {"Idempotency-Key": f"~{uuid4()}".ljust(255, "!")}
    assert (await client.post("/outreaches", json={"outreach": {"name": "x"}}, headers=longest)).status_code == 201


async def test_reading_needs_no_key_and_ignores_one(client: httpx.AsyncClient) -> None:
    header = key()
    answers = [await client.get(path, headers=header) for path in ("/account", "/campaigns")]
    assert [one.status_code for one in answers] == [200, 200]
    assert all(REPLAYED not in one.headers for one in answers)
    assert fields(await client.post("/outreaches", json={}, headers=header)) == ["outreach"]


async def test_a_late_or_lost_answer_is_found_by_the_same_key(
    gateway: System, client: httpx.AsyncClient, other_url: str
) -> None:
    owner = await asyncpg.connect(gateway.site.database_url)
    with another_gateway(gateway, "api-3") as doomed_url:
        gateway.kill("dispatcher")
        async with httpx.AsyncClient(base_url=doomed_url, headers=dict(gateway.headers), timeout=30) as doomed:
            lost, late = key(), key()
            lost_call = asyncio.create_task(doomed.post("/api_keys", json={"label": "lost"}, headers=lost))
            await until("its command is noted", lambda: _noted(owner), SECONDS)
            gateway.kill("api-3")
            with pytest.raises(httpx.TransportError):
                await lost_call
        waiting = asyncio.create_task(client.post("/api_keys", json={"label": "late"}, headers=late))
        await until("both are noted", lambda: _noted(owner, 2), SECONDS)
        busy = await client.post("/api_keys", json={"label": "late"}, headers=late)
        assert problem(busy) == (409, "idempotency_key_in_progress")
        accepted = await waiting
        assert accepted.status_code == 202
        gateway.revive("dispatcher")
    async with httpx.AsyncClient(base_url=other_url, headers=dict(gateway.headers), timeout=30) as other:
        held = await other.post("/api_keys", json={"label": "lost"}, headers=lost)
        assert problem(held) == (409, "idempotency_key_in_progress")
        await _decided(client, accepted.headers["location"])
        await owner.execute("update log.requests set held_until = clock_timestamp() where holder is not null")
        found = await other.post("/api_keys", json={"label": "lost"}, headers=lost)
        assert found.status_code == 201, found.text
        again = await client.post("/api_keys", json={"label": "lost"}, headers=lost)
        assert said(again) == said(found)
        plaintext = found.json()["plaintext"]
        mine = await client.get("/account", headers={"Authorization": f"Bearer {plaintext}"})
        assert mine.status_code == 200
        replayed = await other.post("/api_keys", json={"label": "late"}, headers=late)
        assert said(replayed) == said(accepted)
        await _shown_to_its_asker_alone(client, accepted.headers["location"], plaintext)
    labels = [row["label"] for row in (await client.get("/api_keys")).json()]
    assert (labels.count("lost"), labels.count("late")) == (1, 1)
    await owner.close()


async def _shown_to_its_asker_alone(client: httpx.AsyncClient, location: str, other_key: str) -> None:
    command = (await client.get(location)).json()
    assert (command["status"], command["http_status"]) == ("succeeded", 201)
    new = command["body"]
    assert sorted(new) == ["created_at", "id", "label", "plaintext", "prefix"]
    opened = await client.get("/account", headers={"Authorization": f"Bearer {new['plaintext']}"})
    assert opened.status_code == 200
    beside = (await client.get(location, headers={"Authorization": f"Bearer {other_key}"})).json()
    assert beside["status"] == "succeeded"
    assert "plaintext" not in beside["body"]


async def test_an_attempt_that_comes_back_from_the_dead_does_nothing_more(
    gateway: System, client: httpx.AsyncClient
) -> None:
    """Its command was noted and not accepted: the next attempt withdraws it before it begins anew."""
    owner = await asyncpg.connect(gateway.site.database_url)
    header, body = key(), {"outreach": {"name": f"Withdrawn {uuid4()}"}}
    first = await client.post("/outreaches", json=body, headers=header)
    ghost = uuid4()
    await owner.execute(
        "update log.requests set holder = $1, held_until = clock_timestamp(), command_id = $1 "
        "where created_at = (select max(created_at) from log.requests)",
        ghost,
    )
    second = await client.post("/outreaches", json=body, headers=header)
    assert second.status_code == 201
    assert REPLAYED not in second.headers
    assert second.json()["id"] != first.json()["id"]
    assert await owner.fetchval("select status from log.commands where command_id = $1", ghost) == "rejected"
    await owner.close()


@pytest.mark.parametrize("status", [500, 503, 504])
async def test_what_failed_or_expired_is_no_answer_to_replay(
    gateway: System, client: httpx.AsyncClient, status: int
) -> None:
    """Failed, withdrawn, expired: nothing was recorded, and the next attempt begins from the start."""
    owner = await asyncpg.connect(gateway.site.database_url)
    header, body, ghost = key(), {"outreach": {"name": f"Ended {uuid4()}"}}, uuid4()
    first = await client.post("/outreaches", json=body, headers=header)
    await owner.execute(
        "insert into log.commands (command_id, account_id, kind, service, target, request, status, http_status, "
        "body_without_people) select $1, account_id, 'CreateOutreach', 'dispatcher', '', '{}', 'rejected', $2, '{}' "
        "from log.requests order by created_at desc limit 1",
        ghost,
        status,
    )
    await owner.execute(
        "update log.requests set holder = $1, held_until = clock_timestamp(), command_id = $1 "
        "where created_at = (select max(created_at) from log.requests)",
        ghost,
    )
    await owner.close()
    second = await client.post("/outreaches", json=body, headers=header)
    assert second.status_code == 201, second.text
    assert second.json()["id"] != first.json()["id"]
    assert said(await client.post("/outreaches", json=body, headers=header)) == said(second)


async def test_after_a_day_a_key_is_free_again(gateway: System, client: httpx.AsyncClient) -> None:
    owner = await asyncpg.connect(gateway.site.database_url)
    header, body = key(), {"outreach": {"name": "Yesterday"}}
    first = await client.post("/outreaches", json=body, headers=header)
    await owner.execute("update log.requests set created_at = created_at - interval '24 h'")
    second = await client.post("/outreaches", json=body, headers=header)
    assert REPLAYED not in second.headers
    assert second.json()["id"] != first.json()["id"]
    await owner.close()


async def test_the_operator_finds_the_account_that_was_opened_late(gateway: System, client: httpx.AsyncClient) -> None:
    operator = {"Authorization": f"Bearer {gateway.operator_token}"}
    header = {**key(), **operator}
    answers = [await client.post("/accounts", json={"account": {"name": "Op"}}, headers=header) for _ in range(2)]
    assert said(answers[0]) == said(answers[1])
    owner = await asyncpg.connect(gateway.site.database_url)
    command = await owner.fetchval(
        "select command_id from log.commands where kind = 'OpenAccount' order by accepted desc limit 1"
    )
    await owner.close()
    shown = (await client.get(f"/commands/{command}", headers=operator)).json()
    assert shown["body"] == answers[0].json()
    theirs = {"Authorization": f"Bearer {shown['body']['api_key']['plaintext']}"}
    assert "api_key" not in (await client.get(f"/commands/{command}", headers=theirs)).json()["body"]
    assert problem(await client.get(f"/commands/{command}")) == (404, "command_not_found")


async def _noted(owner: "asyncpg.Connection", count: int = 1) -> bool:
    running = "select count(*) from log.requests r join log.commands using (command_id) where r.holder is not null"
    return int(await owner.fetchval(running)) >= count


async def _decided(client: httpx.AsyncClient, location: str) -> None:
    async def is_decided() -> bool:
        return bool((await client.get(location)).json()["status"] != "accepted")

    await until("it has its verdict", is_decided, SECONDS)
