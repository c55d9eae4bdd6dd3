"""A service as a process: ready when everything answers, loud when something does not, gone in order when asked."""

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from uuid import uuid4

import asyncpg
import pytest

from outrider.events import readiness
from outrider.events import service as kernel_service
from outrider.events.log import Write
from outrider.events.todo import Todo, add
from tests.kernel.serving import free_port, get, listens, running_service
from tests.kernel.until import line, process, until
from tests.support.kernel import ACCOUNT, changed
from tests.support.servers import Server


async def test_a_service_that_runs_is_ready_and_shows_its_figures(urls: Mapping[str, str], bus_url: str) -> None:
    async with running_service(urls, bus_url) as site:
        await until("it listens", lambda: listens(site.port))
        await until("it is ready", site.well)
        assert await get(site.port, "/health/live") == (200, '{"status":"live"}')
        status, figures = await get(site.port, "/metrics")
        assert status == 200
        assert "outrider_append_groups_total" in figures
        assert (await get(site.port, "/elsewhere"))[0] == 404
        assert (await get(site.port, "/health/live", "DELETE"))[0] == 405
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.close()  # without a word


async def test_health_shows_how_far_readers_and_todos_are_behind(urls: Mapping[str, str], bus_url: str) -> None:
    async with running_service(urls, bus_url) as site, site.service.tables.acquire() as db:
        service = site.service
        await until("it listens", lambda: listens(site.port))
        first = await service.log.append(ACCOUNT, Write(f"account-{uuid4()}", 0, [changed(1)], uuid4()))
        assert await service.readers[0].reach(first.position, 60)
        async with db.transaction():
            await db.execute("select position from checkpoints for update")  # as another replica that is at it
            for number in range(3):
                await service.log.append(ACCOUNT, Write(f"account-{uuid4()}", 0, [changed(number)], uuid4()))
            shown = json.loads((await get(site.port, "/health/ready"))[1])
            [lag] = shown["readers"]
            assert (lag["reader"], lag["position"], lag["lag_events"]) == ("dispatcher.seen.v1", first.position, 3)
            assert 0 < lag["lag_seconds"] < 600
            _, figures = await get(site.port, "/metrics")
            assert 'outrider_reader_lag_events{reader="dispatcher.seen.v1"} 3.0' in figures
            assert 'outrider_reader_lag_seconds{reader="dispatcher.seen.v1"}' in figures

        async def caught_up() -> bool:
            shown = json.loads((await get(site.port, "/health/ready"))[1])
            return bool(shown["readers"][0]["lag_events"] == 0)

        await until("the reader is at the end", caught_up)


async def test_a_service_without_todos_is_ready(urls: Mapping[str, str], bus_url: str) -> None:
    """As the api: its login has a schema of to-dos in which there is no table that it may read, and needs none."""
    owner = await asyncpg.connect(urls["owner"])
    await owner.execute("drop table dispatcher_work.todos")
    await owner.close()
    async with running_service(urls, bus_url) as site:
        site.service.drains.clear()
        await until("it listens", lambda: listens(site.port))
        await until("it is ready", site.well)
        status, shown = await get(site.port, "/health/ready")
        assert (status, json.loads(shown)["todos"]) == (200, [])


async def test_a_figure_that_cannot_be_had_makes_nobody_unready(urls: Mapping[str, str], bus_url: str) -> None:
    async with running_service(urls, bus_url) as site:
        await until("it listens", lambda: listens(site.port))
        await until("it is ready", site.well)
        owner = await asyncpg.connect(urls["owner"])
        await owner.execute("revoke select on log.events from outrider_dispatcher")
        await owner.close()
        status, shown = await get(site.port, "/health/ready")
        assert (status, json.loads(shown)) == (200, {"status": "ready", "trouble": []})
        status, figures = await get(site.port, "/metrics")
        assert status == 200
        assert "outrider_reader_lag_events{" not in figures


async def test_a_reader_that_stopped_shows_in_health_and_the_rest_goes_on(
    urls: Mapping[str, str], bus_url: str
) -> None:
    async with running_service(urls, bus_url) as site:
        service = site.service
        await until("it listens", lambda: listens(site.port))
        done = await service.log.append(ACCOUNT, Write(f"account-{uuid4()}", 0, [changed(1)], uuid4()))
        assert await service.readers[0].reach(done.position, 30)
        owner = await asyncpg.connect(urls["owner"])
        await owner.execute("update log.events set type_version = 99")
        await owner.execute("update dispatcher.checkpoints set position = 0, cause = null")  # it reads it again
        await owner.close()
        service.readers[0].ring()
        said = f"reader dispatcher.seen.v1 stopped at {done.position} (PlanChanged): UnknownEvent"
        await until("health says so", lambda: site.says(said))
        assert await site.trouble() == [said]
        _, figures = await get(site.port, "/metrics")
        assert 'outrider_reader_stopped{reader="dispatcher.seen.v1"} 1.0' in figures
        assert (await get(site.port, "/health/live"))[0] == 200
        async with service.work.acquire() as db:
            await add(db, [Todo("note_it", "after", ACCOUNT, service.clock.now())])
        await until("to-dos are drained", lambda: site.drained == ["after"])


