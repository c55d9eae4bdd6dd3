"""Send a file of many rows as a client would, wait until every service has read the contacts, and see what it took."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import cast

import asyncpg
import httpx

from tests.bulk.measuring import Memory
from tests.support.client import Json
from tests.support.system import System

PATIENCE = 3600.0
LOOK_SECONDS = 0.5
TICKS = os.sysconf("SC_CLK_TCK")
BLOCK = 65_536
"""Bytes that the client sends at once."""
READERS = ("api", "dispatcher", "dispatcher_work", "sender")
SIZES = "select pg_total_relation_size('log.events') as log, pg_total_relation_size('log.vault') as vault"
FIRST = b"email,first_name,last_name,company,timezone,role\n"


@dataclass
class Figures:
    """What was measured."""

    rows: int
    megabytes: float = 0.0
    upload_seconds: float = 0.0
    """Until the 202."""
    upload_used: Mapping[str, float] = field(default_factory=dict[str, float])
    """Seconds of processor time of each process until then."""
    seconds: float = 0.0
    """Until the import is complete and every reader stands at the end of the log."""
    added: int = 0
    skipped: int = 0
    rejected: int = 0
    log_bytes: float = 0.0
    vault_bytes: float = 0.0
    used: Mapping[str, float] = field(default_factory=dict[str, float])
    """Seconds of processor time of each process, Postgres with all of its own."""
    grown: Mapping[str, float] = field(default_factory=dict[str, float])
    """MiB that each process held at most above what it had at the start."""


async def measured(system: System, rows: int) -> Figures:
    """The file is imported; what that took."""
    found = Figures(rows)
    owner = await asyncpg.connect(system.site.database_url)
    headers = {**system.headers, "Content-Type": "text/csv"}
    file = Path(mkdtemp(prefix="outrider-import-")) / "many.csv"
    found.megabytes = _written(file, rows) / 1_000_000
    async with httpx.AsyncClient(base_url=system.url, headers=headers, timeout=PATIENCE, trust_env=False) as web:
        memory, before, began = Memory(system), await _used(system, owner), time.monotonic()
        with memory.watched():
            path = await _sent(web, file)
            found.upload_seconds = time.monotonic() - began
            found.upload_used = _spent(before, await _used(system, owner))
            while (shown := await _shown(web, path))["status"] == "processing" or not await _is_read(owner):
                assert time.monotonic() < began + PATIENCE, shown
                await asyncio.sleep(LOOK_SECONDS)
            found.seconds = time.monotonic() - began
    file.unlink()
    file.parent.rmdir()
    found.added, found.skipped, found.rejected = (
        cast("int", shown[name]) for name in ("record_count", "skipped", "rejected")
    )
    after = await _used(system, owner)
    found.used = _spent(before, after)
    found.grown = memory.grown
    sizes = cast("Mapping[str, int]", await owner.fetchrow(SIZES))
    found.log_bytes, found.vault_bytes = sizes["log"] / rows, sizes["vault"] / rows
    await owner.close()
    return found


def _written(file: Path, rows: int) -> int:
    """It lies there before the clock runs, as a customer's does; its bytes."""
    with file.open("wb") as out:
        out.write(FIRST)
        out.writelines(_row(number) for number in range(rows))
        return out.tell()


async def _sent(web: httpx.AsyncClient, file: Path) -> str:
    """Where the import is shown."""

    async def body() -> AsyncGenerator[bytes]:
        with file.open("rb") as rows:
            while block := rows.read(BLOCK):
                yield block

    answer = await web.post("/contact_imports", params={"name": "Many"}, content=body())
    assert answer.is_success, answer.text
    return f"/contact_imports/{answer.json()['id']}"


def _row(number: int) -> bytes:
    match number % 100:
        case 98:
            return b"nobody at all,,,,,\n"
        case 99:
            number -= 50
        case _:
            pass
    return (
        b'person.%d@company%d.example,Anna-%d,"Larsson, PhD",Difference Engines %d,Europe/Berlin,Head of things\n'
        % (number, number % 20_000, number, number % 20_000)
    )


async def _shown(web: httpx.AsyncClient, path: str) -> Json:
    return cast("Json", (await web.get(path)).json())


async def _is_read(owner: "asyncpg.Connection") -> bool:
    end = await owner.fetchval("select max(position) from log.events")
    stand = [await owner.fetchval(f"select min(position) from {schema}.checkpoints") for schema in READERS]  # noqa: S608  # constants
    return all(position == end for position in stand)


async def _used(system: System, owner: "asyncpg.Connection") -> dict[str, float]:
    """Seconds of processor time of every process until now."""
    found = {name: _ticks(system.machine.pid(name)) for name in system.machine.names()}
    backend: int = await owner.fetchval("select pg_backend_pid()")
    found["postgres"] = _ticks(_parent(backend), children=True)
    return {name: ticks / TICKS for name, ticks in found.items()}


def _spent(before: Mapping[str, float], after: Mapping[str, float]) -> Mapping[str, float]:
    return {name: round(after[name] - before[name], 1) for name in before}


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _ticks(pid: int, *, children: bool = False) -> int:
    """Of a process, and of its children that live and have ended."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = int(words[11]) + int(words[12])
    if children:
        used += int(words[13]) + int(words[14])
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        used += sum(_ticks(int(child)) for found in tasks for child in found.read_text().split())
    return used
