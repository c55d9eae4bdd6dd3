"""What a client gets for what is wrong: which code first, every failure at its field, nothing of the inside."""

import json
from collections.abc import AsyncGenerator, Mapping

import httpx
import pytest

from tests.support.http import CAMPAIGN, CREDENTIAL, JSON, STEP, UNKNOWN, create, fields, problem
from tests.support.system import System


async def test_without_a_valid_key_nothing_is_told(gateway: System) -> None:
    keys = ["", "Bearer", "Bearer x", f"Bearer ok_live_{'A' * 43}", f"Basic {gateway.api_key}", "Bearer é"]
    async with httpx.AsyncClient(base_url=gateway.url) as stranger:
        for path in ("/campaigns", "/nowhere", "/accounts", f"/campaigns/{UNKNOWN}"):
            for key in [*keys, f"Bearer {gateway.operator_token}" if path == "/campaigns" else ""]:
                answer = await stranger.get(path, headers=[(b"Authorization", key.encode())])
                assert problem(answer) == (401, "unauthorized"), (path, key)
                assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_tenants_key_opens_no_operators_route(client: httpx.AsyncClient) -> None:
    assert problem(await client.post("/accounts", json={"account": {"name": "x"}})) == (401, "unauthorized")


@pytest.mark.parametrize("path", ["/nowhere", "/campaigns/", "//campaigns", "/campaigns/x/y/z", "/"])
async def test_an_unknown_route_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert problem(await client.get(path)) == (404, "not_found")


async def test_a_wrong_method_is_named_before_a_wrong_body(client: httpx.AsyncClient) -> None:
    answer = await client.put("/campaigns", content=b"{", headers={"Content-Type": "text/plain"})
    assert problem(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert problem(await client.request("OPTIONS", "/campaigns")) == (405, "method_not_allowed")


async def test_head_answers_like_get(client: httpx.AsyncClient) -> None:
    answer = await client.head("/campaigns")
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await client.head(f"/campaigns/{UNKNOWN}")).status_code == 404


async def test_type_then_size_then_json(client: httpx.AsyncClient) -> None:
    large = b" " * (1024 * 1024 + 1)
    answer = await client.post("/campaigns", content=large, headers={"Content-Type": "text/plain"})
    assert problem(answer) == (415, "unsupported_media_type")
    assert problem(await client.post("/campaigns", content=large, headers=JSON)) == (413, "payload_too_large")

    async def unannounced() -> AsyncGenerator[bytes]:
        for _ in range(1100):
            yield b" " * 1024

    answer = await client.post("/campaigns", content=unannounced(), headers=JSON)
    assert problem(answer) == (413, "payload_too_large")
    assert problem(await client.post("/campaigns", content=b"{")) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"nope", b"\xff\xfe", b'{"a": "\xff"}', b'{"campaign": {}, "campaign": {}}', b'{"a": NaN}',
        b'{"a": Infinity}', b'{"a": 1e999}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"\xef\xbb\xbf{}",
    ],
)  # fmt: skip
async def test_what_is_no_json_is_a_bad_request_even_of_an_unknown_campaign(
    client: httpx.AsyncClient, body: bytes
) -> None:
    for path in ("/campaigns", f"/campaigns/{UNKNOWN}/dispatch"):
        assert problem(await client.post(path, content=body, headers=JSON)) == (400, "bad_request")


@pytest.mark.parametrize(
    "body", [b"[]", b'"x"', b"5", b"null", b"true", b"{}", b'{"campaign": 5}', b'{"campaign": []}']
)
async def test_json_of_another_shape_is_unprocessable(client: httpx.AsyncClient, body: bytes) -> None:
    assert problem(await client.post("/campaigns", content=body, headers=JSON)) == (422, "validation_failed")


