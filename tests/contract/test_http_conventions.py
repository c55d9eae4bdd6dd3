"""What holds for every route: sizes, types, queries, slashes, HEAD, pages, keys, and any of several gateways."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from uuid import uuid4

import httpx
import pytest

from outrider.api.app import ROUTES
from outrider.api.bodies import Body
from outrider.api.front import Rule
from tests.support.http import CAMPAIGN, CREDENTIAL, JSON, UNKNOWN, create, fields, problem
from tests.support.replicas import another_gateway
from tests.support.system import System

LARGE = b" " * (1024 * 1024 + 1)
SLOW = 3
"""Requests a minute."""
Ids = Mapping[str, str]


def every(*methods: str) -> Iterator[tuple[str, str, Rule]]:
    """Method, path with the names of its parameters in braces, and rule of every route with one of these methods."""
    for handler in ROUTES:
        rule = Rule(**handler.opt.get("rule", {}))
        for path in handler.paths:
            for method in sorted(handler.http_methods):
                if str(method) in methods:
                    yield str(method), path.replace(":str", ""), rule


def filled(path: str, ids: Ids) -> str:
    """The path with these ids, and unknown ones where there is none."""
    parts = [ids.get(part.strip("{}"), UNKNOWN) if part.startswith("{") else part for part in path.split("/")]
    return "/".join(parts)


@pytest.fixture
async def ids(client: httpx.AsyncClient) -> Ids:
    """Something of each kind, by the name that it has in paths."""
    campaign = (await create(client)).json()["id"]
    shown = (await client.get(f"/campaigns/{campaign}")).json()
    rows = [{"email": f"{uuid4()}@ids.example"} for _ in range(2)]
    answer = await client.post("/contact_imports", json={"contact_import": {"name": "x", "contacts": rows}})
    contact = (await client.get(f"/contact_imports/{answer.json()['id']}/contacts")).json()[0]["id"]
    enrolled = await client.post(f"/campaigns/{campaign}/enroll_contact", json={"contact_id": contact})
    outreach = await client.post("/outreaches", json={"outreach": {"name": "x", "unique_contacts": False}})
    barred = await client.post("/suppressions", json={"suppression": {"value": f"{uuid4()}@ids.example"}})
    return {
        "campaign_id": campaign,
        "credential_id": shown["credentials"][0]["id"],
        "position": "1",
        "import_id": answer.json()["id"],
        "contact_id": contact,
        "enrollment_id": enrolled.json()["id"],
        "outreach_id": outreach.json()["id"],
        "suppression_id": barred.json()["id"],
    }


async def test_type_and_size_come_before_the_resource_on_every_route(client: httpx.AsyncClient) -> None:
    for method, path, rule in every("POST", "PATCH", "PUT"):
        if rule.door == "operator" or rule.any_type:
            continue
        where, plain = filled(path, {}), {"Content-Type": "text/plain"}
        wrong = await client.request(method, where, content=b"{}", headers=plain)
        assert problem(wrong) == (415, "unsupported_media_type"), path
        if rule.most_bytes == len(LARGE) - 1:
            large = await client.request(method, where, content=LARGE, headers=JSON)
            assert problem(large) == (413, "payload_too_large"), path
        assert problem(await client.request(method, where, content=b"{", headers=JSON)) == (400, "bad_request"), path
    large_ones = [path for _, path, rule in every("POST", "PATCH", "PUT") if rule.most_bytes >= len(LARGE)]
    assert large_ones == ["/contact_imports"]
    answer = await client.post("/contact_imports", content=LARGE, headers=JSON)
    assert problem(answer) == (400, "bad_request")


async def test_every_get_refuses_what_it_does_not_know_and_a_slash_at_its_end(
    client: httpx.AsyncClient, ids: Ids
) -> None:
    looked = 0
    for _, path, rule in every("GET"):
        where = filled(path, ids)
        assert problem(await client.get(f"{where}/")) == (404, "not_found"), path
        if rule.door == "public" or UNKNOWN in where:
            continue
        looked += 1
        assert "nonsense" in fields(await client.get(where, params={"nonsense": "1"})), path
        assert "limit" in fields(await client.get(where, params=[("limit", "1"), ("limit", "2")])), path
    assert looked >= 20


async def test_head_answers_like_get_on_every_route(client: httpx.AsyncClient, ids: Ids) -> None:
    for _, path, rule in every("GET"):
        if rule.stream:
            continue
        where = filled(path, ids)
        shown, head = await client.get(where), await client.head(where)
        assert (head.status_code, head.content) == (shown.status_code, b""), path
        assert head.headers["content-type"] == shown.headers["content-type"], path


async def test_every_verb_refuses_fields_and_queries_that_it_does_not_know(client: httpx.AsyncClient, ids: Ids) -> None:
    for method, path, rule in every("POST", "PATCH", "DELETE"):
        where = filled(path, ids)
        if rule.door != "tenant" or UNKNOWN in where:
            continue
        answer = await client.request(method, where, params={"nonsense": "1"}, content=b"", headers=JSON)
        assert "nonsense" in fields(answer), (method, path)
        if method != "DELETE":
            answer = await client.request(method, where, json={"nonsense": 1})
            assert "nonsense" in fields(answer), (method, path)


def test_every_object_in_a_body_is_strict() -> None:
    def below(model: type[Body]) -> Iterator[type[Body]]:
        for one in model.__subclasses__():
            yield one
            yield from below(one)

    found = list(below(Body))
    assert len(found) > 20
    assert {(one.model_config.get("extra"), one.model_config.get("strict")) for one in found} == {("forbid", True)}


async def test_every_list_is_paged_alike_while_rows_come_in(client: httpx.AsyncClient, ids: Ids) -> None:
    campaign = f"/campaigns/{ids['campaign_id']}"

    async def bring() -> str:
        body = {"contact": {"email": f"{uuid4()}@pages.example"}}
        return str((await client.post("/contacts", json=body)).json()["id"])

    async def enroll() -> None:
        await client.post(f"{campaign}/enroll_contact", json={"contact_id": await bring()})

    async def skip() -> None:
        await client.post(f"{campaign}/enroll_contact", json={"contact_id": ids["contact_id"]})

    def made(path: str, body: Callable[[], object]) -> Callable[[], Awaitable[object]]:
        return lambda: client.post(path, json=body())

    lists: Mapping[str, Callable[[], Awaitable[object]]] = {
        "/contacts": bring,
        "/contact_imports": made("/contact_imports", _one_person),
        "/campaigns": made("/campaigns", lambda: {"campaign": CAMPAIGN}),
        "/api_keys": made("/api_keys", lambda: {"label": "x"}),
        "/outreaches": made("/outreaches", lambda: {"outreach": {"name": "x", "unique_contacts": False}}),
        "/suppressions": made("/suppressions", lambda: {"suppression": {"value": f"{uuid4()}@pages.example"}}),
        f"{campaign}/enrollments": enroll,
        f"{campaign}/skips": skip,
        f"{campaign}/smtp_credentials": made(
            f"{campaign}/smtp_credentials",
            lambda: {"smtp_credential": {**CREDENTIAL, "smtp_username": f"{uuid4()}@pages.example"}},
        ),
    }
    for path, add in lists.items():
        for _ in range(3):
            await add()
        whole = (await client.get(path, params={"limit": 1000})).json()
        assert len(whole) >= 3, path
        walked: list[object] = []
        following: str | None = f"{path}?limit={max(1, len(whole) // 3)}"
        while following:
            page = await client.get(following)
            walked += page.json()
            following = page.links.get("next", {}).get("url")
            await add()
        assert walked == whole, path


def _one_person() -> object:
    return {"contact_import": {"name": "x", "contacts": [{"email": f"{uuid4()}@pages.example"}]}}


async def test_what_one_gateway_answered_is_read_at_any_other(gateway: System, client: httpx.AsyncClient) -> None:
    with another_gateway(gateway, "api-3", {"OUTRIDER_RATE_LIMIT_PER_MINUTE": "0"}) as url:
        async with httpx.AsyncClient(base_url=url, headers=dict(gateway.headers), timeout=30) as other:

            async def written_and_read(number: int) -> None:
                writer, reader = (client, other) if number % 2 else (other, client)
                email = f"{uuid4()}@both.example"
                made = await writer.post("/contacts", json={"contact": {"email": email}})
                assert made.status_code == 201, made.text
                if "outrider-read-behind" in made.headers:
                    least = {"Outrider-Min-Position": made.headers["outrider-position"]}
                    await reader.get("/account", headers=least)
                shown = await reader.get(f"/contacts/{made.json()['id']}")
                assert (shown.status_code, shown.json()["email"]) == (200, email)
                assert (await reader.delete(f"/contacts/{made.json()['id']}")).status_code == 204
                assert (await writer.get(f"/contacts/{made.json()['id']}")).status_code == 404

            await asyncio.gather(*(written_and_read(number) for number in range(8)))


async def test_a_key_that_asks_too_often_is_told_so_and_no_other(
    gateway: System, client: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    with another_gateway(gateway, "api-4", {"OUTRIDER_RATE_LIMIT_PER_MINUTE": str(SLOW)}) as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as slow:
            mine, theirs = client.headers["authorization"], stranger.headers["authorization"]
            asked = [await slow.get("/account", headers={"Authorization": mine}) for _ in range(SLOW + 1)]
            assert [answer.status_code for answer in asked[:SLOW]] == [200] * SLOW
            assert problem(asked[SLOW]) == (429, "rate_limited")
            assert 0 < int(asked[SLOW].headers["retry-after"]) <= 60 // SLOW
            unknown = await slow.get("/nonsense", headers={"Authorization": mine})
            assert problem(unknown) == (429, "rate_limited")
            body, keyed = {"outreach": {"name": "x"}}, {"Authorization": mine, "Idempotency-Key": str(uuid4())}
            refused = await slow.post("/outreaches", json=body, headers=keyed)
            assert problem(refused) == (429, "rate_limited")
            taken = await client.post("/outreaches", json=body, headers=keyed)
            assert (taken.status_code, "idempotency-replayed" in taken.headers) == (201, False), "no answer to replay"
            assert (await slow.get("/account", headers={"Authorization": theirs})).status_code == 200
            assert (await slow.get("/health/live", headers={"Authorization": mine})).status_code == 200


async def test_every_failure_is_named_at_once_whatever_it_is_of(client: httpx.AsyncClient) -> None:
    body = json.dumps(
        {"contact": {"email": "nobody", "timezone": "Mars", "first_name": 5, "nick": "x", "company": "#"}}
    )
    answer = await client.post("/contacts?x=1", content=body.replace("#", "a\\u0000").encode(), headers=JSON)
    assert sorted(fields(answer)) == [
        "contact.company", "contact.email", "contact.first_name", "contact.nick", "contact.timezone", "x",
    ]  # fmt: skip
    assert sorted(fields(await client.get("/campaigns?limit=x&cursor=!"))) == ["cursor", "limit"]


async def test_a_position_is_waited_for_and_what_cannot_be_one_is_refused(client: httpx.AsyncClient) -> None:
    made = await create(client)
    position = int(made.headers["outrider-position"])
    assert position > 0
    later = await client.post(f"/campaigns/{made.json()['id']}/pause")
    assert int(later.headers["outrider-position"]) >= position
    for wrong in ("-1", "x", "1.0", "9" * 19):
        answer = await client.get("/campaigns", headers={"Outrider-Min-Position": wrong})
        assert problem(answer) == (400, "bad_request")
