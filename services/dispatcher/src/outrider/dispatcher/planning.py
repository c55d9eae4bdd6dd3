"""Who is written to when, and by which credential: a pure, seeded function of what is pending and what is left.

`plan` is for a dispatch, `retime` (in `retiming`) for what became overdue or late. The same input gives the same plan.
"""

from bisect import insort
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heapreplace
from typing import Final
from uuid import UUID

from outrider.dispatcher.pacing import BATCH, Capacity, Lane, Ledger, Pace, Spacing, first_ready
from outrider.dispatcher.retiming import (
    OpenEnrollment,
    OpenStep,
    Retimed,
    differing,
    follow_on,
    hand_over,
    retime,
    timed,
)
from outrider.events.windows import DAY, Openings, Window, ceil_seconds, moment

__all__ = [
    "LONGEST_DAYS",
    "Candidate",
    "Capacity",
    "OpenEnrollment",
    "OpenStep",
    "PlanTooLong",
    "Planned",
    "Retimed",
    "Spacing",
    "differing",
    "follow_on",
    "hand_over",
    "plan",
    "retime",
    "timed",
]

LONGEST_DAYS: Final = 366
_MINUTE: Final = 60


class PlanTooLong(ValueError):  # it reads as what is wrong, like the refusal it becomes
    """The plan would last over a year."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pending enrollment: its place in the batch and its contact's zone."""

    enrollment_id: UUID
    priority: bool
    order: int
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """One enrollment's credential, the time of every step, and why."""

    enrollment_id: UUID
    credential_id: UUID
    times: tuple[datetime, ...]
    reason: str


def plan(  # noqa: PLR0913  # the campaign's settings, each by its name
    candidates: Sequence[Candidate],
    capacities: Sequence[Capacity],
    *,
    delays: Sequence[int],
    min_wait: int,
    max_wait: int,
    spacing: Spacing,
    window: Window | None,
    seed: int,
    start: datetime,
    last_start: datetime | None = None,
    last_start_of: Mapping[UUID, datetime] | None = None,
) -> Iterator[Planned]:
    """Every candidate once, with one credential and a time for each step, in the order in which they were decided.

    One by one, as they are asked for: of a large plan only what is not written yet is kept in memory.

    * Priority first, then by `order`. The first message leaves at `start` plus the delay of position 1; each next one
      `min_wait`..`max_wait` seconds (drawn from the seed and the enrollment's id) after the start before in the batch,
      or in its credential with `spacing="credential"`. `last_start` and `last_start_of` are such starts planned before.
    * Who cannot go yet, because the window follows the contact, holds up nobody behind him.
    * The credential is the one with the smallest used share of its limit that day; a full day rolls on to the next.
    * A follow-up stands its delay behind the step before it as planned: at the cumulative delay from step 1, and later
      where the window or a full day moved that step. It is counted in its day before any first step asks for the day,
      so that no day of a credential exceeds its limit (unless `used` does already).
    * Write the result in its order: planning the rest, with `used` and the last starts brought up to date, goes on.

    Delays are minutes, waits seconds. Raises PlanTooLong past 366 days from `start` (by whoever is asked for then),
    ValueError without credential or step.
    """
    if not capacities or not delays:
        raise ValueError("a plan needs a credential and a step")
    pace = Pace(Ledger(capacities), min_wait, max_wait, spacing, window, seed)
    last_of = [(last_start_of or {}).get(capacity.credential_id) for capacity in capacities]
    lanes = pace.lanes(len(capacities), ceil_seconds(start) + delays[0] * _MINUTE, last_start, last_of)
    planner = _Planner(pace, [capacity.credential_id for capacity in capacities], delays, ceil_seconds(start))
    planner.line_up(candidates)
    return planner.by_batch(lanes[BATCH]) if spacing == "batch" else planner.by_credential(lanes)


@dataclass(slots=True)
class _Queue:
    """The candidates for whom the window is open at the same times; the gap is that of the first in it."""

    hours: Openings
    waiting: deque[tuple[int, Candidate]]
    gap: int


def _rank(head: tuple[int, _Queue]) -> int:
    return head[0]


