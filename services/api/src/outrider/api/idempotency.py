"""Requests with an Idempotency-Key: carried out once, and answered alike for 24 hours, whoever dies meanwhile.

The first request with a key holds it while it is at work, and notes the command that it leads to before that is
accepted. What it answered lies sealed in the vault. Whoever comes later is told that; or, when the holder has not been
heard of for a while, goes on where it stopped: with its command's outcome, or, where none was accepted, from the start.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast
from uuid import UUID

from outrider.api.problems import IdempotencyKeyInProgress, IdempotencyKeyReused, ServiceUnavailable
from outrider.events import vault
from outrider.events.database import Pool, Row, heed_cancellation
from outrider.events.errors import Unavailable
from outrider.events.ids import new_id
from outrider.events.message import Json
from outrider.events.telemetry import logger
from outrider.events.vault import Box, Entry, Unsealable

KEPT: Final = timedelta(hours=24)
HELD: Final = timedelta(seconds=30)
RENEW_SECONDS: Final = 8.0
RATE_LIMITED: Final = 429
SERVER_ERRORS: Final = 500
ANSWER: Final = "answer"
NOBODY: Final = UUID(int=0)
TAKE: Final = """
insert into log.requests as r (account_id, key_hash, request_hash, request_id, holder, held_until)
values ($1, $2, $3, $4, $5, clock_timestamp() + $6::interval)
on conflict (account_id, key_hash) do update set holder = excluded.holder, held_until = excluded.held_until,
    request_hash = coalesce(excluded.request_hash, r.request_hash)
where r.held_until < clock_timestamp() and coalesce(r.request_hash = excluded.request_hash, true)
returning request_id, command_id, created_at
"""
FREE: Final = "delete from log.requests where account_id = $1 and key_hash = $2 and created_at < $3"
LOOK: Final = """
select request_id, request_hash, holder is not null as is_running
from log.requests
where account_id = $1 and key_hash = $2
"""
RENEW: Final = """
update log.requests set held_until = clock_timestamp() + $3::interval where request_id = $1 and holder = $2
"""
NOTE: Final = """
update log.requests set command_id = $3, request_hash = coalesce(request_hash, $4)
where request_id = $1 and holder = $2
"""
SETTLE: Final = """
update log.requests set holder = null, held_until = null, request_hash = $3 where request_id = $1 and holder = $2
"""
RELEASE: Final = "update log.requests set held_until = clock_timestamp() where request_id = $1 and holder = $2"
WITHDRAW: Final = """
insert into log.commands
    (command_id, account_id, kind, service, target, request, status, http_status, body_without_people, decided_at)
