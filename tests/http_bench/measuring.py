"""Ask the gateway and a bare route for the same, in turn, and compare what both need."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from outrider.events.clock import real_clock
from outrider.events.database import connect
from outrider.events.delivery import DeliveryStarted, EmailSent
from outrider.events.enrollment import EnrollmentCreated
from outrider.events.ids import new_id
from outrider.events.log import Log, Write
from outrider.events.message import Event
from tests.support.system import System

AT_ONCE = 4
PEOPLE = 100
"""Enrolled and mailed by one append each way."""
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 3600.0
STEPS: Sequence[Mapping[str, object]] = tuple(
    {"position": number, "delay_minutes": 1440 * (number - 1), "subject": f"Step {number}", "body_html": "<p>Hello</p>"}
    for number in (1, 2, 3)
)
CAMPAIGN: Mapping[str, object] = {
    "name": "Benched",
    "sequence_steps": STEPS,
    "smtp_credentials": [
        {
            "label": f"Account {number}",
            "smtp_host": "mail.example.com",
            "smtp_username": f"ann{number}@example.com",
            "smtp_password": "secret",
            "daily_limit": 1000,
        }
        for number in (1, 2, 3)
    ],
}


@dataclass(frozen=True)
class Load:
    """What one call costs."""

    cpu_ms: float
    """Of the process that serves, for one call."""
    p50_ms: float
    p99_ms: float


class Bench:
    """One campaign on a running system, and a bare route beside it."""

    def __init__(self, system: System, client: httpx.AsyncClient, log_url: Mapping[str, str], calls: int) -> None:
        """`log_url` has the services' own URLs."""
        self._system = system
        self._client = client
        self._urls = log_url
        self._calls = calls
        self._campaign = UUID(int=0)
        self._account = UUID(int=0)
        self._credentials: list[UUID] = []
        self._events = 0

    async def begin(self) -> None:
        """The campaign is there."""
        made = await self._client.post("/campaigns", json={"campaign": CAMPAIGN})
        made.raise_for_status()
        self._campaign = UUID(made.json()["id"])
        self._account = UUID((await self._client.get("/account")).json()["id"])
        rows = (await self._client.get(f"/campaigns/{self._campaign}/smtp_credentials")).json()
        self._credentials = [UUID(row["id"]) for row in rows]

    async def fill(self, events: int) -> None:
        """The campaign has so many events at least, and the gateway has read them."""
        pools = {
            name: await connect(self._urls[f"outrider_{name}"], "log", size=1) for name in ("dispatcher", "sender")
        }
        logs = {name: Log(pool, real_clock()) for name, pool in pools.items()}
        lives = self._lives()
        while self._events < events:
            created, sent = zip(*islice(lives, PEOPLE), strict=True)
            await logs["dispatcher"].append(self._account, *created)
            await logs["sender"].append(self._account, *sent)
            self._events += PEOPLE * 3
        for pool in pools.values():
            await pool.close()
        await self._read()

    def _lives(self) -> Iterator[tuple[Write, Write]]:
        """Somebody enrolled, and the first message to him."""
        now = datetime.now(UTC)
        while True:
            its: Any = {"enrollment_id": new_id(), "contact_id": new_id(), "campaign_id": self._campaign}
            created = EnrollmentCreated.model_validate({**its, "batch_number": 1})
            delivery = new_id()
            message: Any = {
                **its,
                "delivery_id": delivery,
                "credential_id": self._credentials[delivery.int % len(self._credentials)],
                "position": 1,
                "attempt": 1,
                "planned_at": now,
            }
            claim = {"claim": new_id(), "day": now.date(), "counted": True, "template_version": 1}
            events: list[Event] = [
                DeliveryStarted.model_validate({**message, **claim}),
                EmailSent.model_validate({**message, "sent_at": now, "status_code": "250"}),
            ]
            yield (
                Write(f"enrollment-{created.enrollment_id}", None, [created], new_id()),
                Write(f"delivery-{delivery}", None, events, new_id()),
            )

    async def _read(self) -> None:
        """The gateway stands at the end of the log."""
        owner = await asyncpg.connect(self._system.site.database_url)
        end, until = await owner.fetchval("select max(position) from log.events"), time.monotonic() + PATIENCE
        while await owner.fetchval("select min(position) from api.checkpoints") < end:
            assert time.monotonic() < until, "the gateway does not read the log"
            await asyncio.sleep(0.5)
        await owner.execute("analyze")
        await owner.close()

    async def gets(self) -> dict[str, Load]:
        """`GET /campaigns/:id`, and the same bytes from a bare route."""
        path = f"/campaigns/{self._campaign}"
        shown = (await self._client.get(path)).raise_for_status().content
        async with bare(shown) as (other, pid):
            return {
                "bare": await _load(other, pid, "GET", "/bare", None, self._calls),
                "gateway": await _load(self._client, self._gateway, "GET", path, None, self._calls),
            }

    async def posts(self) -> dict[str, Load]:
        """`POST /campaigns` with its three accounts and three steps, and a bare route that parses the same."""
        body = {"campaign": CAMPAIGN}
        async with bare(b"{}") as (other, pid):
            return {
                "bare": await _load(other, pid, "POST", "/bare", body, self._calls // 4),
                "gateway": await _load(self._client, self._gateway, "POST", "/campaigns", body, self._calls // 4),
            }

    @property
    def _gateway(self) -> int:
        return self._system.machine.pid("api")


@asynccontextmanager
async def bare(shown: bytes) -> AsyncGenerator[tuple[httpx.AsyncClient, int]]:
    """A client of the bare route, and the process that serves it."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        file, port = Path(folder) / "shown.json", free.getsockname()[1]
        file.write_bytes(shown)
        free.close()
        process = subprocess.Popen([sys.executable, "-m", "tests.http_bench.bare", f"127.0.0.1:{port}", str(file)])  # noqa: ASYNC220, S603  # ours
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
                while True:
                    assert process.poll() is None
                    with suppress(httpx.TransportError):
                        await client.get("/bare")
                        break
                    await asyncio.sleep(0.1)
                yield client, process.pid
        finally:
            process.kill()
            process.wait()


async def _load(client: httpx.AsyncClient, pid: int, verb: str, path: str, body: object, calls: int) -> Load:  # noqa: PLR0913, PLR0917  # one call
    """So many calls, four at once, after a tenth to warm up."""
    seconds: list[float] = []

    async def ask(number: int) -> None:
        for _ in range(number):
            began = time.perf_counter()
            answer = await client.request(verb, path, json=body)
            seconds.append(time.perf_counter() - began)
            assert answer.is_success, answer.text

    await ask(calls // 10)
    seconds.clear()
    before = _used(pid)
    await asyncio.gather(*(ask(calls // AT_ONCE) for _ in range(AT_ONCE)))
    spent = _used(pid) - before
    cuts = quantiles(seconds, n=100)
    return Load(1000 * spent / len(seconds), 1000 * cuts[49], 1000 * cuts[98])


def _used(pid: int) -> float:
    """Seconds of processor time."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS
