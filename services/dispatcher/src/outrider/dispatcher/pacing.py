"""What `planning` and `retiming` share: the daily limits, the drawn gaps and the choice of who goes next.

Times are whole seconds since 1970 and days whole UTC days since then: 100,000 enrollments are a matter of integers.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from heapq import heapify, heappop, heapreplace
from typing import Final, Literal, TypeVar
from uuid import UUID

from outrider.events.windows import DAY, EPOCH_ORDINAL, Openings, Window, ceil_seconds, openings

Q = TypeVar("Q")
Spacing = Literal["batch", "credential"]

BATCH: Final = -1
"""The lane of all credentials together."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a credential may send per UTC day, and what of it is gone: claimed that day or planned for it.

    With `follow_ups_exempt` only first steps count, in `used` as well as in the plan.
    """

    credential_id: UUID
    daily_limit: int
    used: Mapping[date, int]
    follow_ups_exempt: bool = False


class Ledger:
    """The messages of each credential (by its index) on each day; a run of full days is passed in one step."""

    __slots__ = ("_counts", "_exempt", "_heaps", "_limits", "_skips")

    def __init__(self, capacities: Sequence[Capacity]) -> None:
        """Raises ValueError for a limit under 1: a search for room would not end."""
        if any(capacity.daily_limit < 1 for capacity in capacities):
            raise ValueError("a daily limit is at least 1")
        self._limits = [capacity.daily_limit for capacity in capacities]
        self._exempt = [capacity.follow_ups_exempt for capacity in capacities]
        self._counts = [{day.toordinal() - EPOCH_ORDINAL: n for day, n in c.used.items()} for c in capacities]
        self._skips: list[dict[int, int]] = [{} for _ in capacities]
        self._heaps: dict[int, list[tuple[float, int]]] = {}

    def counts(self, credential: int, *, follow_up: bool) -> bool:
        """Whether such a message counts against the credential's limit."""
        return not (follow_up and self._exempt[credential])

    def used(self, credential: int, day: int) -> int:
        """The messages of that day so far."""
        return self._counts[credential].get(day, 0)

    def limit(self, credential: int) -> int:
        """The most messages of one day."""
        return self._limits[credential]

    def share(self, credential: int, day: int) -> float:
        """The used part of that day's limit."""
        return self.used(credential, day) / self._limits[credential]

    def room(self, credential: int, day: int) -> bool:
        """Whether one more message fits into that day."""
        return self.used(credential, day) < self._limits[credential]

    def next_day(self, credential: int, day: int) -> int:
        """A day with room, `day` or after it: the first, unless `give_back` opened one that was passed before."""
        skips, found = self._skips[credential], day
        while not self.room(credential, found):
            found = max(found + 1, skips.get(found, 0))
        if found != day:
            skips[day] = found
        return found

    def take(self, credential: int, day: int) -> None:
        """Count one message more."""
        counts = self._counts[credential]
        counts[day] = counts.get(day, 0) + 1

    def give_back(self, credential: int, day: int) -> None:
        """Count one message less, taken before."""
        self._counts[credential][day] -= 1

    def least_used(self, day: int) -> int | None:
        """The credential with the smallest used share of that day, the first of equals; None when all are full."""
        if day not in self._heaps:
            self._heaps[day] = [(self.share(index, day), index) for index in range(len(self._limits))]
            heapify(self._heaps[day])
        heap = self._heaps[day]
        while heap:
            share, credential = heap[0]
            if not self.room(credential, day):
                heappop(heap)
            elif (now := self.share(credential, day)) != share:  # taken from since: shares only rise while planning
                heapreplace(heap, (now, credential))
            else:
                return credential
        return None


@dataclass(slots=True)
class Lane:
    """A row of starts that keep their distance: those of a batch, or of one credential."""

    floor: int
    last: int | None

    def after(self, gap: int) -> int:
        """The moment `gap` seconds after the last start; the floor for the first of all."""
        return self.floor if self.last is None else max(self.floor, self.last + gap)


@dataclass(slots=True)
class Pace:
    """The rules of one campaign, with the state of one run of the planner."""

    ledger: Ledger
    min_wait: int
    max_wait: int
    spacing: Spacing
    window: Window | None
    seed: int
    _openings: dict[str | None, Openings] = field(default_factory=dict[str | None, Openings])
    _moved: dict[tuple[int, Openings, int], int] = field(default_factory=dict[tuple[int, Openings, int], int])

    def gap(self, enrollment: UUID) -> int:
        """The seconds before this enrollment's start: the same for the same seed, whatever is planned around it."""
        drawn = hashlib.blake2b(b"%d " % self.seed + enrollment.bytes, digest_size=8).digest()
        return self.min_wait + int.from_bytes(drawn) % (self.max_wait - self.min_wait + 1)

    def openings(self, zone: str | None) -> Openings:
        """The window's spans for a contact of `zone`."""
        if zone not in self._openings:
            self._openings[zone] = openings(self.window, zone)
        return self._openings[zone]

    def lanes(
        self, count: int, floor: int, last: datetime | None, last_of: Sequence[datetime | None]
    ) -> dict[int, Lane]:
        """The lanes by credential index, or the one lane of the batch."""
        if self.spacing == "batch":
            return {BATCH: Lane(floor, None if last is None else ceil_seconds(last))}
        return {i: Lane(floor, None if (at := last_of[i]) is None else ceil_seconds(at)) for i in range(count)}

    def slot(self, credential: int, hours: Openings, at: int, *, follow_up: bool) -> int:
        """The first second, not before `at`, that is open and on a day with room."""
        opens = hours.first(at)
        if not self.ledger.counts(credential, follow_up=follow_up):
            return opens
        while (day := self.ledger.next_day(credential, opens // DAY)) != opens // DAY:
            opens = hours.first(day * DAY)
        return opens

    def follow_up(self, credential: int, hours: Openings, at: int, gap: int) -> int:
        """Count a follow-up and answer its time: `at`, or later where the window or the day's limit moves it.

        What is moved to the same opening is spread over it by the drawn gaps, so that no weekend ends in a burst; what
        does not fit begins again at the opening: spreading costs nobody a day.
        """
        slot = self.slot(credential, hours, at, follow_up=True)
        if slot != at:
            key = BATCH if self.spacing == "batch" else credential, hours, slot
            spread = self._moved[key] + gap if key in self._moved else slot
            if hours.first(spread) == spread and spread // DAY == slot // DAY:
                slot = spread
            self._moved[key] = slot
        if self.ledger.counts(credential, follow_up=True):
            self.ledger.take(credential, slot // DAY)
        return slot


def first_ready(heads: Sequence[tuple[object, Q]], slot: Callable[[Q], int], horizon: int) -> tuple[int, int]:
    """The index and the time of who goes next: the first in order who can go by the horizon, else the earliest."""
    best, soonest = 0, slot(heads[0][1])
    for index in range(1, len(heads)):
        if soonest <= horizon:
            break
        at = slot(heads[index][1])
        if at <= horizon or at < soonest:
            best, soonest = index, at
    return best, soonest