async def test_an_unknown_resource_comes_before_a_wrong_field(client: httpx.AsyncClient) -> None:
    wrong = {"campaign": {"nmae": 5}}
    for id_ in (UNKNOWN, "nonsense", f"{{{UNKNOWN}}}", UNKNOWN.replace("-", "")):
        assert problem(await client.patch(f"/campaigns/{id_}", json=wrong)) == (404, "campaign_not_found")
        assert problem(await client.get(f"/campaigns/{id_}?x=y")) == (404, "campaign_not_found")
        assert problem(await client.get(f"/enrollments/{id_}")) == (404, "enrollment_not_found")
        assert problem(await client.get(f"/contacts/{id_}")) == (404, "contact_not_found")
        assert problem(await client.get(f"/contact_imports/{id_}")) == (404, "contact_import_not_found")
        assert problem(await client.delete(f"/contact_imports/{id_}")) == (404, "contact_import_not_found")
        assert problem(await client.delete(f"/api_keys/{id_}")) == (404, "api_key_not_found")
        assert problem(await client.get(f"/commands/{id_}")) == (404, "command_not_found")


async def test_every_failure_is_listed_at_its_field(client: httpx.AsyncClient) -> None:
    credential = {**CREDENTIAL, "smtp_port": "587", "daily_limit": 0, "smtp_hots": "x", "imap_host": "imap.example.com"}
    steps = [STEP, {**STEP, "position": 2, "subject": "{{nobody}}", "body_html": "{% if %}", "delay_minutes": -1}]
    answer = await create(
        client,
        name="  ",
        min_wait_seconds=500,
        max_wait_seconds=400.0,
        verify_email_mx="yes",
        send_window={"days": [], "start": "17:00", "end": "09:00", "timezone": "Mars/Olympus"},
        smtp_credentials=[credential],
        sequence_steps=steps,
        nmae="x",
    )
    assert set(fields(answer)) == {
        "campaign.name",
        "campaign.max_wait_seconds",
        "campaign.verify_email_mx",
        "campaign.send_window.days",
        "campaign.send_window.end",
        "campaign.send_window.timezone",
        "campaign.smtp_credentials[0].smtp_port",
        "campaign.smtp_credentials[0].daily_limit",
        "campaign.smtp_credentials[0].smtp_hots",
        "campaign.smtp_credentials[0].imap_port",
        "campaign.smtp_credentials[0].imap_username",
        "campaign.smtp_credentials[0].imap_password",
        "campaign.sequence_steps[1].subject",
        "campaign.sequence_steps[1].body_html",
        "campaign.sequence_steps[1].delay_minutes",
        "campaign.nmae",
    }


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"smtp_host": "127.0.0.1"}, "smtp_host"),
        ({"smtp_host": "localhost"}, "smtp_host"),
        ({"smtp_host": "10.0.0.8"}, "smtp_host"),
        ({"smtp_host": "::1"}, "smtp_host"),
        ({"smtp_host": "a b"}, "smtp_host"),
        ({"smtp_security": "none"}, "smtp_security"),
        ({"smtp_username": "me"}, "from_email"),
        ({"from_email": "me"}, "from_email"),
        ({"from_name": "a\nb"}, "from_name"),
        ({"smtp_port": 65536}, "smtp_port"),
        ({"smtp_port": True}, "smtp_port"),
        ({"smtp_port": 587.5}, "smtp_port"),
    ],
)
async def test_a_credential_that_cannot_be_is_refused(
    client: httpx.AsyncClient, changed: Mapping[str, object], field: str
) -> None:
    answer = await create(client, smtp_credentials=[{**CREDENTIAL, **changed}])
    assert fields(answer) == [f"campaign.smtp_credentials[0].{field}"]
    assert "secret-word" not in answer.text


async def test_characters_that_nothing_can_hold_are_refused_at_their_field(client: httpx.AsyncClient) -> None:
    for text in ("a\\u0000b", "a\\ud800b"):
        body = json.dumps({"campaign": {**CAMPAIGN, "name": "#"}}).replace("#", text).encode()
        assert fields(await client.post("/campaigns", content=body, headers=JSON)) == ["campaign.name"]


async def test_positions_have_no_gap(client: httpx.AsyncClient) -> None:
    answer = await create(client, sequence_steps=[STEP, {**STEP, "position": 3}])
    assert fields(answer) == ["campaign.sequence_steps"]


async def test_an_unknown_outreach_is_not_found(client: httpx.AsyncClient) -> None:
    for outreach in (UNKNOWN, "nonsense"):
        assert problem(await create(client, outreach_id=outreach)) == (404, "outreach_not_found")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "cursor=!", "x=1", "limit=1&limit=2", "limit="])
async def test_a_query_that_cannot_be_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert problem(await client.get(f"/campaigns?{query}")) == (422, "validation_failed")
