"""Migrations: once, one at a time, forward only; every service its own role, its own schemas and no more."""

import asyncio
from collections.abc import Mapping

import asyncpg
import pytest

from outrider.events.database import connect, migrate
from tests.support.servers import Server, Servers

MEMBERS = ("api", "dispatcher", "sender", "reply_watcher")


async def applied(url: str) -> list[tuple[str, str]]:
    owner = await asyncpg.connect(url)
    rows = await owner.fetch("select schema, file, applied_at from log.migrations order by schema, file, applied_at")
    await owner.close()
    return [(row["schema"], f"{row['file']} {row['applied_at']}") for row in rows]


async def test_a_second_migration_changes_nothing(servers: Servers, urls: Mapping[str, str]) -> None:
    before = await applied(urls["owner"])
    await migrate(urls["owner"], servers.keys.passwords)
    assert await applied(urls["owner"]) == before
    assert {schema for schema, _ in before} >= {"log", "dispatcher", "dispatcher_work"}


async def test_migrations_of_several_machines_at_once_are_one(servers: Servers, urls: Mapping[str, str]) -> None:
    owner = await asyncpg.connect(urls["owner"])
    for schema in ("log", *MEMBERS, *(f"{member}_work" for member in MEMBERS)):
        await owner.execute(f"drop schema if exists {schema} cascade")
    await owner.close()
    await asyncio.gather(*(migrate(urls["owner"], servers.keys.passwords) for _ in range(4)))
    found = await applied(urls["owner"])
    assert len(found) == len({(schema, file.split()[0]) for schema, file in found}) > len(MEMBERS)


async def test_a_server_with_nothing_in_it_is_set_up(servers: Servers, postgres_server: Server) -> None:
    urls = servers.role_urls(postgres_server.url)
    for member in MEMBERS:
        pool = await connect(urls[f"outrider_{member}"], "log")
        assert await pool.fetchval("select count(*) from events") == 0
        await pool.close()


async def test_a_migration_that_was_changed_after_it_ran_is_refused(urls: Mapping[str, str]) -> None:
    owner = await asyncpg.connect(urls["owner"])
    await owner.execute("update log.migrations set sha256 = 'another' where schema = 'log' and file like '%001%'")
    await owner.close()
    with pytest.raises(ValueError, match=r"log schema/001_log\.sql was changed"):
        await migrate(urls["owner"], {})


async def test_a_wrong_password_is_not_let_in(urls: Mapping[str, str]) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(urls["outrider_api"].replace("outrider_api:", "outrider_api:x"), "log")
