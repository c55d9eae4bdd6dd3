"""An account that has one of everything that a path can name."""

from collections.abc import Mapping
from datetime import timedelta
from typing import cast

import asyncpg
import httpx

from tests.support.mailed import mailed
from tests.support.system import System

COMMAND = """
select command_id::text from log.commands where account_id = $1::uuid and status = 'succeeded' order by 1 limit 1
"""
DELIVERY = """
insert into api_work.todos (kind, key, account_id, lane, ordinal, due_at, data)
values ('deliver_webhook', gen_random_uuid()::text, $1::uuid, $2::uuid, 1, now(), '{"type": "webhook.test"}')
returning key
"""
"""As the webhooks process makes it, which need not run."""


async def furnished(gateway: System, client: httpx.AsyncClient) -> Mapping[str, str]:
    """The ids of the client's things, by their names in paths. A path with a new name needs a line here."""
    campaign, delivery = await mailed(gateway, client, timedelta(minutes=5))
    outreach = await _made(client, "/outreaches", {"outreach": {"name": "Siblings"}})
    suppression = await _made(client, "/suppressions", {"suppression": {"value": "@suppressed.example"}})
    shown = (await client.get(campaign)).json()
    webhook = await _made(client, "/webhooks", {"webhook": {"url": "https://hooks.example/"}})
    enrollment = (await client.get(f"{campaign}/enrollments")).json()[0]
    account = (await client.get("/account")).json()["id"]
    connection = await asyncpg.connect(gateway.site.database_url)
    try:
        command = cast("str", await connection.fetchval(COMMAND, account))
        delivery_id = cast("str", await connection.fetchval(DELIVERY, account, webhook))
    finally:
        await connection.close()
    return {
        "account_id": account,
        "campaign_id": shown["id"],
        "command_id": command,
        "contact_id": enrollment["contact_id"],
        "credential_id": shown["credentials"][0]["id"],
        "delivery_id": delivery_id,
        "enrollment_id": enrollment["id"],
        "import_id": (await client.get("/contact_imports")).json()[0]["id"],
        "key_id": (await client.get("/api_keys")).json()[0]["id"],
        "outreach_id": outreach,
        "position": "1",
        "send_id": str(delivery),
        "suppression_id": suppression,
        "webhook_id": webhook,
    }


async def _made(client: httpx.AsyncClient, path: str, body: Mapping[str, object]) -> str:
    answer = await client.post(path, json=body)
    assert answer.status_code in {200, 201}, answer.text
    return str(answer.json()["id"])
