"""Claiming: the one append that permits a message, with every gate asserted in it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4, uuid5

from outrider.events.clock import Clock
from outrider.events.credential import QuotaClaimed
from outrider.events.database import Pool
from outrider.events.delivery import DeliveryStarted, SendStep
from outrider.events.errors import Conflict, NotYet
from outrider.events.gates import Gate, closed_by, gates
from outrider.events.log import Appended, Expect, Log, Write
from outrider.events.telemetry import logger
from outrider.sender.delivery import Delivery, delivery, start
from outrider.sender.letters import Letter
from outrider.sender.quota import QuotaDay, claim, day_id, quota_day

TRIES = 6
_log = logger(__name__)


@dataclass(slots=True)
class Day:
    """What is known of a credential's UTC day; read on from `version` whenever it may have moved."""

    stream: str
    version: int = 0
    state: QuotaDay = field(default_factory=QuotaDay)


@dataclass(frozen=True, slots=True)
class NotClaimed:
    """Nothing may be mailed for this job now; why, in one word."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Limits:
    daily_limit: int
    counted: bool


class Claims:
    """Claims deliveries for this process. What it answers with a DeliveryStarted may be mailed once, by the caller."""

    def __init__(self, log: Log, tables: Pool, clock: Clock) -> None:
        """`tables` are the projection of `projections.sending`."""
        self._log = log
        self._tables = tables
        self._clock = clock

    async def claim(self, letter: Letter, day: Day) -> DeliveryStarted | NotClaimed:
        """The claim that this very call recorded, or why there is none.

        Raises NotYet where the projection has not seen what the job is about, or others claim faster; anything else
        (a lost connection) leaves open whether the claim stands: it must then be given up by `abandon`.
        """
        job = letter.job
        stops = gates(
            job.campaign_id,
            job.enrollment_id,
            job.contact_id,
            job.credential_id,
            letter.person.address_key,
            letter.person.domain_key,
            job.previous_delivery_id,
        )
        versions, closed = await self._look(stops)
        limits = await self._limits(job)
        if limits is None:
            return NotClaimed("credential_removed")
        mine = uuid4()
        for _ in range(TRIES):
            if closed:
                return NotClaimed(closed)
            history = [] if job.attempt == 1 else await self._log.read_stream(job.account_id, stream_of(job))
            events = self._decide(letter, day, limits, mine, delivery.fold(item.event for item in history))
            if isinstance(events, NotClaimed):
                return events
            started, claimed = events
            cause = uuid5(job.delivery_id, f"claim-{job.attempt}")
            try:
                verdict = await self._log.append(
                    job.account_id,
                    Write(stream_of(job), len(history), [started], cause),
                    Write(day.stream, day.version, [claimed], cause),
                    *(Expect(gate.stream, versions[gate.stream]) for gate in stops),
                )
            except Conflict as conflict:
                if stream_of(job) in conflict.streams:
                    return NotClaimed("claimed_before")
                await self.refresh(job.account_id, day)
                versions, closed = await self._read(job.account_id, stops)
                continue
            if not isinstance(verdict, Appended):
                return NotClaimed("claimed_before")
            day.version += 1
            day.state = quota_day.evolve(day.state, claimed)
            return started
        raise NotYet(random.uniform(0.5, 2))  # noqa: S311  # jitter

    def _decide(
        self, letter: Letter, day: Day, limits: _Limits, mine: UUID, state: Delivery
    ) -> tuple[DeliveryStarted, QuotaClaimed] | NotClaimed:
        job, now = letter.job, self._clock.now()
        if day.stream != quota_day.stream(day_id(job.credential_id, now.date())):
            raise NotYet(0)  # midnight passed since the day was looked up
        claimed = claim(
            job.credential_id, now.date(), job.delivery_id, limits.daily_limit, day.state, counted=limits.counted
        )
        if not claimed:
            return NotClaimed("quota")
        started = start(job, mine, now, letter.step.template_version, state, counted=limits.counted)
        return (started[0], claimed[0]) if started else NotClaimed("claimed_before")

    async def _look(self, stops: Sequence[Gate]) -> tuple[Mapping[str, int], str]:
        """Every gate's version, and why one is closed, as far as the projection is."""
        rows = await self._tables.fetch(
            "select stream, version, closed from gates where stream = any($1)", [gate.stream for gate in stops]
        )
        found = {row["stream"]: row for row in rows}
        missing = [gate.stream for gate in stops if gate.must_exist and gate.stream not in found]
        if missing:
            raise NotYet(0.5)
        versions = {gate.stream: found[gate.stream]["version"] if gate.stream in found else 0 for gate in stops}
        return versions, next((row["closed"] for row in rows if row["closed"]), "")

    async def _read(self, account: UUID, stops: Sequence[Gate]) -> tuple[Mapping[str, int], str]:
        """The same from the log itself: the projection was behind."""
        versions: dict[str, int] = {}
        closed = ""
        for gate in stops:
            history = await self._log.read_stream(account, gate.stream)
            versions[gate.stream] = len(history)
            closed = closed or closed_by(item.event for item in history)
        return versions, closed

    async def _limits(self, job: SendStep) -> _Limits | None:
        row = await self._tables.fetchrow(
            "select daily_limit, follow_ups_exempt from credentials where credential_id = $1", job.credential_id
        )
        if row is None:
            return None
        return _Limits(row["daily_limit"], counted=job.position == 1 or not row["follow_ups_exempt"])

    async def refresh(self, account: UUID, day: Day) -> None:
        """`day` is what the log says now; only what is new of it is read."""
        for item in await self._log.read_stream(account, day.stream, day.version):
            day.version = item.version
            day.state = quota_day.evolve(day.state, item.event)


def stream_of(job: SendStep | DeliveryStarted) -> str:
    """The stream of the job's delivery."""
    return delivery.stream(job.delivery_id)
