"""Making deliveries: what is claimed is sent side by side, and what became of it is noted row by row.

Nobody waits for a slow endpoint but its own deliveries: a claimed row is sent by a task of its own, and each endpoint
has so many places and no more. Where all goes well some more are claimed than there are places, so that what is asked
of Postgres is asked for many at once; what gets no place soon is given back. A process that is killed leaves its rows
leased; they come again, so that an event may arrive twice, under the same `webhook-id`.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from outrider.api.public_events import Showing
from outrider.api.webhook import disable, still_signing, webhook
from outrider.api.webhooks import patience, signing
from outrider.api.webhooks.deliveries import KIND, TEST
from outrider.api.webhooks.noting import Notes
from outrider.api.webhooks.posting import SECONDS, Outcome, Poster
from outrider.events import vault
from outrider.events.claims import NOT_DONE, Places
from outrider.events.clock import Clock
from outrider.events.database import Pool, heed_cancellation, passing
from outrider.events.errors import Conflict, NotYet
from outrider.events.ids import new_id
from outrider.events.log import Log
from outrider.events.message import Json
from outrider.events.reading import COLUMNS, recorded
from outrider.events.telemetry import WEBHOOK_ATTEMPTS, WEBHOOK_FIRST_SECONDS, logger
from outrider.events.todo import Todo
from outrider.events.tracing import SpanKind, StatusCode, follows
from outrider.events.vault import Opener, Unsealable

PLACES: Final = 10
"""Deliveries to one endpoint at once, of one process."""
CLAIMED: Final = 60
"""Of one endpoint that takes what it gets: those that are under way, and those that are next."""
MOST: Final = 1000
"""Claimed deliveries of one process."""
WAITS_SECONDS: Final = 5.0
"""So long a claimed delivery waits for its place."""
LEASE_SECONDS: Final = WAITS_SECONDS + SECONDS + 5
KEPT: Final = timedelta(days=30)
SWEEP_SECONDS: Final = 3600.0
ENDPOINT: Final = "endpoint"
"""Under this name the vault has what a webhook leads to and signs with."""
EVENTS: Final = f"select {COLUMNS} from log.events where position = any($1) and account_id = $2"  # noqa: S608  # constants
LANES: Final = """
select webhook_id, consecutive_failures from endpoints where enabled and (rests_until is null or rests_until <= $1)
"""
GIVEN_BACK: Final = f"""
update todos set leased_by = null, not_before = null
where kind = $1 and key = $2 and {NOT_DONE} and not_before is not null
"""  # noqa: S608  # constants
FAILED: Final = f"""
update todos set attempts = attempts + 1, error = $4, leased_by = null, not_before = $5::timestamptz,
    data = data || jsonb_build_object('status_code', $3::int),
    done_at = case when $5::timestamptz is null then clock_timestamp() end
