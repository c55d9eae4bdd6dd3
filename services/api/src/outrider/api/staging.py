"""From the body of an import into the vault, and to the command that makes contacts of what lies there.

While a body comes, a lease says that somebody is at it. A body that breaks off, or whose gateway was killed, leaves an
import that has failed, and nobody in it.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid5

from outrider.api.bodies_contacts import Person
from outrider.api.csv_people import Columns, columns
from outrider.api.csv_text import Records
from outrider.api.gateway import Call
from outrider.api.importing import CHUNK_ROWS, ROWS_KEPT, Candidate, Intake, candidates
from outrider.api.problems import PayloadTooLarge
from outrider.api.uploads import Upload
from outrider.events import leases, vault
from outrider.events.bus import Bus
from outrider.events.contact import FailImport
from outrider.events.database import Pool, heed_cancellation, passing
from outrider.events.telemetry import logger
from outrider.events.vault import Entry

HELD_SECONDS: Final = 180.0
"""Real time: for so long nothing need come of a body whose gateway lives."""
LOOK_SECONDS: Final = 10.0
UPLOADS: Final = "upload-"
ABANDONED: Final = """
select name from log.leases where starts_with(name, $1) and until < clock_timestamp() limit 100
"""
_log = logger(__name__)


def intake(call: Call, import_id: UUID) -> Intake:
    """Nobody has come in yet."""
    until = call.gateway.clock.real() + ROWS_KEPT
    return Intake(import_id, call.account_id, call.gateway.keys.address_key, until)


async def stage_rows(call: Call, into: Intake, name: str, rows: Sequence[Person]) -> None:
    """The rows lie in the vault. They are sorted beside the event loop: there may be a million."""
    await vault.put(call.gateway.log_pool, [_named(into, name)])
    for start in range(0, len(rows), CHUNK_ROWS):
        part = candidates(rows[start : start + CHUNK_ROWS], start + 1)
        await _put(call, await asyncio.to_thread(into.sort, part, last=start + CHUNK_ROWS >= len(rows)))


class CsvUpload:
    """A CSV file on its way into the vault."""

    def __init__(self, call: Call, upload: Upload, into: Intake) -> None:
        """Nothing is read yet."""
        self._call = call
        self._blocks = upload.blocks()
        self._into = into
        self._records = Records()
        self._columns: Columns | None = None
        self._early: list[Candidate] = []
        self._has_ended = False

    async def header(self) -> None:
        """It is read, and says where what stands. Raises WrongHeader, ClientGone, PayloadTooLarge."""
        while self._columns is None:
            block, self._has_ended = await anext(self._blocks)
            self._early = await asyncio.to_thread(self._read, block, last=self._has_ended)

    async def stage(self, name: str) -> None:
        """Every row lies in the vault; nothing does where it raises PayloadTooLarge. Raises ClientGone."""
        pool, into = self._call.gateway.log_pool, self._into
        await vault.put(pool, [_named(into, name)])
        try:
            await self._stage()
        except PayloadTooLarge:
            await vault.forget(pool, [into.import_id])
            await leases.release(pool, _lease(into), into.import_id)
            raise

    async def _stage(self) -> None:
        """While a block's rows are on their way into the vault, the next block is read and sorted."""
        entries = await asyncio.to_thread(self._into.sort, self._early, last=self._has_ended)
        keeping = asyncio.create_task(self._keep(entries), name="import.keep")
        try:
            async for block, last in self._blocks:
                entries = await asyncio.to_thread(self._sort, block, last=last)
                await keeping
                self._has_ended = last
                keeping = asyncio.create_task(self._keep(entries), name="import.keep")
            await keeping
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def broke_off(self, name: str) -> None:
        """The import is shown as failed."""
        pool, into = self._call.gateway.log_pool, self._into
        await vault.put(pool, [_named(into, name)])
        await fail(pool, self._call.gateway.bus, into.account_id, into.import_id)

    async def _keep(self, entries: Sequence[Entry]) -> None:
        await _put(self._call, entries)
        if not self._has_ended:
            into = self._into
            await leases.take(self._call.gateway.log_pool, _lease(into), into.import_id, HELD_SECONDS)

    def _sort(self, block: bytes, *, last: bool) -> list[Entry]:
        return self._into.sort(self._read(block, last=last), last=last)

    def _read(self, block: bytes, *, last: bool) -> list[Candidate]:
        found = self._records.feed(block, last=last)
        if self._columns is None:
            if not found and not last:
                return []
            self._columns = columns(found.pop(0) if found else None)
        return [self._columns.person(record) for record in found]


async def settled(call: Call, into: Intake) -> None:
    """Nobody waits for more of the body: its command was accepted, or never will be."""
    await leases.release(call.gateway.log_pool, _lease(into), into.import_id)


async def fail(pool: Pool, bus: Bus, account_id: UUID, import_id: UUID) -> None:
    """The import is shown as failed, and nobody of it is kept; one whose command came before is let be."""
    command = FailImport(command_id=uuid5(import_id, "failed"), account_id=account_id, import_id=import_id)
    verdict = await bus.ask(command, "dispatcher", 0)
    if verdict.status == "accepted":
        return
    if (verdict.body or {}).get("status") == "failed":
        await pool.execute("delete from log.vault where owner = $1 and name <> 'name'", import_id)
    await leases.release(pool, _lease_of(import_id, account_id), import_id)


async def fail_for_ever(pool: Pool, bus: Bus) -> None:
    """Imports whose gateway was killed while their body came are shown as failed. Any number of replicas may do it."""
    while True:
        try:
            for row in await pool.fetch(ABANDONED, UPLOADS):
                import_id, account_id = (UUID(part) for part in row["name"].removeprefix(UPLOADS).split("+"))
                await fail(pool, bus, account_id, import_id)
        except Exception as error:  # noqa: BLE001  # a loop that ended would leave them without an end
            heed_cancellation()
            _log.warning("uploads.wait" if passing(error) else "uploads.failed", error=type(error).__name__)
        await asyncio.sleep(LOOK_SECONDS)


async def _put(call: Call, entries: Sequence[Entry]) -> None:
    for entry in entries:  # one by one: a statement holds a chunk, not all of a block
        await vault.put(call.gateway.log_pool, [entry])


def _named(into: Intake, name: str) -> Entry:
    return Entry(into.import_id, "name", into.account_id, "import", {"name": name})


def _lease(into: Intake) -> str:
    return _lease_of(into.import_id, into.account_id)


def _lease_of(import_id: UUID, account_id: UUID) -> str:
    return f"{UPLOADS}{import_id}+{account_id}"
