"""Claiming: the one append that permits a message, with every gate asserted in it."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4, uuid5

from outrider.events.clock import Clock
from outrider.events.credential import QuotaClaimed
from outrider.events.database import Pool
from outrider.events.delivery import DeliveryStarted, SendStep
from outrider.events.errors import Conflict, NotYet
from outrider.events.gates import Gate, closed_by, gates
from outrider.events.log import Appended, Expect, Log, Write
from outrider.sender.composing import Letter
from outrider.sender.delivery import Delivery, delivery, start
from outrider.sender.quota import QuotaDay, claim, day_id, quota_day

TRIES = 10


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


GiveUp = Callable[[UUID, DeliveryStarted, UUID], None]
"""See to it that this claim (of this account, recorded or not under this cause) ends without a mail."""


class Claims:
    """Claims deliveries for this process. What it answers with a DeliveryStarted may be mailed once, by the caller."""

    def __init__(self, log: Log, tables: Pool, clock: Clock, give_up: GiveUp) -> None:
        """`tables` are the projection of `projections.sending`."""
        self._log = log
        self._tables = tables
        self._clock = clock
        self._give_up = give_up

    async def claim(self, letter: Letter, day: Day) -> DeliveryStarted | NotClaimed:
        """The claim that this very call recorded, or why there is none. One call at a time for each `day`.

        Raises NotYet where the projection has not seen what the job is about, where something that the letter is made
        of has changed since, or others claim faster. Whatever else it raises, a claim that it may have recorded is
        given up.
        """
        job, own = letter.job, delivery.stream(letter.job.delivery_id)
        found = await self._look(_stops(letter))
        limits = await self._limits(job)
        if limits is None:
            return NotClaimed("credential_removed")
        if day.version == 0:
            await self._refresh(job.account_id, day)
        mine = uuid4()
        for _ in range(TRIES):
            if closed := next(filter(None, (why for _, why in found.values())), ""):
                return NotClaimed(closed)
            if any(found[stream][0] != version for stream, version in letter.versions.items()):
                raise NotYet(0.2)  # the letter is to be made anew
            history = [] if job.attempt == 1 else await self._log.read_stream(job.account_id, own)
            events = self._decide(letter, day, limits, mine, delivery.fold(item.event for item in history))
            if isinstance(events, NotClaimed):
                if events.reason == "quota" and await self._refresh(job.account_id, day):
                    continue  # a place that was given back, or another process's claims
                return events
            started, claimed = events
            try:
                recorded = await self._append(job, len(history), day, started, claimed, found)
            except Conflict as conflict:
                if own in conflict.streams:
                    return NotClaimed("claimed_before")
                await self._refresh(job.account_id, day)
                found = {**found, **await self._read(job.account_id, found.keys() & set(conflict.streams))}
                continue
            return started if recorded else NotClaimed("claimed_before")
        raise NotYet(random.uniform(0.2, 1))  # noqa: S311  # jitter

    def _decide(
        self, letter: Letter, day: Day, limits: _Limits, mine: UUID, state: Delivery
    ) -> tuple[DeliveryStarted, QuotaClaimed] | NotClaimed:
        job, now = letter.job, self._clock.now()
        if day.stream != quota_day.stream(day_id(job.credential_id, now.date())):
            raise NotYet(0)  # midnight passed since the day was looked up
        started = start(job, mine, now, letter.step.template_version, state, counted=limits.counted)
        if not started:
            return NotClaimed("claimed_before")
        claimed = claim(
            job.credential_id, now.date(), job.delivery_id, limits.daily_limit, day.state, counted=limits.counted
        )
        return (started[0], claimed[0]) if claimed else NotClaimed("quota")

    async def _append(  # noqa: PLR0913, PLR0917  # what the claim asserts
        self,
        job: SendStep,
        version: int,
        day: Day,
        started: DeliveryStarted,
        claimed: QuotaClaimed,
        found: Mapping[str, tuple[int, str]],
    ) -> bool:
        """Whether this very call recorded the claim. Raises Conflict."""
        cause = uuid5(job.delivery_id, f"claim-{job.attempt}")
        try:
            verdict = await self._log.append(
                job.account_id,
                Write(delivery.stream(job.delivery_id), version, [started], cause),
                Write(day.stream, day.version, [claimed], cause),
                *(Expect(stream, seen) for stream, (seen, _) in found.items()),
            )
        except Conflict:
            raise
        except BaseException:
            self._give_up(job.account_id, started, cause)  # whether it stands is not known: nobody may act on it
            raise
        if not isinstance(verdict, Appended):
            return False
        day.version += 1
        day.state = quota_day.evolve(day.state, claimed)
        return True

    async def _look(self, stops: Sequence[Gate]) -> Mapping[str, tuple[int, str]]:
        """Every gate's version, and why it is closed or "", as far as the projection is."""
        rows = await self._tables.fetch(
            "select stream, version, closed from gates where stream = any($1)", [gate.stream for gate in stops]
        )
        found = {row["stream"]: (row["version"], row["closed"]) for row in rows}
        if any(gate.must_exist and gate.stream not in found for gate in stops):
            raise NotYet(0.5)
        return {gate.stream: found.get(gate.stream, (0, "")) for gate in stops}

    async def _read(self, account: UUID, streams: Iterable[str]) -> Mapping[str, tuple[int, str]]:
        """The same from the log itself: the projection was behind."""
        found: dict[str, tuple[int, str]] = {}
        for stream in streams:
            history = await self._log.read_stream(account, stream)
            found[stream] = (len(history), closed_by(item.event for item in history))
        return found

    async def _limits(self, job: SendStep) -> _Limits | None:
        row = await self._tables.fetchrow(
            "select daily_limit, follow_ups_exempt from credentials where credential_id = $1", job.credential_id
        )
        if row is None:
            return None
        return _Limits(row["daily_limit"], counted=job.position == 1 or not row["follow_ups_exempt"])

    async def _refresh(self, account: UUID, day: Day) -> bool:
        """`day` is what the log says now, and only what is new of it was read. Whether anything was."""
        before = day.version
        for item in await self._log.read_stream(account, day.stream, day.version):
            day.version = item.version
            day.state = quota_day.evolve(day.state, item.event)
        return day.version > before


def _stops(letter: Letter) -> Sequence[Gate]:
    """Every stream that can stop this message."""
    job, person = letter.job, letter.person
    return gates(
        job.campaign_id,
        job.enrollment_id,
        job.contact_id,
        job.credential_id,
        person.address_key,
        person.domain_key,
        job.previous_delivery_id,
    )