where kind = $1 and key = $2 and {NOT_DONE}
"""  # noqa: S608  # constants
TROUBLED: Final = """
update endpoints set consecutive_failures = consecutive_failures + 1, failing_since = coalesce(failing_since, $2)
where webhook_id = $1
returning consecutive_failures, failing_since
"""
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class _Job:
    todo: Todo
    webhook_id: UUID
    url: str
    secrets: Sequence[str]
    """Its own and each former one until its day is over; none where they cannot be opened."""
    payload: Json
    recorded_at: datetime | None
    """When the event was; None of what is tried once more, or is no event."""


@dataclass(slots=True)
class _Endpoint:
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PLACES))
    claimed: int = 0


class Delivering:
    """One process's deliveries."""

    def __init__(  # noqa: PLR0913, PLR0917  # what it reads, sends, and notes with
        self,
        log: Log,
        showing: Showing,
        work: Pool,
        opener: Opener,
        poster: Poster,
        clock: Clock,
        reach: Callable[[int], Awaitable[bool]],
    ) -> None:
        """`reach` tells whether the tables that events are shown with stand at a position."""
        self._log = log
        self._showing = showing
        self._work = work
        self._opener = opener
        self._poster = poster
        self._clock = clock
        self._reach = reach
        self._notes = Notes(work)
        self._endpoints: defaultdict[UUID, _Endpoint] = defaultdict(_Endpoint)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self.then: list[Callable[[], None]] = []
        """Called when an endpoint has places again: half of what it may have, so that many are claimed at once."""

    async def lanes(self) -> Mapping[UUID, Places]:
        """How many more deliveries each endpoint may get now; one that only fails gets them one by one."""
        room = MOST - len(self._tasks)
        if self._stopped or room <= 0:
            return {}
        rows = await self._work.fetch(LANES, self._clock.real())
        free = {row["webhook_id"]: self._most(row["consecutive_failures"]) for row in rows}
        for lane, endpoint in self._endpoints.items():
            if lane in free:
                free[lane] -= endpoint.claimed
        return {lane: Places(places, places) for lane, places in free.items()}

    async def begin(self, todos: Sequence[Todo]) -> None:
        """Each of these is on its way; what customers do not see (an open that was not the first) is no delivery."""
        if not await self._reach(max(todo.ordinal for todo in todos)):
            raise NotYet(1.0)
        by_account: defaultdict[UUID, list[Todo]] = defaultdict(list)
        for todo in todos:
            by_account[todo.account_id].append(todo)
        jobs = [job for account, some in by_account.items() for job in await self._jobs(account, some)]
        wanted = {job.todo.key for job in jobs}
        if unseen := [todo.key for todo in todos if todo.key not in wanted]:
            await self._work.execute("delete from todos where kind = $1 and key = any($2)", KIND, unseen)
        for job in jobs:
            task = asyncio.get_running_loop().create_task(self._in_turn(job), name="webhooks.deliver")
            self._endpoints[job.webhook_id].claimed += 1
            self._tasks.add(task)
            task.add_done_callback(partial(self._over, job.webhook_id))

    async def stop(self) -> None:
        """Nothing new is begun; what was begun has ended."""
        self._stopped = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SECONDS)
        await self._poster.close()

    async def sweep_for_ever(self) -> None:
        """Now, and every hour of real time, deliveries that ended 30 days ago are gone."""
        while True:
            before = self._clock.real() - KEPT
            await self._work.execute("delete from todos where kind = $1 and done_at < $2", KIND, before)
            await asyncio.sleep(SWEEP_SECONDS)

    @staticmethod
    def _most(failures: int) -> int:
        """How many of an endpoint may be claimed at once, by its failures since the last success."""
        if failures >= patience.TROUBLED:
            return 1
        return PLACES if failures else CLAIMED

    def _over(self, webhook_id: UUID, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        endpoint = self._endpoints[webhook_id]
        endpoint.claimed -= 1
        if endpoint.claimed not in {0, PLACES // 2, CLAIMED // 2}:
            return
        if not endpoint.claimed:
            del self._endpoints[webhook_id]
        for wake in self.then:
            wake()

    async def _jobs(self, account: UUID, todos: Sequence[Todo]) -> list[_Job]:
        lanes = {todo.lane for todo in todos if todo.lane is not None}
        endpoints = await vault.get_many(self._showing.log_pool, account, list(lanes), ENDPOINT)
        secrets = {lane: self._secrets(lane, endpoint) for lane, endpoint in endpoints.items()}
        rows = await self._showing.log_pool.fetch(EVENTS, list({todo.ordinal for todo in todos}), account)
        shown = await self._showing.show(account, [recorded(row) for row in rows if row["type"] not in OWN])
        payloads = {event.position: event.payload for event in shown}
        times = {row["position"]: row["recorded_at"] for row in rows}
        payloads |= {todo.ordinal: _test(todo) for todo in todos if todo.data["type"] == TEST}
        return [
            _Job(
                todo,
                lane,
                endpoints[lane]["url"],
                secrets[lane],
                payloads[todo.ordinal],
                None if _was_tried(todo) else times.get(todo.ordinal),
            )
            for todo in todos
            if (lane := todo.lane) is not None and lane in endpoints and todo.ordinal in payloads
        ]

    def _secrets(self, webhook_id: UUID, endpoint: Json) -> list[str]:
        sealed = [endpoint, *still_signing(endpoint, self._clock.real())]
        try:
            return [self._opener.open(webhook_id, one)["secret"] for one in sealed]
        except Unsealable:
            return []

    async def _in_turn(self, job: _Job) -> None:
        """Whatever goes wrong with it is said; its lease runs out, and it comes again."""
        try:
            await self._deliver(job)
        except Exception as error:  # noqa: BLE001  # its lease runs out
            heed_cancellation()
            quiet = passing(error) or isinstance(error, Conflict)
            _log.warning("webhook.waits" if quiet else "webhook.broken", key=job.todo.key, error=type(error).__name__)

    async def _deliver(self, job: _Job) -> None:
        """It is delivered if its endpoint has a place for it soon, and given back if not."""
        places = self._endpoints[job.webhook_id].places
        try:
            async with asyncio.timeout(WAITS_SECONDS):
                await places.acquire()
        except TimeoutError:
            await self._work.execute(GIVEN_BACK, KIND, job.todo.key)
            return
        if job.recorded_at is not None:
            WEBHOOK_FIRST_SECONDS.observe((self._clock.real() - job.recorded_at).total_seconds())
        try:
            outcome = await self._traced(job)
        finally:
            places.release()
        if outcome.error is None:
            WEBHOOK_ATTEMPTS.labels("taken").inc()
            await self._notes.delivered(job.todo.key, job.webhook_id, outcome.status)
        else:
            await self._failed(job, outcome, outcome.error)

    async def _traced(self, job: _Job) -> Outcome:
        """Each attempt is a trace, linked to the one in which the event was recorded."""
        about: dict[str, str | int] = {
            "outrider.webhook_id": str(job.webhook_id),
            "outrider.attempt": job.todo.attempts + 1,
        }
        with follows("POST webhook", [job.todo.trace], SpanKind.CLIENT, about, apart=True) as span:
            outcome = await self._posted(job)
            if outcome.status is not None:
                span.set_attribute("http.response.status_code", outcome.status)
            if outcome.error is not None:
                span.set_status(StatusCode.ERROR)
            return outcome

    async def _posted(self, job: _Job) -> Outcome:
        if not job.secrets:
            return Outcome(None, "the secret cannot be opened: rotate it")
        body = msgspec.json.encode(job.payload)
        signed = signing.headers(job.secrets, str(job.payload["id"]), self._clock.real(), body)
        headers = {"content-type": "application/json", "user-agent": "Outrider", **signed}
        return await self._poster.post(job.url, headers, body)

    async def _failed(self, job: _Job, outcome: Outcome, error: str) -> None:
        todo, now = job.todo, self._clock.real()
        gone = outcome.status == patience.GONE
        seconds = None if gone else patience.delay_seconds(todo.attempts + 1, random.random())  # noqa: S311  # jitter
        WEBHOOK_ATTEMPTS.labels("given_up" if seconds is None else "failed").inc()
        again = None if seconds is None else now + timedelta(seconds=seconds)
        _log.info("webhook.failed", key=todo.key, webhook_id=str(job.webhook_id), status=outcome.status, error=error)
        await self._work.execute(FAILED, KIND, todo.key, outcome.status, error, again)
        row = await self._work.fetchrow(TROUBLED, job.webhook_id, now)
        if row is None:
            return  # removed meanwhile
        if gone or now - row["failing_since"] >= patience.GIVES_UP:
            decide = partial(disable, job.webhook_id, "gone" if gone else "failing")
            await self._log.transact(todo.account_id, webhook, job.webhook_id, decide, cause=new_id())
        elif rest := patience.rest_seconds(row["consecutive_failures"]):
            until = now + timedelta(seconds=rest)
            await self._work.execute(
                "update endpoints set rests_until = $2 where webhook_id = $1", job.webhook_id, until
            )


OWN: Final = frozenset({"WebhookTestRequested"})
"""What a delivery may be about that is shown to nobody else."""


def _was_tried(todo: Todo) -> bool:
    """Also before somebody asked for it once more."""
    return todo.attempts > 0 or "status_code" in todo.data


def _test(todo: Todo) -> Json:
    return {
        "id": todo.data["message"],
        "type": TEST,
        "created_at": todo.due_at,
        "account_id": todo.account_id,
        "data": {"webhook_id": todo.lane, "position": todo.ordinal},
    }
