"""New times for steps that became overdue or whose earlier step went out late; pure and seeded like the plan."""

from bisect import insort
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from outrider.dispatcher.pacing import BATCH, Capacity, Lane, Ledger, Pace, Spacing, first_ready
from outrider.events.windows import DAY, Openings, Window, ceil_seconds, moment

Rank = tuple[bool, int, bytes]


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A step not sent yet: when it was planned, and its delay after the step before."""

    position: int
    planned_at: datetime
    delay_seconds: int


@dataclass(frozen=True, slots=True)
class OpenEnrollment:
    """What is left of an enrollment, by position, and when the step before the first of these went out."""

    enrollment_id: UUID
    credential_id: UUID
    zone: str | None
    steps: tuple[OpenStep, ...]
    previous_sent_at: datetime | None = None
    not_before: datetime | None = None
    """When its batch may begin: no first step of it is pulled before that."""
    handed_over: bool = False
    """Its follow-ups look for room in the days of another credential."""


@dataclass(frozen=True, slots=True)
class Retimed:
    """The (position, new time) of every step of one enrollment that moves."""

    enrollment_id: UUID
    times: tuple[tuple[int, datetime], ...]


def retime(  # noqa: PLR0913  # the campaign's settings, each by its name
    open_enrollments: Sequence[OpenEnrollment],
    capacities: Sequence[Capacity],
    *,
    min_wait: int,
    max_wait: int,
    spacing: Spacing,
    window: Window | None,
    seed: int,
    now: datetime,
    last_start: datetime | None = None,
    last_start_of: Mapping[UUID, datetime] | None = None,
    anew: bool = False,
) -> list[Retimed]:
    """The enrollments with a step that moves, and its new time; those that stay are not named.

    * What is overdue at `now` starts again from `now` with gaps of `min_wait`..`max_wait` seconds, across the campaign
      or, with `spacing="credential"`, for each credential: follow-ups first, then first steps, each in their old order.
    * What is not overdue keeps its time, unless it must stay behind its earlier step by its delay, lies outside the
      window, or is a first step that those moved before it have caught up with: it then goes on behind them.
    * With `anew` (other waits hold now) no first step keeps its time: each takes its new gap, from `not_before` on, and
      its follow-ups stand their delays behind it.
    * A day's limit holds for all that moves. `used` counts what others claimed and planned: not the steps given here.
    * An enrollment whose credential has no capacity here (disabled, say) is left as it is.

    Write the result in its order: a second run over the rest, with `used` and the last starts brought up to date,
    goes on within the same limits.
    """
    known = {capacity.credential_id: index for index, capacity in enumerate(capacities)}
    pace = Pace(Ledger(capacities), min_wait, max_wait, spacing, window, seed)
    last_of = [(last_start_of or {}).get(capacity.credential_id) for capacity in capacities]
    lanes = pace.lanes(len(capacities), ceil_seconds(now), last_start, last_of)
    retimer = _Retimer(pace, ceil_seconds(now), anew=anew)
    rows = [
        _Row(row, known[row.credential_id], pace.openings(row.zone), pace.gap(row.enrollment_id))
        for row in open_enrollments
        if row.steps and row.credential_id in known
    ]
    rows.sort(key=lambda row: row.rank)
    retimer.reserve(rows)
    for key, lane in lanes.items():
        retimer.space([row for row in rows if key in {BATCH, row.credential} and retimer.is_spaced(row)], lane)
    return retimer.moved


def follow_on(open_enrollment: OpenEnrollment, position: int) -> OpenEnrollment:
    """The follow-ups from this position on stand at their delay after the step before, as if planned so at first.

    Nothing moves where the step at the position itself went out already.
    """
    steps, before = list[OpenStep](), open_enrollment.previous_sent_at
    moves = any(step.position == position for step in open_enrollment.steps)
    for step in open_enrollment.steps:
        at = step.planned_at
        if moves and before is not None and step.position >= max(position, 2):
            at = before + timedelta(seconds=step.delay_seconds)
        steps.append(replace(step, planned_at=at))
        before = at
    return replace(open_enrollment, steps=tuple(steps))


def differing(
    before: Sequence[OpenEnrollment], wanted: Sequence[OpenEnrollment], moved: Sequence[Retimed]
) -> list[Retimed]:
    """What has another time than before: as wanted, or where that could not be, as it was moved to."""
    times = {item.enrollment_id: dict(item.times) for item in moved}
    found = list[Retimed]()
    for was, now in zip(before, wanted, strict=True):
        ends = {step.position: step.planned_at for step in now.steps} | times.get(now.enrollment_id, {})
        changed = tuple((step.position, at) for step in was.steps if (at := ends[step.position]) != step.planned_at)
        if changed:
            found.append(Retimed(was.enrollment_id, changed))
    return found


def hand_over(open_enrollments: Sequence[OpenEnrollment], capacities: Sequence[Capacity]) -> list[OpenEnrollment]:
    """Each to the credential that has used, with what it is given here, the smallest share of its daily limit.

    Nobody where there is no capacity. Whose next step comes first chooses first.
    """
    given = {capacity.credential_id: sum(capacity.used.values()) for capacity in capacities}
    limits = {capacity.credential_id: capacity.daily_limit for capacity in capacities}
    found = list[OpenEnrollment]()
    if not given:
        return found
    order = sorted(open_enrollments, key=lambda item: (item.steps[0].planned_at, item.enrollment_id.bytes))
    for item in order:
        to = min(given, key=lambda one: (given[one] / limits[one], one.bytes))
        given[to] += len(item.steps)
        found.append(replace(item, credential_id=to, handed_over=True))
    return found


def timed(open_enrollments: Sequence[OpenEnrollment], moved: Sequence[Retimed]) -> list[Retimed]:
    """Every step of these, with the time that it was moved to or that it had."""
    times = {item.enrollment_id: dict(item.times) for item in moved}
    return [
        Retimed(
            item.enrollment_id,
            tuple(
                (step.position, times.get(item.enrollment_id, {}).get(step.position, step.planned_at))
                for step in item.steps
            ),
        )
        for item in open_enrollments
    ]


@dataclass(frozen=True, slots=True)
class _Row:
    open: OpenEnrollment
    credential: int
    hours: Openings
    gap: int

    @property
    def planned(self) -> int:
        return ceil_seconds(self.open.steps[0].planned_at)

    @property
    def earliest(self) -> int:
        """When the delay after the step that went out is over, or the batch may begin."""
        sent, begins = self.open.previous_sent_at, self.open.not_before
        if sent is not None:
            return ceil_seconds(sent) + self.open.steps[0].delay_seconds
        return 0 if begins is None else ceil_seconds(begins)

    @property
    def is_follow_up(self) -> bool:
        return self.open.steps[0].position > 1

    @property
    def rank(self) -> Rank:
        return not self.is_follow_up, self.planned, self.open.enrollment_id.bytes


Queue = deque[_Row]


def _rank(head: tuple[Rank, Queue]) -> Rank:
    return head[0]


class _Retimer:
    """One run of `retime`."""

    __slots__ = ("_anew", "_now", "_pace", "moved")

    def __init__(self, pace: Pace, now: int, *, anew: bool) -> None:
        self._pace = pace
        self._now = now
        self._anew = anew
        self.moved: list[Retimed] = []

    def is_spaced(self, row: _Row) -> bool:
        """Whether its next start is one of those that keep their distance: a first step, or an overdue one."""
        return not row.is_follow_up or row.planned < self._now

    def reserve(self, rows: Sequence[_Row]) -> None:
        """Count the follow-ups that stand, then move those whose earlier step went out late."""
        for row in rows:
            for step in row.open.steps[self.is_spaced(row) :]:
                self._count(row, ceil_seconds(step.planned_at), 1)
        for row in rows:
            if not self.is_spaced(row):
                self._follow(row, 0, row.earliest)

    def space(self, rows: Sequence[_Row], lane: Lane) -> None:
        """Give each next start its moment; `rows` are in order, one queue for each credential and set of hours."""
        queues: dict[tuple[int, Openings], Queue] = {}
        for row in rows:
            queues.setdefault((row.credential, row.hours), deque()).append(row)
        heads = sorted(((queue[0].rank, queue) for queue in queues.values()), key=_rank)
        caught_up: int | None = None  # no first step that stands may start before it

        def slot(queue: Queue) -> int:
            return self._slot(queue[0], lane, caught_up)

        while heads:
            index, at = first_ready(heads, slot, lane.after(self._pace.max_wait))
            _, queue = heads.pop(index)
            row = queue.popleft()
            lane.last = at if lane.last is None else max(at, lane.last)
            if at != row.planned:
                caught_up = at + self._pace.min_wait
            self._start(row, at)
            if queue:
                insort(heads, (queue[0].rank, queue), key=_rank)

    def _slot(self, row: _Row, lane: Lane, caught_up: int | None) -> int:
        if self._is_anew(row):
            wanted = max(lane.after(row.gap), row.earliest)
        elif row.planned >= max(self._now, row.earliest) and (caught_up is None or row.planned >= caught_up):
            wanted = row.planned
        else:
            wanted = max(lane.after(row.gap), row.earliest, row.planned)
        return self._pace.slot(row.credential, row.hours, wanted, follow_up=row.is_follow_up)

    def _is_anew(self, row: _Row) -> bool:
        return self._anew and not row.is_follow_up

    def _start(self, row: _Row, at: int) -> None:
        if self._pace.ledger.counts(row.credential, follow_up=row.is_follow_up):
            self._pace.ledger.take(row.credential, at // DAY)
        first, *rest = row.open.steps
        moves = [(first.position, moment(at))] if at != row.planned else []
        self._follow(row, 1, at + rest[0].delay_seconds if rest else 0, moves)

    def _follow(self, row: _Row, index: int, earliest: int, moves: Sequence[tuple[int, datetime]] = ()) -> None:
        """Move the steps from `index` on as far as they must, the first of them not before `earliest`."""
        times = list(moves)
        for number, step in enumerate(row.open.steps[index:], start=index):
            planned = ceil_seconds(step.planned_at)
            wanted = max(earliest, self._now, 0 if self._is_anew(row) else planned)
            at = planned
            if wanted != planned or row.hours.first(planned) != planned or row.open.handed_over:
                self._count(row, planned, -1)
                at = self._pace.follow_up(row.credential, row.hours, wanted, row.gap)
                times += [(step.position, moment(at))] if at != planned else []
            if number + 1 < len(row.open.steps):
                earliest = at + row.open.steps[number + 1].delay_seconds
        if times:
            self.moved.append(Retimed(row.open.enrollment_id, tuple(times)))

    def _count(self, row: _Row, at: int, by: int) -> None:
        """Count, or count no longer, a follow-up that stands; what lies behind us takes no room."""
        ledger = self._pace.ledger
        if at >= self._now and ledger.counts(row.credential, follow_up=True):
            (ledger.take if by > 0 else ledger.give_back)(row.credential, at // DAY)
