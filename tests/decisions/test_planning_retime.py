"""After a pause or a delay only what must move moves: spaced, in order, in the window and under every limit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from outrider.dispatcher.planning import (
    Candidate,
    Capacity,
    OpenEnrollment,
    OpenStep,
    Planned,
    Retimed,
    Spacing,
    differing,
    follow_on,
    hand_over,
    plan,
    retime,
    timed,
)
from outrider.events.windows import Window

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
FIRST, SECOND = UUID(int=1), UUID(int=2)
OFFICE = Window(frozenset(range(5)), time(9), time(17), "UTC")
DAY = 86_400

Times = dict[UUID, tuple[tuple[int, datetime], ...]]


@dataclass(frozen=True)
class Resume:
    """The arguments of a re-timing; the defaults are no window and a gap of exactly a minute."""

    rows: Sequence[OpenEnrollment]
    capacities: Sequence[Capacity] = (Capacity(FIRST, 200, {}), Capacity(SECOND, 200, {}))
    min_wait: int = 60
    max_wait: int = 60
    spacing: Spacing = "batch"
    window: Window | None = None
    seed: int = 7
    now: datetime = NOW
    last_start: datetime | None = None
    last_start_of: Mapping[UUID, datetime] | None = None
    anew: bool = False

    def retime(self) -> list[Retimed]:
        """What the planner answers."""
        return retime(
            self.rows,
            self.capacities,
            min_wait=self.min_wait,
            max_wait=self.max_wait,
            spacing=self.spacing,
            window=self.window,
            seed=self.seed,
            now=self.now,
            last_start=self.last_start,
            last_start_of=self.last_start_of,
            anew=self.anew,
        )

    def times(self) -> Times:
        """The same by enrollment."""
        return {one.enrollment_id: one.times for one in self.retime()}


def at(**span: int) -> datetime:
    return NOW + timedelta(**span)


def row(number: int, *steps: OpenStep, credential: UUID = FIRST, sent: datetime | None = None) -> OpenEnrollment:
    return OpenEnrollment(UUID(int=1000 + number), credential, None, steps, sent)


def first(planned_at: datetime) -> OpenStep:
    return OpenStep(1, planned_at, 0)


def second(planned_at: datetime, delay: int = DAY) -> OpenStep:
    return OpenStep(2, planned_at, delay)


def third(planned_at: datetime, delay: int = DAY) -> OpenStep:
    return OpenStep(3, planned_at, delay)


def test_what_is_overdue_starts_again_from_now_in_its_old_order() -> None:
    rows = [row(1, first(at(hours=-1))), row(2, first(at(hours=-3))), row(3, first(at(hours=-2)))]
    assert Resume(rows).retime() == [
        Retimed(rows[1].enrollment_id, ((1, NOW),)),
        Retimed(rows[2].enrollment_id, ((1, at(minutes=1)),)),
        Retimed(rows[0].enrollment_id, ((1, at(minutes=2)),)),
    ]


def test_what_is_not_overdue_stays() -> None:
    late, due = (
        row(1, first(at(hours=-1)), second(at(days=2))),
        row(2, first(at(minutes=1)), second(at(days=1, minutes=1))),
    )
    waiting = row(3, second(at(seconds=1)), sent=at(days=-1))
    assert Resume([late, due, waiting]).times() == {late.enrollment_id: ((1, NOW),)}


def test_other_waits_space_first_steps_anew_and_their_follow_ups_behind_them() -> None:
    begins = at(minutes=10)
    rows = [
        replace(row(n, first(at(minutes=10 + 5 * n)), second(at(days=1, minutes=10 + 5 * n))), not_before=begins)
        for n in range(3)
    ]
    told = row(9, second(at(hours=1)), sent=at(days=-1))
    assert Resume([*rows, told], anew=True).times() == {
        rows[n].enrollment_id: ((1, at(minutes=10 + n)), (2, at(days=1, minutes=10 + n))) for n in (1, 2)
    }
    assert Resume([*rows, told]).times() == {}


def test_a_later_step_moves_as_far_as_its_delay_behind_the_moved_one() -> None:
    late = row(1, first(at(days=-3)), second(at(days=-2)), third(at(days=2)))
    assert Resume([late]).times() == {late.enrollment_id: ((1, NOW), (2, at(days=1)))}


def test_first_steps_that_were_caught_up_with_go_on_behind() -> None:
    rows = [row(n, first(at(seconds=30 * n - 60))) for n in range(4)]  # two are overdue, one is due now, one in 30 s
    free = row(9, first(at(minutes=9)))
    assert [times[0][1] for times in Resume([*rows, free]).times().values()] == [at(minutes=n) for n in range(4)]


def test_overdue_follow_ups_go_before_new_first_steps() -> None:
    new, old = row(1, first(at(hours=-2))), row(2, second(at(hours=-1)), sent=at(days=-1, hours=-1))
    tomorrow = datetime(2026, 11, 26, tzinfo=UTC)
    assert Resume([new, old], [Capacity(FIRST, 1, {})]).times() == {
        old.enrollment_id: ((2, NOW),),
        new.enrollment_id: ((1, tomorrow),),
    }


def test_a_full_credential_holds_up_no_other() -> None:
    full, free = row(1, first(at(hours=-2))), row(2, first(at(hours=-1)), credential=SECOND)
    capacities = [Capacity(FIRST, 1, {NOW.date(): 1}), Capacity(SECOND, 1, {})]
    assert Resume([full, free], capacities).times() == {
        free.enrollment_id: ((1, NOW),),
        full.enrollment_id: ((1, datetime(2026, 11, 26, tzinfo=UTC)),),
    }


def test_with_spacing_by_credential_each_starts_again_for_itself() -> None:
    rows = [row(n, first(at(minutes=n - 10)), credential=(FIRST, SECOND)[n % 2]) for n in range(4)]
    times = Resume(rows, spacing="credential", last_start_of={SECOND: at(seconds=-20)}).times()
    assert [times[one.enrollment_id][0][1] for one in rows] == [NOW, at(seconds=40), at(minutes=1), at(seconds=100)]


def test_a_chunk_goes_on_behind_the_last_start_of_the_one_before() -> None:
    one = row(1, first(at(hours=-1)))
    assert Resume([one], last_start=at(minutes=5)).times() == {one.enrollment_id: ((1, at(minutes=6)),)}


def test_resuming_on_a_weekend_waits_for_the_window() -> None:
    saturday, monday = datetime(2026, 11, 28, 12, tzinfo=UTC), datetime(2026, 11, 30, 9, tzinfo=UTC)
    rows = [row(n, first(at(minutes=n))) for n in range(3)]
    times = Resume(rows, window=OFFICE, now=saturday).times()
    assert [times[one.enrollment_id][0][1] for one in rows] == [monday + timedelta(minutes=n) for n in range(3)]


def test_a_new_window_moves_what_it_leaves_outside_and_nothing_else() -> None:
    early, inside = row(1, second(at(hours=20)), sent=at(days=-1)), row(2, second(at(hours=22)), sent=at(days=-1))
    opens = datetime(2026, 11, 26, 9, tzinfo=UTC)
    assert Resume([early, inside], window=OFFICE).times() == {early.enrollment_id: ((2, opens),)}


def test_a_step_that_went_out_late_takes_the_later_ones_with_it() -> None:
    late = row(1, second(at(hours=1)), third(at(hours=1, days=1)), sent=at(hours=-2))
    assert Resume([late]).times() == {late.enrollment_id: ((2, at(hours=22)), (3, at(hours=46)))}


def test_a_step_that_went_out_in_time_moves_nothing() -> None:
    assert Resume([row(1, second(at(hours=22)), third(at(hours=46)), sent=at(hours=-2))]).retime() == []


def test_an_enrollment_of_a_credential_without_capacity_is_left_alone() -> None:
    assert Resume([row(1, first(at(hours=-1)), credential=UUID(int=9)), row(2)]).retime() == []


ZONES = ["Europe/Berlin", "America/New_York", None]
START = NOW - timedelta(days=2)


def open_rows(
    planned: Sequence[Planned], delays: Sequence[int], zones: Mapping[UUID, str | None]
) -> list[OpenEnrollment]:
    return [
        OpenEnrollment(
            one.enrollment_id,
            one.credential_id,
            zones[one.enrollment_id],
            tuple(OpenStep(k, when, delays[k - 1] * 60) for k, when in enumerate(one.times, start=1)),
        )
        for one in planned
    ]


@st.composite
def resumes(draw: st.DrawFn) -> Resume:
    """A planned dispatch, stopped at some moment with some of it sent (some of that late), resumed later."""
    wait = draw(st.sampled_from([0, 120, 3600]))
    window = draw(st.sampled_from([None, OFFICE, replace(OFFICE, zone="contact")]))
    spacing = draw(st.sampled_from(list[Spacing](("batch", "credential"))))
    exempt = draw(st.booleans())
    capacities = [Capacity(UUID(int=n), draw(st.integers(1, 6)), {}, exempt) for n in range(draw(st.integers(1, 3)))]
    zones = {UUID(int=1000 + n): draw(st.sampled_from(ZONES)) for n in range(draw(st.integers(1, 20)))}
    delays = draw(st.lists(st.sampled_from([0, 45, 1440, 4320]), min_size=1, max_size=3))
    planned = list(
        plan(
            [Candidate(one, False, n, zone) for n, (one, zone) in enumerate(zones.items())],  # noqa: FBT003  # no priority
            capacities,
            delays=delays,
            min_wait=wait,
            max_wait=2 * wait,
            spacing=spacing,
            window=window,
            seed=7,
            start=START,
        )
    )
    stopped = START + timedelta(hours=draw(st.integers(0, 100)))
    rows: list[OpenEnrollment] = []
    for one in open_rows(planned, delays, zones):
        sent = [step.planned_at for step in one.steps if step.planned_at < stopped]
        late = timedelta(seconds=draw(st.sampled_from([0, 0, 7, 7200])))
        rows.append(replace(one, steps=one.steps[len(sent) :], previous_sent_at=sent[-1] + late if sent else None))
    now = stopped + timedelta(hours=draw(st.integers(0, 60)))
    if anew := draw(st.booleans()):
        wait = draw(st.sampled_from([0, 60, 7200]))
        begins = min(
            (one.steps[0].planned_at for one in rows if one.steps and one.steps[0].position == 1), default=None
        )
        rows = [replace(one, not_before=begins) for one in rows]
    return Resume(rows, capacities, wait, 2 * wait, spacing, window, 7, now, anew=anew)


def settled(resume: Resume, times: Times) -> list[OpenEnrollment]:
    """The rows with their new times."""
    rows: list[OpenEnrollment] = []
    for one in resume.rows:
        new = dict(times.get(one.enrollment_id, ()))
        steps = tuple(replace(step, planned_at=new.get(step.position, step.planned_at)) for step in one.steps)
        rows.append(replace(one, steps=steps))
    return rows


def check_row(resume: Resume, one: OpenEnrollment) -> None:
    """No step of it is overdue, too near to the former one, or outside the window."""
    earlier = one.previous_sent_at
    for step in one.steps:
        assert step.planned_at >= resume.now
        assert earlier is None or step.planned_at >= earlier + timedelta(seconds=step.delay_seconds)
        earlier = step.planned_at
        if (window := resume.window) is not None:
            zone = one.zone or "UTC" if window.zone == "contact" else window.zone
            local = step.planned_at.astimezone(ZoneInfo(zone))
            assert local.weekday() in window.days
            assert window.start <= local.time() < window.end


@settings(max_examples=45, deadline=None)
@given(resumes())
def test_after_a_resume_every_rule_holds_again(resume: Resume) -> None:
    times = resume.times()
    after = settled(resume, times)
    for one in after:
        check_row(resume, one)
    for capacity in resume.capacities:
        load = Counter[date](
            step.planned_at.date()
            for one in after
            if one.credential_id == capacity.credential_id
            for step in one.steps
            if step.position == 1 or not capacity.follow_ups_exempt
        )
        assert max(load.values(), default=0) <= capacity.daily_limit
    overdue = {one.enrollment_id for one in resume.rows if one.steps and one.steps[0].planned_at < resume.now}
    lanes: dict[object, list[datetime]] = {}
    for one in after:
        if one.steps and (one.steps[0].position == 1 or one.enrollment_id in overdue):
            lanes.setdefault(resume.spacing == "batch" or one.credential_id, []).append(one.steps[0].planned_at)
    for lane in lanes.values():
        gaps = [later - earlier for earlier, later in pairwise(sorted(lane))]
        assert all(gap >= timedelta(seconds=resume.min_wait) for gap in gaps)
    assert resume.anew or replace(resume, rows=after).retime() == []
    assert times == replace(resume, rows=list(reversed(resume.rows))).times()


def after(minutes: int) -> datetime:
    """So long after now."""
    return NOW + timedelta(minutes=minutes)


def three(*, sent: int | None = None) -> OpenEnrollment:
    """Three steps planned ten minutes apart; the delays of the later two are 30 and 5 minutes now."""
    steps = tuple(OpenStep(position, after(10 * position), delay) for position, delay in ((1, 0), (2, 1800), (3, 300)))
    previous = None if sent is None else after(10 * sent)
    return OpenEnrollment(FIRST, FIRST, None, steps[sent or 0 :], previous)


def test_follow_ups_stand_at_their_delay_after_the_step_before() -> None:
    times = [step.planned_at for step in follow_on(three(), 2).steps]
    assert times == [after(10), after(40), after(45)]
    assert [step.planned_at for step in follow_on(three(sent=1), 2).steps] == [after(40), after(45)]
    assert [step.planned_at for step in follow_on(three(), 3).steps] == [after(10), after(20), after(25)]
    assert follow_on(three(sent=2), 2) == three(sent=2), "the step itself is sent: those behind it stay"


def test_following_on_twice_is_following_on_once() -> None:
    once = follow_on(three(), 2)
    assert follow_on(once, 2) == once
    assert differing([once], [follow_on(once, 2)], []) == []


def test_what_differs_is_named_with_its_last_time() -> None:
    wanted = follow_on(three(), 2)
    moved = Retimed(FIRST, ((3, after(60)),))
    assert differing([three()], [wanted], [moved]) == [Retimed(FIRST, ((2, after(40)), (3, after(60))))]
    back = Retimed(FIRST, ((2, after(20)), (3, after(30))))
    assert differing([three()], [wanted], [back]) == []


@settings(max_examples=50)
@given(
    people=st.integers(1, 12),
    limits=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    days=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    begun=st.booleans(),
)
def test_what_is_handed_over_fits_the_days_of_those_that_take_it(
    people: int,
    limits: list[int],
    days: list[int],
    begun: bool,  # noqa: FBT001  # whether step 1 went out
) -> None:
    """Nobody is left out, no limit is passed, no step comes before its delay."""
    gone = UUID(int=99)
    capacities = [Capacity(UUID(int=n), limit, {NOW.date(): 1}) for n, limit in enumerate(limits, 1)]
    first = 2 if begun else 1
    steps = [OpenStep(first + n, at(days=sum(days[: n + 1]), minutes=5), day * DAY) for n, day in enumerate(days)]
    rows = [row(n, *steps, credential=gone, sent=at(days=-1) if begun else None) for n in range(people)]
    taken = hand_over(rows, capacities)
    assert {item.enrollment_id for item in taken} == {item.enrollment_id for item in rows}
    moved = timed(taken, Resume(taken, capacities).retime())
    used = Counter({(one.credential_id, NOW.date()): 1 for one in capacities})
    by = {item.enrollment_id: item.credential_id for item in taken}
    for item in moved:
        assert [position for position, _ in item.times] == [step.position for step in steps]
        for (_, before), (position, after) in pairwise(item.times):
            assert (after - before).total_seconds() >= steps[position - first].delay_seconds
        used.update((by[item.enrollment_id], moment.date()) for _, moment in item.times)
    assert all(count <= limits[credential.int - 1] for (credential, _), count in used.items())


def test_nobody_is_handed_to_nobody() -> None:
    assert hand_over([row(1, OpenStep(1, NOW, 0))], []) == []


def test_whoever_has_used_the_smallest_share_takes_the_next_one() -> None:
    rows = [row(n, OpenStep(1, at(minutes=n), 0), credential=UUID(int=99)) for n in range(4)]
    taken = hand_over(rows, [Capacity(FIRST, 10, {}), Capacity(SECOND, 30, {})])
    assert [item.credential_id for item in taken] == [FIRST, SECOND, SECOND, SECOND]
