"""A projection is made anew beside the live one while events go on arriving, and comes out the same."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from outrider.local.errors import Failed
from outrider.local.home import Home
from outrider.local.operating import Place
from outrider.local.rebuild import PROJECTIONS, rebuild
from outrider.local.splitting import split
from tests.kernel.until import running, until
from tests.support.api_events import Facts, facts

PEOPLE = 120
SCHEMAS = "select nspname from pg_namespace where nspname like 'api%' order by 1"


def place_of(urls: Mapping[str, str], tmp_path: Path) -> Place:
    return Place(Home(tmp_path), urls["owner"], "", "")


async def asked(urls: Mapping[str, str], query: str) -> list[str]:
    owner = await asyncpg.connect(urls["owner"])
    try:
        return [str(row[0]) for row in await owner.fetch(query)]
    finally:
        await owner.close()


async def checkpoint(found: Facts) -> tuple[int, int]:
    row = await found.row("select position, (select max(position) from log.events) as last from checkpoints")
    return row["position"], row["last"]


async def more(found: Facts) -> None:
    """Half of them are dispatched, sent and answered, one after the other."""
    await found.dispatch(range(50))
    for number in range(50):
        await found.settle(number, 1, "bounced" if number % 7 == 0 else "sent")
    for number in range(1, 20):
        await found.open(number)
    for number in (1, 2, 3):
        await found.reply(number, 1)


async def test_it_is_rebuilt_while_events_arrive_and_the_live_reader_goes_on(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    async with facts(urls) as found:
        await found.begin(PEOPLE)
        async with running(found.reader.follow()) as loops:
            writing = asyncio.create_task(more(found))
            rebuilt = 0
            while not writing.done():
                figures = await rebuild(place_of(urls, tmp_path), "api.v1")
                rebuilt += 1
                assert figures["reader"] == "api.v1"
            await writing
            position, last = await checkpoint(found)

            async def at_the_end() -> bool:
                return (await checkpoint(found))[0] == last

            await until("the live reader goes on in the fresh tables", at_the_end)
            assert rebuilt > 0
            assert position > 0
            assert not any(loop.done() for loop in loops)
        live = await found.dump()
        assert len(live["enrollments"]) == PEOPLE
        await rebuild(place_of(urls, tmp_path), "api.v1")
        assert await found.dump() == live
        await found.forget()
        await found.catch_up()
        assert await found.dump() == live
        assert {"api_rebuild", "api_former"}.isdisjoint(await asked(urls, SCHEMAS))


async def test_a_split_reader_is_rebuilt_and_stays_split(urls: Mapping[str, str], tmp_path: Path) -> None:
    place = place_of(urls, tmp_path)
    async with facts(urls) as found:
        await found.begin(20)
        await found.catch_up()
        await split(place, "api.v1", 3)
        await found.dispatch(range(10))
        await found.catch_up()
        right = await found.dump()
        await found.tables.execute("update campaign_counts set pending = pending + 1000")
        await rebuild(place, "api.v1")
        assert await found.dump() == right
        ranges = "select format('%s %s', shards, position) from api.checkpoints order by 1"
        last = (await checkpoint(found))[1]
        assert await asked(urls, ranges) == [f"{one} {last}" for one in ("[0,21)", "[21,42)", "[42,64)")]
        await found.enroll(20, 7)
        await found.catch_up()
        assert (await found.row("select count(*) as n from enrollments"))["n"] == 21


async def test_tables_that_a_mistake_made_wrong_are_right_afterwards(urls: Mapping[str, str], tmp_path: Path) -> None:
    async with facts(urls) as found:
        await found.begin(PEOPLE)
        await found.dispatch(range(10))
        await found.catch_up()
        right = await found.dump()
        await found.tables.execute("update campaign_counts set pending = pending + 1000")
        assert await found.dump() != right
        told: list[tuple[int, int]] = []
        figures = await rebuild(place_of(urls, tmp_path), "api.v1", lambda position, of: told.append((position, of)))
        assert await found.dump() == right
        assert told
        assert all(position <= of for position, of in told)
        assert told[-1] == (figures["position"], figures["position"])
        assert figures["position"] == (await checkpoint(found))[1]
        await found.enroll(PEOPLE, 7)
        await found.catch_up()
        assert (await found.row("select count(*) as n from enrollments"))["n"] == PEOPLE + 1


async def test_the_tables_are_the_services_own_afterwards(urls: Mapping[str, str], tmp_path: Path) -> None:
    owned = (
        "select format('%s %s %s', c.relname, c.relkind, r.rolname) from pg_class c "
        "join pg_namespace n on n.oid = c.relnamespace join pg_roles r on r.oid = c.relowner "
        "where n.nspname = 'dispatcher' order by 1"
    )
    before = await asked(urls, owned)
    await rebuild(place_of(urls, tmp_path), "dispatcher.facts.v1")
    assert await asked(urls, owned) == before
    assert before


@pytest.mark.parametrize("name", sorted(PROJECTIONS))
async def test_every_projection_can_be_rebuilt(urls: Mapping[str, str], tmp_path: Path, name: str) -> None:
    figures = await rebuild(place_of(urls, tmp_path), name)
    assert (figures["reader"], figures["events"]) == (name, 0)


async def test_todos_are_never_rebuilt(urls: Mapping[str, str], tmp_path: Path) -> None:
    for name in ("dispatcher.todos.v1", "sender.settling.v1", "nobody"):
        with pytest.raises(Failed, match="no projection is called"):
            await rebuild(place_of(urls, tmp_path), name)


async def test_another_version_of_the_tables_is_not_put_in_place(urls: Mapping[str, str], tmp_path: Path) -> None:
    owner = await asyncpg.connect(urls["owner"])
    try:
        await owner.execute(
            "insert into log.migrations (schema, file, sha256) values ('api', 'schema/999_newer.sql', $1)", str(uuid4())
        )
    finally:
        await owner.close()
    with pytest.raises(Failed, match="another version"):
        await rebuild(place_of(urls, tmp_path), "api.v1")
    assert "api_rebuild" not in await asked(urls, SCHEMAS)


async def test_two_at_once_are_refused(urls: Mapping[str, str], tmp_path: Path) -> None:
    async with facts(urls) as found:
        await found.begin(PEOPLE)
        done = await asyncio.gather(
            *(rebuild(place_of(urls, tmp_path), "api.v1") for _ in range(2)), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in done) == ["Failed", "dict"]
        await found.catch_up()
        assert len((await found.dump())["enrollments"]) == PEOPLE
