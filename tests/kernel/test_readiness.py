"""Ready: with all that its build knows in the database, its readers along at the start, and until it is to stop."""

import asyncio
import json
from collections.abc import Mapping
from uuid import uuid4

import asyncpg
import pytest

from outrider.events import readiness
from outrider.events.log import Write
from tests.kernel.serving import get, listens, running_service
from tests.kernel.until import until
from tests.support.kernel import ACCOUNT, changed

OLDER = "the database is older than this build: run `outrider migrate` "
NEWEST = "delete from log.migrations where schema = 'log' and file = 'schema/101_known_migrations.sql'"


@pytest.fixture
async def owner(urls: Mapping[str, str]) -> "asyncpg.Connection":
    """Connected as who migrates."""
    return await asyncpg.connect(urls["owner"])


async def test_a_process_waits_for_the_migrations_of_its_build_and_begins_nothing_before(
    urls: Mapping[str, str], bus_url: str, owner: "asyncpg.Connection"
) -> None:
    noted = await owner.fetch(NEWEST + " returning schema, file, sha256")
    async with running_service(urls, bus_url) as site:
        await until("it listens", lambda: listens(site.port))
        said = OLDER + "(log schema/101_known_migrations.sql)"
        await until("it says so", lambda: site.says(said))
        assert (await get(site.port, "/health/live"))[0] == 200
        done = await site.service.log.append(ACCOUNT, Write(f"account-{uuid4()}", 0, [changed(1)], uuid4()))
        assert not await site.service.readers[0].reach(done.position, 1.5), "a reader would stop at what is missing"
        await owner.executemany(
            "insert into log.migrations (schema, file, sha256) values ($1, $2, $3)", [tuple(noted[0])]
        )
        await until("it is ready", site.well)
        assert await site.service.readers[0].reach(done.position, 120)
        await owner.execute("delete from log.migrations where schema = 'log' and file like 'schema/00%'")
        await until("it says how many are missing", lambda: site.says("(log schema/001_log.sql and 5 more)"))
    await owner.close()


async def test_a_database_in_which_no_service_may_look_is_older(
    urls: Mapping[str, str], bus_url: str, owner: "asyncpg.Connection"
) -> None:
    await owner.execute("revoke select on log.migrations from outrider_dispatcher")
    async with running_service(urls, bus_url) as site:
        await until("it listens", lambda: listens(site.port))
        await until("it says so", lambda: site.says(OLDER))
    await owner.close()


async def test_a_database_with_more_than_the_build_knows_is_fine(
    urls: Mapping[str, str], bus_url: str, owner: "asyncpg.Connection"
) -> None:
    await owner.execute("insert into log.migrations (schema, file, sha256) values ('log', 'schema/999_newer.sql', 'x')")
    async with running_service(urls, bus_url) as site:
        await until("it listens", lambda: listens(site.port))
        await until("it is ready", site.well)
    await owner.close()


async def test_lag_keeps_a_process_that_starts_from_being_ready_and_no_other(
    urls: Mapping[str, str], bus_url: str, owner: "asyncpg.Connection"
) -> None:
    async with running_service(urls, bus_url, start_lag_seconds=0.001) as running:
        service = running.service
        await until("it listens", lambda: listens(running.port))
        first = await service.log.append(ACCOUNT, Write(f"account-{uuid4()}", 0, [changed(1)], uuid4()))
        assert await service.readers[0].reach(first.position, 120)
        await until("it is ready", running.well)
        async with owner.transaction():
            await owner.execute("select position from dispatcher.checkpoints for update")  # as one that is at it
            await service.log.append(ACCOUNT, Write(f"account-{uuid4()}", 0, [changed(2)], uuid4()))
            async with running_service(urls, bus_url, start_lag_seconds=0.001) as starting:
                await until("it listens", lambda: listens(starting.port))
                await until("it says so", lambda: starting.says("s behind at the start of this process"))
                assert await running.well(), "or one import would take every gateway off the network"
        async with running_service(urls, bus_url, start_lag_seconds=0.001) as starting:
            await until("it listens", lambda: listens(starting.port))
            await until("its reader is along", starting.well)
    await owner.close()


async def test_a_start_that_never_catches_up_is_ready_in_the_end(
    urls: Mapping[str, str], bus_url: str, owner: "asyncpg.Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "LONGEST_START_SECONDS", 1.0)
    async with running_service(urls, bus_url, start_lag_seconds=0.001) as site:
        service = site.service
        await until("it listens", lambda: listens(site.port))
        done = await service.log.append(ACCOUNT, Write(f"account-{uuid4()}", 0, [changed(1)], uuid4()))
        assert await service.readers[0].reach(done.position, 120)
        async with owner.transaction():
            await owner.execute("select position from dispatcher.checkpoints for update")
            await service.log.append(ACCOUNT, Write(f"account-{uuid4()}", 0, [changed(2)], uuid4()))
            async with running_service(urls, bus_url, start_lag_seconds=0.001) as starting:
                await until("it listens", lambda: listens(starting.port))
                await until("it answers nevertheless", starting.well)
    await owner.close()


async def test_who_is_asked_to_stop_says_so_at_once_whatever_does_not_answer(
    urls: Mapping[str, str], bus_url: str
) -> None:
    go_on = asyncio.Event()

    async def last() -> None:
        await go_on.wait()

    async with running_service(urls, bus_url) as site:
        site.service.stopping.append(last)
        await until("it listens", lambda: listens(site.port))
        await until("it is ready", site.well)
        await site.service.log_pool.close()  # nobody could say anything of the database
        site.service.stop.set()
        status, said = await get(site.port, "/health/ready")
        go_on.set()
        assert (status, json.loads(said)) == (
            503,
            {"status": "stopping", "trouble": ["this process was asked to stop"]},
        )
