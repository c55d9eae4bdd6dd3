"""The servers of the tests are real ones, and a test's own."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import nats
import pytest
from nats.js.errors import NotFoundError

from outrider.local.errors import Failed
from outrider.local.serving import Part, command_line
from tests.support.servers import Server, Servers
from tests.support.waiting import wait_until

MANY = 100


@pytest.mark.parametrize("n", range(3))
async def test_each_test_has_its_own_database_and_nats_server(n: int, database_url: str, nats_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("create table mine (n int)")
    await connection.execute("insert into mine values ($1)", n)
    await connection.close()
    client = await nats.connect(nats_url)
    with pytest.raises(NotFoundError):
        await client.jetstream().stream_info("MINE")
    await client.jetstream().add_stream(name="MINE", subjects=["mine"])
    await client.close()


async def test_every_role_may_log_in_and_none_may_create_a_role(urls: Mapping[str, str]) -> None:
    for role, url in urls.items():
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("select current_user") == role.replace("owner", "outrider")
        if role != "owner":
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("create role another")
        await connection.close()


async def test_a_killed_postgres_has_kept_what_it_acknowledged(postgres_server: Server) -> None:
    connection = await asyncpg.connect(postgres_server.url)
    await connection.execute("create table kept (n int)")
    await connection.executemany("insert into kept values ($1)", [(n,) for n in range(MANY)])
    connection.terminate()
    postgres_server.kill()
    postgres_server.revive()
    connection = await asyncpg.connect(postgres_server.url)
    assert await connection.fetchval("select count(*) from kept") == MANY
    await connection.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_killed_nats_server_has_kept_what_it_acknowledged(number: signal.Signals, nats_server: Server) -> None:
    client = await nats.connect(nats_server.url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    for n in range(MANY):
        await client.jetstream().publish("kept", str(n).encode())
    await client.close()
    nats_server.kill(number)
    nats_server.revive()
    client = await nats.connect(nats_server.url)
    assert (await client.jetstream().stream_info("KEPT")).state.messages == MANY
    await client.close()


async def test_a_stranger_on_the_same_machine_is_not_let_in(servers: Servers, nats_url: str) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(servers.database_url, password="guessed")
    reader, writer = await asyncio.open_connection(*nats_url.rpartition("@")[2].split(":"))
    writer.write(b'CONNECT {"verbose": true}\r\n')
    assert b"Authorization Violation" in await reader.read()
    writer.close()
    await writer.wait_closed()


def test_a_process_that_ends_before_it_is_ready_is_told_with_its_last_words(servers: Servers) -> None:
    part = Part("talker", ("/bin/sh", "-c", "echo first; echo no such luck >&2; exit 3"), ready=lambda _: False)
    with pytest.raises(Failed, match=r"talker ended \(exit code 3\) before it was ready: no such luck"):
        servers.machine.start(part)


def test_a_revived_process_that_ends_once_more_is_started_until_it_stays(servers: Servers, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    script = f"echo >> {starts}; [ $(wc -l < {starts}) != 2 ] && exec sleep 600"
    part = Part("stumbling", ("/bin/sh", "-c", script), ready=lambda pid: command_line(pid).startswith("sleep"))
    servers.machine.start(part)
    servers.machine.kill("stumbling")
    servers.machine.revive("stumbling")
    assert starts.read_text().count("\n") == 3
    servers.machine.drop("stumbling")


ORPHANS = {
    "the watchdog alone": """
import subprocess
from outrider.local.leash import Watchdog
child, watchdog = subprocess.Popen(["sleep", "600"], start_new_session=True), Watchdog()
watchdog.hold(child.pid, 15)
""",
    "the kernel alone": """
from pathlib import Path
from outrider.local.serving import Part, launch
child = launch(Part("sleeper", ("sleep", "600"), ready=lambda _: True), Path("/dev/null"))
""",
}


@pytest.mark.parametrize("script", ORPHANS.values(), ids=ORPHANS.keys())
def test_a_killed_supervisor_leaves_no_child(script: str) -> None:
    wait = "print(child.pid, flush=True); input()"
    with subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, "-c", script + wait], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        assert "sleep" in command_line(child)
        supervisor.kill()
        supervisor.wait()
    wait_until("the child is gone", lambda: not command_line(child))
