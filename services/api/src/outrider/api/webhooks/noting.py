"""What became of deliveries that were taken: noted by one statement for all that ended since the last."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from outrider.api.webhooks.deliveries import KIND
from outrider.events.claims import NOT_DONE
from outrider.events.database import Pool, passing

PAUSES_SECONDS: Final = (0.1, 0.4, 1.0, 2.0)
"""Between the tries of a note: what is not noted is delivered again."""
DELIVERED: Final = f"""
with recovered as (
    update endpoints set consecutive_failures = 0, failing_since = null, rests_until = null
    where webhook_id = any($4) and failing_since is not null
)
update todos t set done_at = clock_timestamp(), attempts = attempts + 1, error = null, leased_by = null,
    data = t.data || jsonb_build_object('status_code', n.status)
from unnest($2::text[], $3::int[]) as n (key, status)
where t.kind = $1 and t.key = any($2) and t.key = n.key and {NOT_DONE}
"""  # noqa: S608  # constants


class _Note(NamedTuple):
    key: str
    webhook_id: UUID
    status: int | None
    noted: asyncio.Future[None]


class Notes:
    """One process's; while one statement runs the next ones gather."""

    def __init__(self, work: Pool) -> None:
        """`work` has the to-dos."""
        self._work = work
        self._waiting: list[_Note] = []
        self._writing: asyncio.Task[None] | None = None

    async def delivered(self, key: str, webhook_id: UUID, status: int | None) -> None:
        """The delivery is over, and its endpoint does not fail. Raises what Postgres did when it could not be noted."""
        loop = asyncio.get_running_loop()
        note = _Note(key, webhook_id, status, loop.create_future())
        self._waiting.append(note)
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write(), name="webhooks.note")
        await note.noted

    async def _write(self) -> None:
        while self._waiting:
            notes, self._waiting = self._waiting, []
            error = await self._tried(notes)
            for note in notes:
                if note.noted.done():
                    continue
                if error is None:
                    note.noted.set_result(None)
                else:
                    note.noted.set_exception(error)

    async def _tried(self, notes: Sequence[_Note]) -> Exception | None:
        """Write them, again where that may help; answers why it did not."""
        keys, statuses = [note.key for note in notes], [note.status for note in notes]
        webhooks = list({note.webhook_id for note in notes})
        for pause in (*PAUSES_SECONDS, None):
            try:
                await self._work.execute(DELIVERED, KIND, keys, statuses, webhooks)
            except Exception as error:  # noqa: BLE001  # whoever waits gets it
                if pause is None or not passing(error):
                    return error
                await asyncio.sleep(pause)
            else:
                return None
        return None
