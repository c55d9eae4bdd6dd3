"""A service in this process, with one reader, one to-do and one loop of no meaning, asked from outside."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from outrider.events.account import PlanChanged
from outrider.events.database import Db
from outrider.events.drain import Drain
from outrider.events.message import Recorded
from outrider.events.projector import Projection
from outrider.events.service import Service, Settings
from outrider.events.todo import Todo


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """The status and body of the health listener's answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split(" ")[1]), body


@dataclass
class Site:
    """A dispatcher with one reader, one to-do and one loop of no meaning."""

    service: Service
    port: int
    drained: list[str]

    async def trouble(self) -> Sequence[str]:
        """What readiness says."""
        status, body = await get(self.port, "/health/ready")
        found: list[str] = json.loads(body)["trouble"]
        assert status == (503 if found else 200)
        return found

    async def says(self, words: str) -> bool:
        """Whether readiness says so."""
        return any(words in one for one in await self.trouble())

    async def well(self) -> bool:
        """Whether it is ready."""
        return not await self.trouble()


@asynccontextmanager
async def running_service(
    urls: Mapping[str, str], nats_url: str, start_lag_seconds: float = 30.0
) -> AsyncGenerator[Site]:
    """It runs as long as the block does; it may still be starting."""
    port = free_port()
    url = urls["outrider_dispatcher"]
    service = await Service(
        "dispatcher",
        Settings(
            database_url=url,
            log_url=url,
            nats_url=nats_url,
            health_listen=f"127.0.0.1:{port}",
            hash_key="",
            start_lag_seconds=start_lag_seconds,
        ),
    ).open()
    await service.tables.execute("create table if not exists seen (position bigint primary key)")
    projection = Projection("dispatcher.seen.v1")

    @projection.on(PlanChanged)
    async def note(db: Db, events: Sequence[Recorded[PlanChanged]]) -> None:
        await db.executemany("insert into seen values ($1)", [(event.position,) for event in events])

    site = Site(service, port, [])

    async def do(todos: Sequence[Todo]) -> None:
        site.drained += [todo.key for todo in todos]

    reader = service.read(projection)
    service.drain(Drain("note_it", do, service.work, service.clock), reader)
    running = asyncio.create_task(service.run())
    try:
        yield site
    finally:
        service.stop.set()
        async with asyncio.timeout(120):
            await running


async def listens(port: int) -> bool:
    """Whether somebody answers there."""
    try:
        return (await get(port, "/health/live"))[0] == 200
    except OSError:
        return False