async def test_a_loop_that_ended_shows_in_health_and_one_that_lost_a_server_is_begun_again(
    urls: Mapping[str, str], bus_url: str
) -> None:
    begun: list[str] = []

    async def buggy() -> None:
        raise ArithmeticError

    async def unlucky() -> None:
        begun.append("unlucky")
        if len(begun) == 1:
            raise ConnectionRefusedError
        await asyncio.Event().wait()

    async with running_service(urls, bus_url) as site:
        site.service.loops += [buggy, unlucky]
        await until("it listens", lambda: listens(site.port))
        await until("health says so", lambda: site.says("buggy ended: ArithmeticError"))
        await until("it was begun again", lambda: len(begun) == 2)
        assert not await site.says("unlucky")


async def test_readiness_says_which_server_does_not_answer(
    urls: Mapping[str, str], bus_url: str, nats_server: Server
) -> None:
    async with running_service(urls, bus_url) as site:
        await until("it listens", lambda: listens(site.port))
        await until("it is ready", site.well)
        nats_server.kill()
        await until("it says so", lambda: site.says("nats-server does not answer"))
        await asyncio.to_thread(nats_server.revive)
        await until("it is ready again", site.well)
        owner = await asyncpg.connect(urls["owner"])
        await owner.execute("alter role outrider_dispatcher connection limit 0")
        await owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'outrider_dispatcher'"
        )
        await until("it says so", lambda: site.says("the database does not answer"))
        await owner.execute("alter role outrider_dispatcher connection limit -1")
        await owner.close()
        await until("it is ready again", site.well)


async def test_a_machine_whose_clock_is_off_is_not_ready(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "SKEW_SECONDS", -1.0)
    async with running_service(urls, bus_url) as site:
        await until("it listens", lambda: listens(site.port))
        await until("it says so", lambda: site.says("s off the database's"))


async def test_stopping_goes_on_whatever_fails_on_the_way(urls: Mapping[str, str], bus_url: str) -> None:
    ended: list[str] = []

    async def fails() -> None:
        ended.append("fails")
        raise ArithmeticError

    async def ends() -> None:
        ended.append("ends")

    async with running_service(urls, bus_url) as site:
        site.service.stopping += [fails, ends]
        await until("it listens", lambda: listens(site.port))
        await until("it is ready", site.well)
    assert ended == ["fails", "ends"]
    assert not await listens(site.port)


async def test_steps_of_stopping_that_hang_share_their_time_and_the_last_still_has_some(
    urls: Mapping[str, str], bus_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_service, "STOP_SECONDS", 600.0)
    monkeypatch.setattr(kernel_service, "ALL_STEPS_SECONDS", 0.2)
    ended: list[str] = []

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def ends() -> None:
        ended.append("ends")

    async with asyncio.timeout(120), running_service(urls, bus_url) as site:
        site.service.stopping += [hangs, hangs, ends]
        await until("it listens", lambda: listens(site.port))
        await until("it is ready", site.well)
    assert ended == ["ends"]


async def test_a_service_waits_for_nats_and_can_be_stopped_meanwhile(
    urls: Mapping[str, str], bus_url: str, nats_server: Server
) -> None:
    nats_server.kill()
    async with running_service(urls, bus_url) as site:
        await until("it listens", lambda: listens(site.port))
        await until("it says so", lambda: site.says("nats-server does not answer"))
    await asyncio.to_thread(nats_server.revive)


PROCESS = """
from outrider.events.service import main

async def build(service):
    async def ready():
        print("ready", flush=True)

    service.loops.append(ready)

main("dispatcher", build)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_ends_in_order_when_it_is_asked_to(
    urls: Mapping[str, str], bus_url: str, number: signal.Signals
) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "OUTRIDER_DATABASE_URL": urls["outrider_dispatcher"],
        "OUTRIDER_NATS_URL": bus_url,
        "OUTRIDER_HEALTH_LISTEN": f"127.0.0.1:{free_port()}",
        "OUTRIDER_HASH_KEY": "A" * 43,
    }
    async with process(PROCESS, env=environment) as started:
        assert await line(started) == "ready"
        started.send_signal(number)
        async with asyncio.timeout(120):
            _, said = await started.communicate()
        assert started.returncode == 0
        assert [json.loads(one)["event"] for one in said.decode().splitlines()] == [
            "service.stopping",
            "service.stopped",
        ]


async def test_without_streams_a_process_says_so_and_ends(urls: Mapping[str, str], nats_url: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "OUTRIDER_DATABASE_URL": urls["outrider_dispatcher"],
        "OUTRIDER_NATS_URL": nats_url,
        "OUTRIDER_HEALTH_LISTEN": f"127.0.0.1:{free_port()}",
        "OUTRIDER_HASH_KEY": "A" * 43,
    }
    serving = PROCESS.replace("    service.loops", "    service.bus.serve('dispatcher', {}, None)\n    service.loops")
    async with process(serving, env=environment) as started:
        async with asyncio.timeout(180):
            _, said = await started.communicate()
        assert started.returncode == 1
        assert said.decode().splitlines()[-1].startswith("dispatcher: nats: ")
