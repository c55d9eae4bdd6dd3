"""An import while processes are killed: no row is lost, and none is there twice."""

from collections.abc import Generator
from typing import cast

import asyncpg
import httpx

from tests.support.client import Json, until
from tests.support.system import StartSystem, System

ROWS, TWICE, BAD = 8000, 40, 25
SECONDS = 240.0
COUNTS = """
select
    (select count(*) from log.events where type = 'ContactAdded') as added,
    (select count(*) from log.events where type = 'AddressReserved') as reserved,
    (select count(distinct data ->> 'contact_id') from log.events where type = 'ContactAdded') as contacts,
    (select count(*) from log.vault where kind = 'contact') as people,
    (select count(distinct value ->> 'email') from log.vault where kind = 'contact') as addresses,
    (select count(*) from log.vault where kind = 'import' and name like 'rows-%') as chunks
"""


async def test_an_import_goes_on_wherever_a_process_was_killed(start_system: StartSystem) -> None:
    system = await start_system(services=("dispatcher", "api"))
    _imported(system)
    owner = await asyncpg.connect(system.site.database_url)
    try:
        found = dict(await owner.fetchrow(COUNTS) or {})
    finally:
        await owner.close()
    assert found == {**dict.fromkeys(("added", "reserved", "contacts", "people", "addresses"), ROWS), "chunks": 0}


def _imported(system: System) -> None:
    headers = {**system.headers, "Content-Type": "text/csv", "Idempotency-Key": "the-list"}
    with httpx.Client(base_url=system.url, headers=headers, timeout=60, trust_env=False) as web:
        answer = web.post("/contact_imports", params={"name": "Many"}, content=_file())
        assert answer.status_code == 202, answer.text
        path = f"/contact_imports/{answer.json()['id']}"
        for name, at in (("dispatcher", 1500), ("api", 4000)):
            _killed_at(system, web, path, name, at)
        shown = until("the import is complete", lambda: _shown(web, path, "completed"), SECONDS)
        figures = [shown[name] for name in ("record_count", "contact_count", "skipped", "rejected")]
        assert figures == [ROWS, ROWS, TWICE, BAD]
        again = web.post("/contact_imports", params={"name": "Many"}, content=_file())
        assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")


def _file() -> Generator[bytes]:
    yield b"email,first_name\n"
    for number in range(ROWS):
        yield b"p%d@many.example,P%d\n" % (number, number)
    for number in range(TWICE):
        yield b"P%d@many.example,Again\n" % (number * 100)
    for _ in range(BAD):
        yield b"nobody,\n"


def _killed_at(system: System, web: httpx.Client, path: str, name: str, at: int) -> None:
    """The process is gone as by a power cut once so many are contacts, and is back."""

    def is_there() -> bool:
        shown = _shown(web, path)
        return shown is not None and cast("int", shown["record_count"]) >= at

    until(f"{at} are contacts", is_there, SECONDS)
    system.kill(name)
    system.revive(name)


def _shown(web: httpx.Client, path: str, status: str = "") -> Json | None:
    try:
        shown = cast("Json", web.get(path).json())
    except httpx.TransportError:
        return None
    return shown if status in {"", shown["status"]} else None