class _Planner:
    """One run: the queues that still have somebody, by the rank of their first."""

    __slots__ = ("_credentials", "_delays", "_heads", "_latest", "_pace")

    def __init__(self, pace: Pace, credentials: Sequence[UUID], delays: Sequence[int], start: int) -> None:
        self._pace = pace
        self._credentials = credentials
        self._delays = delays
        self._latest = start + LONGEST_DAYS * DAY
        self._heads: list[tuple[int, _Queue]] = []

    def line_up(self, candidates: Sequence[Candidate]) -> None:
        """One queue for each set of opening hours."""
        queues: dict[Openings, deque[tuple[int, Candidate]]] = {}
        in_order = sorted(candidates, key=lambda c: (not c.priority, c.order, c.enrollment_id.bytes))
        for rank, candidate in enumerate(in_order):
            queues.setdefault(self._pace.openings(candidate.zone), deque()).append((rank, candidate))
        for hours, waiting in queues.items():
            self._stand(_Queue(hours, waiting, 0))

    def by_batch(self, lane: Lane) -> Iterator[Planned]:
        """The moment first, then the credential with the smallest used share of that day."""
        while self._heads:
            index, at = self._next(lane)
            credential = self._pace.ledger.least_used(at // DAY)
            if credential is None:
                lane.floor = (at // DAY + 1) * DAY
            else:
                yield self._decide(index, at, credential, lane)

    def by_credential(self, lanes: Mapping[int, Lane]) -> Iterator[Planned]:
        """The credential first: who can go on the earliest day, of these the smallest used share."""
        ledger = self._pace.ledger
        outlooks = [self._outlook(credential, lane) for credential, lane in lanes.items()] if self._heads else []
        heapify(outlooks)
        while self._heads:
            credential = outlooks[0][-1]
            lane = lanes[credential]
            if (now := self._outlook(credential, lane)) != outlooks[0]:  # outlooks only get worse
                heapreplace(outlooks, now)
                continue
            index, at = self._next(lane)
            if ledger.room(credential, at // DAY):
                yield self._decide(index, at, credential, lane)
            else:
                lane.floor = ledger.next_day(credential, at // DAY) * DAY

    def _next(self, lane: Lane) -> tuple[int, int]:
        """The index of the queue whose first goes next in this lane, and the moment."""
        horizon = lane.after(self._pace.max_wait)
        index, at = first_ready(self._heads, lambda queue: queue.hours.first(lane.after(queue.gap)), horizon)
        return index, self._within(at)

    def _outlook(self, credential: int, lane: Lane) -> tuple[int, float, int]:
        """The first day on which this credential could start one more, with its used share; raises the lane to it."""
        ledger = self._pace.ledger
        while True:
            soonest = min(queue.hours.first(lane.after(self._pace.min_wait)) for _, queue in self._heads)
            day = ledger.next_day(credential, soonest // DAY)
            if day == soonest // DAY:
                return day, ledger.share(credential, day), credential
            lane.floor = day * DAY

    def _decide(self, index: int, at: int, credential: int, lane: Lane) -> Planned:
        _, queue = self._heads.pop(index)
        _, candidate = queue.waiting.popleft()
        pace, ledger, day = self._pace, self._pace.ledger, at // DAY
        share = f"used {ledger.used(credential, day)} of {ledger.limit(credential)} that day"
        since = "first to start" if lane.last is None else f"{at - lane.last} s after the start before"
        ledger.take(credential, day)
        lane.last = at
        times, moved = [at], ""
        for position, delay in enumerate(self._delays[1:], start=2):
            due = times[-1] + delay * _MINUTE
            times.append(self._within(pace.follow_up(credential, queue.hours, due, queue.gap)))
            if times[-1] != due:
                cause = "window" if queue.hours.first(due) != due else "daily limit"
                moved += f"; step {position} waits {times[-1] - due} s for the {cause}"
        found = self._credentials[credential], tuple(map(moment, times))
        self._stand(queue)
        return Planned(candidate.enrollment_id, *found, f"credential {share}; {since}{moved}")

    def _stand(self, queue: _Queue) -> None:
        if queue.waiting:
            rank, first = queue.waiting[0]
            queue.gap = self._pace.gap(first.enrollment_id)
            insort(self._heads, (rank, queue), key=_rank)

    def _within(self, at: int) -> int:
        if at > self._latest:
            raise PlanTooLong(f"the plan would last over {LONGEST_DAYS} days")
        return at