values ($1, $2, 'Withdrawn', '', '', '{}', 'rejected', $3, $4, clock_timestamp())
on conflict (command_id) do nothing
"""
ANSWERS: Final = """
select v.owner, v.value
from log.requests r
join log.vault v on v.owner = r.request_id and v.name = 'answer'
where r.account_id = $1 and v.account_id = $1 and v.owner > $2
order by v.owner
limit 500
"""
REPLACE: Final = "update log.vault set value = $3 where owner = $1 and name = 'answer' and account_id = $2"
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it went out."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    @property
    def is_kept(self) -> bool:
        """Whether the same call shall be answered so again; what failed here, or came too often, may be tried again."""
        return self.status < SERVER_ERRORS and self.status != RATE_LIMITED


@dataclass(slots=True)
class Held:
    """A key that this request holds."""

    pool: Pool
    account_id: UUID
    request_id: UUID
    holder: UUID
    created_at: datetime
    command_id: UUID | None
    """What an attempt before this one led to, if it got so far."""
    request_hash: Callable[[], bytes | None] = lambda: None
    """Of a streamed body, once it has ended."""

    async def note(self, command_id: UUID) -> None:
        """The request leads to this command, which may be accepted now. Raises Unavailable where another holds it."""
        request_hash = self.request_hash()
        if not _changed(await self.pool.execute(NOTE, self.request_id, self.holder, command_id, request_hash)):
            raise Unavailable("another attempt has taken this request over")
        self.command_id = command_id

    async def withdraw(self) -> bool:
        """Whether the command was never accepted, and never will be: an attempt that still lives finds it refused."""
        refusal = ServiceUnavailable()
        tag = await self.pool.execute(WITHDRAW, self.command_id, self.account_id, refusal.status, refusal.problem())
        return _changed(tag) > 0

    @asynccontextmanager
    async def kept_up(self) -> AsyncGenerator[None]:
        """Others wait for it as long as it lives."""
        renewing = asyncio.get_running_loop().create_task(self._renew(), name="request.renew")
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self.pool.execute(RENEW, self.request_id, self.holder, HELD)
            except Exception as error:  # noqa: BLE001  # it is held as long as it was, and renewed when Postgres is back
                heed_cancellation()
                _log.warning("request.not_renewed", error=type(error).__name__)


class Idempotency:
    """The keys of all requests, of every replica."""

    def __init__(self, pool: Pool, box: Box) -> None:
        """`pool` is on the log's database."""
        self._pool = pool
        self._box = box

    async def take(self, account_id: UUID, key_hash: bytes, request_hash: bytes | None, now: datetime) -> Held | Reply:
        """The key is held by the caller, or this is what was answered before.

        `request_hash` is None while a streamed body has not ended. Raises IdempotencyKeyReused and
        IdempotencyKeyInProgress.
        """
        await self._pool.execute(FREE, account_id, key_hash, now - KEPT)
        holder = new_id()
        row = await self._pool.fetchrow(TAKE, account_id, key_hash, request_hash, new_id(), holder, HELD)
        if row is not None:
            return Held(self._pool, account_id, row["request_id"], holder, row["created_at"], row["command_id"])
        stands = await self._pool.fetchrow(LOOK, account_id, key_hash)
        if stands is None:  # it has ended its 24 hours just now
            raise IdempotencyKeyInProgress
        if request_hash is not None:
            _compare(stands, request_hash)
        if stands["is_running"]:
            raise IdempotencyKeyInProgress
        return await self._reply(account_id, stands["request_id"])

    async def compare(self, account_id: UUID, key_hash: bytes, request_hash: bytes) -> None:
        """A streamed body, now that it has ended, is the one that was answered. Raises IdempotencyKeyReused."""
        stands = await self._pool.fetchrow(LOOK, account_id, key_hash)
        if stands is not None:
            _compare(stands, request_hash)

    async def settle(self, held: Held, request_hash: bytes, reply: Reply) -> None:
        """Every later request with the key gets this reply; or may try again, if it is none to keep.

        Nothing is changed by an attempt that lost its hold: another one has answered by now, or will.
        """
        if not reply.is_kept:
            await self.release(held)
            return
        value: Json = {
            "status": reply.status,
            "headers": [list(pair) for pair in reply.headers],
            "body": reply.body.decode("latin-1"),
        }
        sealed = self._box.seal(held.request_id, value)
        entry = Entry(held.request_id, ANSWER, held.account_id, "answer", sealed, held.created_at + KEPT)
        async with self._pool.acquire() as db, db.transaction():
            if _changed(await db.execute(SETTLE, held.request_id, held.holder, request_hash)):
                await vault.put(db, [entry])

    async def redact(self, account_id: UUID, redacted: Callable[[object], object]) -> None:
        """Every kept answer of the account says from now on what `redacted` makes of its body, if that is JSON."""
        after = NOBODY
        while rows := await self._pool.fetch(ANSWERS, account_id, after):
            after = rows[-1]["owner"]
            for row in rows:
                if (sealed := self._redacted(row["owner"], row["value"], redacted)) is not None:
                    await self._pool.execute(REPLACE, row["owner"], account_id, sealed)

    def _redacted(self, request_id: UUID, sealed: Json, redacted: Callable[[object], object]) -> Json | None:
        """The answer with the other body; None where that is the same, or no JSON."""
        try:
            value = self._box.open(request_id, sealed)
            body: object = json.loads(value["body"].encode("latin-1"))
        except (Unsealable, ValueError, KeyError):
            return None
        if (shown := redacted(body)) == body:
            return None
        text = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()
        headers = [[name, str(len(text)) if name == "content-length" else said] for name, said in value["headers"]]
        return self._box.seal(request_id, {**value, "headers": headers, "body": text.decode("latin-1")})

    async def release(self, held: Held) -> None:
        """The next request with the key goes on where this one stopped."""
        await self._pool.execute(RELEASE, held.request_id, held.holder)

    async def _reply(self, account_id: UUID, request_id: UUID) -> Reply:
        sealed = await vault.get(self._pool, account_id, request_id, ANSWER)
        if sealed is None:
            raise Unavailable("the answer is kept no more")
        try:
            value = self._box.open(request_id, sealed)
        except Unsealable as error:
            raise Unavailable("the answer cannot be opened") from error
        headers = [(name, said) for name, said in cast("list[list[str]]", value["headers"])]
        return Reply(value["status"], headers, value["body"].encode("latin-1"))


async def sweep(pool: Pool, now: datetime) -> int:
    """Keys that were used over 24 hours ago are free again; how many they were."""
    return _changed(await pool.execute("delete from log.requests where created_at < $1", now - KEPT))


def _compare(stands: Row, request_hash: bytes) -> None:
    if stands["request_hash"] is not None and bytes(stands["request_hash"]) != request_hash:
        raise IdempotencyKeyReused


def _changed(tag: str) -> int:
    """Of a statement's tag: how many rows."""
    return int(tag.rsplit(maxsplit=1)[-1])
