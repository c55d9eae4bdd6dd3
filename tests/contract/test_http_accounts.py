"""Accounts and keys: opened, changed and closed; what is kept of a key, and what is open to everybody."""

import asyncpg
import httpx

from tests.support import story_log
from tests.support.described import as_described
from tests.support.http import UNKNOWN, create, decided, fields, problem
from tests.support.system import System

WORDS = ("zq7tenant", "zq7person", "zq7campaign", "zq7label")


async def test_an_account_has_no_limit_unless_told_and_a_patch_changes_what_it_names(gateway: System) -> None:
    operator = {"Authorization": f"Bearer {gateway.operator_token}"}
    hooks = {"response": [as_described]}
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30, headers=operator, event_hooks=hooks) as web:
        opened = await web.post("/accounts", json={"account": {"name": " Free "}})
        account = opened.json()
        assert (opened.status_code, account["name"], account["monthly_limit"]) == (201, "Free", None)
        bounded = (await web.post("/accounts", json={"account": {"name": "Bound", "monthly_limit": 5}})).json()
        assert bounded["monthly_limit"] == 5
        path = f"/accounts/{bounded['id']}"
        named = await web.patch(path, json={"account": {"name": "Other"}})
        assert (named.status_code, named.json()["name"], named.json()["monthly_limit"]) == (200, "Other", 5)
        raised = await web.patch(path, json={"account": {"monthly_limit": 9}})
        assert (raised.json()["name"], raised.json()["plan"]) == ("Other", {"monthly_limit": 9})
        assert (await web.patch(path, json={"account": {"monthly_limit": None}})).json()["monthly_limit"] is None
        for wrong in (-1, "5", 1.5, True):
            assert fields(await web.patch(path, json={"account": {"monthly_limit": wrong}})) == [
                "account.monthly_limit"
            ]
        assert fields(await web.post("/accounts", json={"account": {}})) == ["account.name"]
        assert problem(await web.patch(f"/accounts/{UNKNOWN}", json={"account": {}})) == (404, "account_not_found")
        theirs = {"Authorization": f"Bearer {bounded['api_key']['plaintext']}"}
        shown = (await web.get("/account", headers=theirs)).json()
        assert (shown["id"], shown["name"], shown["plan"]) == (bounded["id"], "Other", {"monthly_limit": None})
        for method, where in (("POST", "/accounts"), ("PATCH", path), ("DELETE", path)):
            answer = await web.request(method, where, json={"account": {"name": "x"}}, headers=theirs)
            assert problem(answer) == (401, "unauthorized")


async def test_of_a_key_its_hash_alone_is_kept_and_it_is_shown_once(gateway: System, client: httpx.AsyncClient) -> None:
    made = (await client.post("/api_keys", json={"label": "Shown once"})).json()
    plaintext: str = made["plaintext"]
    assert plaintext.startswith("ok_live_")
    assert len(plaintext) == len("ok_live_") + 43, "32 bytes, url-safe"
    assert plaintext.startswith(made["prefix"])
    [listed] = [row for row in (await client.get("/api_keys")).json() if row["id"] == made["id"]]
    assert listed == {name: made[name] for name in ("id", "prefix", "label", "created_at")}
    connection = await asyncpg.connect(gateway.site.database_url)
    try:
        issued = await connection.fetchval(
            "select data from log.events where type = 'ApiKeyIssued' and data->>'key_id' = $1", made["id"]
        )
        rows = await connection.fetch("select value::text from log.vault")
    finally:
        await connection.close()
    assert plaintext not in issued
    assert not [row for row in rows if plaintext in row["value"]]
    path = f"/api_keys/{made['id']}"
    mine = {"Authorization": f"Bearer {plaintext}"}
    assert (await client.get("/account", headers=mine)).status_code == 200
    assert (await client.delete(path)).status_code == 204
    assert problem(await client.get("/account", headers=mine)) == (401, "unauthorized")
    assert problem(await client.delete(path)) == (404, "api_key_not_found")


async def test_what_is_public_needs_no_key_and_figures_are_not_public(gateway: System) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as web:
        for path in ("/openapi.json", "/docs", "/health/live", "/health/ready"):
            assert (await web.get(path)).status_code == 200, path
        keyed = {"Authorization": f"Bearer {gateway.api_key}"}
        assert problem(await web.get("/metrics")) == (401, "unauthorized")
        assert problem(await web.get("/metrics", headers=keyed)) == (404, "not_found")


async def test_a_closed_account_is_forgotten_and_its_figures_stay(gateway: System) -> None:
    operator = {"Authorization": f"Bearer {gateway.operator_token}"}
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as tenant:
        opened = await tenant.post("/accounts", json={"account": {"name": WORDS[0]}}, headers=operator)
        account = opened.json()["id"]
        tenant.headers["Authorization"] = f"Bearer {opened.json()['api_key']['plaintext']}"
        other = (await tenant.post("/api_keys", json={"label": WORDS[3]})).json()["plaintext"]
        campaign = (await create(tenant, name=WORDS[2])).json()["id"]
        contact = (await tenant.post("/contacts", json={"contact": {"email": f"{WORDS[1]}@example.com"}})).json()["id"]
        await tenant.post(f"/campaigns/{campaign}/enroll_contact", json={"contact_id": contact})
        await tenant.post(f"/campaigns/{campaign}/dispatch")

        assert problem(await tenant.delete(f"/accounts/{account}")) == (401, "unauthorized")
        assert problem(await tenant.delete(f"/accounts/{UNKNOWN}", headers=operator)) == (404, "account_not_found")
        closed = await tenant.delete(f"/accounts/{account}", headers=operator)
        assert await decided(tenant, closed, **operator) == (204, None)
        for key in (tenant.headers["Authorization"], f"Bearer {other}"):
            answer = await tenant.get(f"/campaigns/{campaign}", headers={"Authorization": key})
            assert problem(answer) == (401, "unauthorized")
        body = {"account": {"monthly_limit": 1}}
        for answer in (
            await tenant.patch(f"/accounts/{account}", json=body, headers=operator),
            await tenant.delete(f"/accounts/{account}", headers=operator),
        ):
            assert problem(answer) == (404, "account_not_found")

    connection = await asyncpg.connect(gateway.site.database_url)
    try:
        assert await connection.fetchval("select count(*) from log.vault where account_id = $1", account) == 0
        undone = "select count(*) from dispatcher_work.todos where account_id = $1 and kind = $2 and done_at is null"
        assert await connection.fetchval(undone, account, "send_step") == 0
        deleted = "select deleted_at from api.campaigns where campaign_id = $1"
        assert await connection.fetchval(deleted, campaign) is not None
        counted = "select pending + sent from api.campaign_counts where campaign_id = $1"
        assert await connection.fetchval(counted, campaign) is not None, "the figures stay"
    finally:
        await connection.close()
    tables = await story_log.dump(gateway.site.database_url)
    assert [name for name, text in tables.items() if any(word in text for word in WORDS)] == []
