"""What a client gets while a server behind the gateway is gone."""

import asyncio
import signal

import asyncpg
import httpx

from tests.kernel.until import until
from tests.support.servers import Server
from tests.support.system import StartSystem

SECONDS = 120


async def answered(client: httpx.AsyncClient, status: int) -> httpx.Response:
    """The account, once it is answered with this status."""
    async with asyncio.timeout(SECONDS):
        while (answer := await client.get("/account")).status_code != status:
            assert answer.status_code in {200, 503}, answer.text
    return answer


async def test_without_a_database_nothing_is_accepted_and_with_it_everything_again(
    start_system: StartSystem, postgres_server: Server
) -> None:
    system = await start_system(services=("dispatcher", "api"), postgres=postgres_server)
    async with httpx.AsyncClient(base_url=system.url, headers=dict(system.headers), timeout=30) as client:
        assert (await client.post("/api_keys", json={"label": "before"})).status_code == 201
        postgres_server.kill(signal.SIGINT)
        gone = await answered(client, 503)
        assert gone.json()["code"] == "unavailable"
        assert int(gone.headers["retry-after"]) > 0
        key = {"Idempotency-Key": "while-it-was-down"}
        assert (await client.post("/api_keys", json={"label": "meanwhile"}, headers=key)).status_code == 503
        assert (await client.get("/health/live")).status_code == 200
        assert (await client.get("/health/ready")).status_code == 503
        postgres_server.revive()
        await answered(client, 200)
        assert (await client.post("/api_keys", json={"label": "after"})).status_code in {201, 202}
        labels = {key["label"] for key in (await client.get("/api_keys")).json()}
        assert "meanwhile" not in labels
        again = await client.post("/api_keys", json={"label": "meanwhile"}, headers=key)
        assert again.status_code in {201, 202}, "what failed here is no answer to replay"
        assert "idempotency-replayed" not in again.headers


async def test_a_command_that_nobody_carried_out_in_time_is_shown_as_expired_and_never_carried_out(
    start_system: StartSystem,
) -> None:
    system = await start_system(services=("dispatcher", "api"))
    async with httpx.AsyncClient(base_url=system.url, headers=dict(system.headers), timeout=30) as client:
        system.kill("dispatcher")
        late = await client.post("/api_keys", json={"label": "too late"})
        assert (late.status_code, late.json()["status"]) == (202, "accepted")
        await _outwait(system.site.database_url)

        async def is_decided() -> bool:
            return bool((await client.get(late.headers["location"])).json()["status"] != "accepted")

        await until("the gateway rejected it", is_decided, SECONDS)
        shown = (await client.get(late.headers["location"])).json()
        assert (shown["status"], shown["http_status"]) == ("rejected", 504)
        assert (shown["body"]["code"], shown["body"]["type"]) == ("expired", "/errors/expired")
        system.revive("dispatcher")
        assert (await client.post("/api_keys", json={"label": "in time"})).status_code == 201
        labels = {key["label"] for key in (await client.get("/api_keys")).json()}
        assert "in time" in labels
        assert "too late" not in labels


async def _outwait(database_url: str) -> None:
    """The time of every open command is over."""
    owner = await asyncpg.connect(database_url)
    try:
        await owner.execute("update log.commands set expires_at = now() - interval '1 s' where status = 'accepted'")
    finally:
        await owner.close()
