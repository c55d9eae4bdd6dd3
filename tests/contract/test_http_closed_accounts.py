"""An account that is closed: its keys open nothing, nothing of it goes on, nobody in it is known."""

import asyncpg
import httpx

from tests.support import story_log
from tests.support.http import UNKNOWN, create, decided, problem
from tests.support.system import System

WORDS = ("zq7tenant", "zq7person", "zq7campaign", "zq7label")


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
    finally:
        await connection.close()
    tables = await story_log.dump(gateway.site.database_url)
    assert [name for name, text in tables.items() if any(word in text for word in WORDS)] == []
