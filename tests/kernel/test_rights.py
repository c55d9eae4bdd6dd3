"""Each service under its own role: whatever is not its part is tried, and refused by the database."""

from collections.abc import Mapping
from uuid import uuid4

import asyncpg
import pytest

from outrider.events import vault
from outrider.events.database import Forbidden
from outrider.events.log import Write
from outrider.events.vault import Entry
from tests.support.kernel import ACCOUNT, Kernel, changed, kernel

TABLES = """
select table_schema as schema, table_name as name from information_schema.tables
where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema', 'log') order by 1, 2
"""
MEMBERS = ("api", "dispatcher", "sender", "reply_watcher")
OWNERS = "select category, role from log.owners order by 1"
WATCHERS = ("sender", "reply_watcher")


async def asked(urls: Mapping[str, str], query: str) -> list[tuple[str, str]]:
    """What the owner of the database is answered."""
    owner = await asyncpg.connect(urls["owner"])
    try:
        return [(row[0], row[1]) for row in await owner.fetch(query)]
    finally:
        await owner.close()


async def refused(k: Kernel, *statements: str) -> None:
    """Each of these is."""
    for statement in statements:
        with pytest.raises(Forbidden):
            await k.pool.execute(statement)


@pytest.mark.parametrize("member", MEMBERS)
async def test_a_role_writes_its_own_categories_and_no_other(urls: Mapping[str, str], member: str) -> None:
    owners = await asked(urls, OWNERS)
    assert len({role for _, role in owners}) == len(MEMBERS)
    async with kernel(urls, member) as k:
        for category, role in owners:
            write = Write(f"{category}-{uuid4()}", 0, [changed(1)], uuid4())
            if role == f"outrider_{member}":
                await k.log.append(ACCOUNT, write)
            else:
                with pytest.raises(Forbidden):
                    await k.log.append(ACCOUNT, write)
        mine, other = (next(c for c, r in owners if (r == f"outrider_{member}") is own) for own in (True, False))
        both = [Write(f"{one}-{uuid4()}", 0, [changed(1)], uuid4()) for one in (mine, other)]
        with pytest.raises(Forbidden):  # nor along with one of its own
            await k.log.append(ACCOUNT, *both)


@pytest.mark.parametrize("member", MEMBERS)
async def test_a_role_touches_only_its_own_schemas(urls: Mapping[str, str], member: str) -> None:
    """Every table of every other service, the hashes of API keys among them."""
    tables = await asked(urls, TABLES)
    assert ("api", "api_keys") in tables
    mine = {member, f"{member}_work"}
    async with kernel(urls, member) as k:
        for schema, name in tables:
            if schema in mine:
                await k.pool.execute(f"select count(*) from {schema}.{name}")  # noqa: S608  # our names
            else:
                await refused(
                    k,
                    f"select count(*) from {schema}.{name}",  # noqa: S608  # our names
                    f"delete from {schema}.{name}",  # noqa: S608  # our names
                    f"truncate {schema}.{name}",
                )
        for schema in {schema for schema, _ in tables} - mine | {"log", "public"}:
            await refused(k, f"create table {schema}.mine ()")


@pytest.mark.parametrize("member", MEMBERS)
async def test_a_role_is_nobody_else_and_changes_no_rule(urls: Mapping[str, str], member: str) -> None:
    other = next(one for one in MEMBERS if one != member)
    async with kernel(urls, member) as k:
        await refused(
            k,
            f"set role outrider_{other}",
            f"set session authorization outrider_{other}",
            "update log.owners set role = session_user",
            "insert into log.owners values ('another', session_user)",
            "drop table log.events",
            "alter table log.vault disable row level security",
            "drop policy seen on log.vault",
            "drop function log.append_groups",
            "create function log.mine() returns int language sql as 'select 1'",
            "delete from log.migrations",
        )


@pytest.mark.parametrize("member", [member for member in MEMBERS if member != "api"])
async def test_only_the_gateway_knows_of_requests(urls: Mapping[str, str], member: str) -> None:
    async with kernel(urls, member) as k:
        await refused(k, "select count(*) from log.requests", "delete from log.requests")


@pytest.mark.parametrize("member", WATCHERS)
async def test_who_sends_and_who_watches_sees_no_key_and_no_list(urls: Mapping[str, str], member: str) -> None:
    """Sealed passwords they need, and open; what the gateway shows once, and what is being imported, is not there."""
    hidden = ("answer", "rows-0", "rejects", "rejects-000000000007", "label", "value", "endpoint")
    names = (*hidden, "secrets", "person", "server")
    async with kernel(urls, "api") as api, kernel(urls, member) as k:
        await vault.put(api.pool, [Entry(ACCOUNT, name, ACCOUNT, "account", {"kept": name}) for name in names])
        seen = [name for name in names if await vault.get(k.pool, ACCOUNT, ACCOUNT, name)]
        assert seen == ["secrets", "person", "server"]


@pytest.mark.parametrize("member", WATCHERS)
@pytest.mark.parametrize(
    "name", ["answer", "secrets", "person", "server", "template-1-1", "rows-0", "name", "emails", "endpoint"]
)
async def test_who_sends_and_who_watches_replaces_nothing_of_others(
    urls: Mapping[str, str], member: str, name: str
) -> None:
    async with kernel(urls, "api") as api, kernel(urls, member) as k:
        kept, forged = (Entry(ACCOUNT, name, ACCOUNT, "account", {"by": who}) for who in ("api", member))
        with pytest.raises(Forbidden):
            await vault.put(k.pool, [forged])
        await vault.put(api.pool, [kept])
        with pytest.raises(Forbidden):
            await vault.put(k.pool, [forged])
        assert await k.pool.execute("update log.vault set value = '{}'") == "UPDATE 0"
        assert await vault.get(api.pool, ACCOUNT, ACCOUNT, name) == {"by": "api"}


@pytest.mark.parametrize(
    ("member", "refused"),
    [
        (
            "api",
            ["delete from log.commands", "update log.commands set request = '{}'", "update log.clock set speed = 2"],
        ),
        (
            "dispatcher",
            ["insert into log.commands (command_id) values (gen_random_uuid())", "delete from log.commands"],
        ),
        (
            "sender",
            ["update log.commands set request = '{}'", "delete from log.commands", "delete from log.vault"],
        ),
        (
            "reply_watcher",
            ["update log.commands set request = '{}'", "delete from log.commands", "delete from log.vault"],
        ),
    ],
)
async def test_a_role_may_do_no_more_than_its_part(urls: Mapping[str, str], member: str, refused: list[str]) -> None:
    async with kernel(urls, member) as k:
        for statement in refused:
            with pytest.raises(Forbidden):
                await k.pool.execute(statement)
