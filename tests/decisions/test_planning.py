"""A plan writes to everybody once, in order, in the window, behind the delays and under every daily limit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outrider.dispatcher.planning import Candidate, Capacity, Planned, PlanTooLong, Spacing, plan
from outrider.events.windows import Window

START = datetime(2026, 11, 23, 10, tzinfo=UTC)  # a Monday
FIRST, SECOND = UUID(int=1), UUID(int=2)
OFFICE = Window(frozenset(range(5)), time(9), time(17), "UTC")
CONTACT = Window(frozenset(range(5)), time(9), time(17), "contact")
DAY = 24 * 60


@dataclass(frozen=True)
class Dispatch:
    """The arguments of a plan; the defaults are one step, no window and a gap of exactly a minute."""

    candidates: Sequence[Candidate]
    capacities: Sequence[Capacity] = (Capacity(FIRST, 200, {}),)
    delays: Sequence[int] = (0,)
    min_wait: int = 60
    max_wait: int = 60
    spacing: Spacing = "batch"
    window: Window | None = None
    seed: int = 7
    start: datetime = START
    last_start: datetime | None = None
    last_start_of: Mapping[UUID, datetime] = field(default_factory=dict[UUID, datetime])

    def plan(self) -> list[Planned]:
        """What the planner answers."""
        return list(
            plan(
                self.candidates,
                self.capacities,
                delays=self.delays,
                min_wait=self.min_wait,
                max_wait=self.max_wait,
                spacing=self.spacing,
                window=self.window,
                seed=self.seed,
                start=self.start,
                last_start=self.last_start,
                last_start_of=self.last_start_of,
            )
        )


def people(count: int, zone: str | None = None) -> list[Candidate]:
    return [Candidate(UUID(int=1000 + n), priority=False, order=n, zone=zone) for n in range(count)]


def after(start: datetime, **span: int) -> datetime:
    return start + timedelta(**span)


def firsts(planned: Sequence[Planned]) -> list[datetime]:
    return [one.times[0] for one in planned]


def test_the_first_message_leaves_at_once_and_each_next_one_a_gap_later() -> None:
    assert firsts(Dispatch(people(3)).plan()) == [START, after(START, minutes=1), after(START, minutes=2)]


def test_gaps_are_drawn_between_the_waits_and_differ() -> None:
    low, high, enough = 120, 420, 30
    starts = firsts(Dispatch(people(50), min_wait=low, max_wait=high).plan())
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(starts)]
    assert all(low <= gap <= high for gap in gaps)
    assert len(set(gaps)) > enough
    assert starts != firsts(Dispatch(people(50), min_wait=120, max_wait=420, seed=8).plan())


def test_a_fraction_of_a_second_is_never_planned_nor_taken_from_the_start() -> None:
    start = after(START, microseconds=1)
    assert firsts(Dispatch(people(1), start=start).plan()) == [after(START, seconds=1)]


def test_priority_goes_first_and_then_the_order_of_enrolling() -> None:
    a, b, c = people(3)
    planned = Dispatch([c, b, replace(a, order=9), Candidate(UUID(int=5), priority=True, order=10)]).plan()
    assert [one.enrollment_id for one in planned] == [UUID(int=5), b.enrollment_id, c.enrollment_id, a.enrollment_id]


def test_delays_count_from_the_dispatch_and_then_from_step_to_step() -> None:
    (one,) = Dispatch(people(1), delays=[30, 3 * DAY, DAY]).plan()
    assert one.times == (after(START, minutes=30), after(START, days=3, minutes=30), after(START, days=4, minutes=30))


def test_a_batch_that_started_before_goes_on_behind_its_last_start() -> None:
    last = after(START, minutes=10)
    assert firsts(Dispatch(people(2), last_start=last).plan()) == [after(last, minutes=1), after(last, minutes=2)]
    assert firsts(Dispatch(people(1), last_start=after(START, hours=-1)).plan()) == [START]


def test_several_credentials_share_by_the_used_part_of_their_limits() -> None:
    capacities = [Capacity(FIRST, 10, {START.date(): 5}), Capacity(SECOND, 100, {})]
    planned = Dispatch(people(60), capacities, min_wait=0, max_wait=0).plan()
    assert [one.credential_id for one in planned[:50]] == [SECOND] * 50
    assert planned[50].credential_id == FIRST  # 50 of 100 is as much as 5 of 10, and it stands first
    assert planned[50].reason == "credential used 5 of 10 that day; 0 s after the start before"


def test_with_spacing_by_credential_each_keeps_its_own_gaps() -> None:
    capacities = [Capacity(FIRST, 100, {}), Capacity(SECOND, 100, {})]
    last = {SECOND: after(START, seconds=-20)}
    planned = Dispatch(people(4), capacities, spacing="credential", last_start_of=last).plan()
    starts = {
        credential: firsts([p for p in planned if p.credential_id == credential]) for credential in (FIRST, SECOND)
    }
    assert starts[FIRST] == [START, after(START, minutes=1)]
    assert starts[SECOND] == [after(START, seconds=40), after(START, seconds=100)]


def test_what_is_over_the_limit_rolls_to_the_next_day_inside_the_window() -> None:
    planned = Dispatch(people(3), [Capacity(FIRST, 2, {START.date(): 1})], window=OFFICE).plan()
    tuesday = datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert firsts(planned) == [START, tuesday, after(tuesday, minutes=1)]


def test_first_steps_leave_room_for_the_follow_ups_of_their_own_plan() -> None:
    planned = Dispatch(people(4), [Capacity(FIRST, 2, {})], delays=[0, DAY]).plan()
    days = [[time.date().day for time in one.times] for one in planned]
    assert days == [[23, 24], [23, 24], [25, 26], [25, 26]]


def test_follow_ups_that_fill_their_day_move_on_and_none_is_lost() -> None:
    planned = Dispatch(people(2), [Capacity(FIRST, 2, {date(2026, 11, 24): 2})], delays=[0, DAY]).plan()
    wednesday = datetime(2026, 11, 25, tzinfo=UTC)
    assert [one.times[1] for one in planned] == [wednesday, after(wednesday, minutes=1)]
    assert planned[0].reason.endswith("; step 2 waits 50400 s for the daily limit")


def test_exempt_follow_ups_take_no_room() -> None:
    capacity = Capacity(FIRST, 2, {}, follow_ups_exempt=True)
    planned = Dispatch(people(4), [capacity], delays=[0, DAY]).plan()
    days = [[time.date().day for time in one.times] for one in planned]
    assert days == [[23, 24], [23, 24], [24, 25], [24, 25]]


def test_a_weekend_of_follow_ups_does_not_burst_on_monday() -> None:
    friday = datetime(2026, 11, 27, 10, tzinfo=UTC)
    planned = Dispatch(people(3), delays=[0, DAY], window=OFFICE, start=friday).plan()
    monday = datetime(2026, 11, 30, 9, tzinfo=UTC)
    assert [one.times[1] for one in planned] == [after(monday, minutes=n) for n in range(3)]
    assert (
        planned[0].reason == "credential used 0 of 200 that day; first to start; step 2 waits 169200 s for the window"
    )


def test_a_step_keeps_its_delay_behind_a_step_that_the_window_moved() -> None:
    friday = datetime(2026, 11, 27, 10, tzinfo=UTC)
    (one,) = Dispatch(people(1), delays=[0, DAY, DAY], window=OFFICE, start=friday).plan()
    assert one.times == (friday, datetime(2026, 11, 30, 9, tzinfo=UTC), datetime(2026, 12, 1, 9, tzinfo=UTC))


def test_who_sleeps_holds_up_nobody() -> None:
    tokyo, berlin = people(2, "Asia/Tokyo"), [replace(p, order=p.order + 10) for p in people(4, "Europe/Berlin")[2:]]
    planned = Dispatch([*tokyo, *berlin], window=CONTACT).plan()
    tuesday = datetime(2026, 11, 24, 0, tzinfo=UTC)  # 09:00 in Tokyo
    assert [one.enrollment_id for one in planned] == [p.enrollment_id for p in [*berlin, *tokyo]]
    assert firsts(planned) == [START, after(START, minutes=1), tuesday, after(tuesday, minutes=1)]


def test_a_plan_of_more_than_a_year_is_too_long() -> None:
    one_a_day = [Capacity(FIRST, 1, {})]
    assert firsts(Dispatch(people(366), one_a_day).plan())[-1] == datetime(2027, 11, 23, tzinfo=UTC)
    with pytest.raises(PlanTooLong):
        Dispatch(people(368), one_a_day).plan()
    with pytest.raises(PlanTooLong):
        Dispatch(people(1), delays=[0, 365 * DAY, 2 * DAY]).plan()
    with pytest.raises(PlanTooLong):
        Dispatch(people(368), one_a_day, spacing="credential").plan()


def test_a_plan_without_credentials_or_limits_is_a_fault() -> None:
    with pytest.raises(ValueError, match="needs a credential"):
        Dispatch(people(1), []).plan()
    with pytest.raises(ValueError, match="at least 1"):
        Dispatch(people(1), [Capacity(FIRST, 0, {})]).plan()
    assert Dispatch([]).plan() == []


ZONES = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", None]
WINDOWS = st.builds(
    Window,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.sampled_from([time(6), time(9)]),
    st.sampled_from([time(11, 30), time(17), time(22)]),
    st.sampled_from(["contact", "Europe/Berlin", "Australia/Lord_Howe"]),
)


@st.composite
def dispatches(draw: st.DrawFn) -> Dispatch:
    low, span = draw(st.sampled_from([(0, 0), (0, 900), (120, 300), (3600, 7200)]))
    capacities = [
        Capacity(
            UUID(int=n),
            draw(st.integers(2, 6)),
            {START.date() + timedelta(days=d): draw(st.integers(0, 8)) for d in range(4)},
            draw(st.booleans()),
        )
        for n in range(draw(st.integers(1, 3)))
    ]
    candidates = [
        Candidate(UUID(int=1000 + n), draw(st.booleans()), n, draw(st.sampled_from(ZONES)))
        for n in range(draw(st.integers(1, 25)))
    ]
    return Dispatch(
        candidates,
        capacities,
        delays=draw(st.lists(st.sampled_from([0, 45, DAY, 3 * DAY]), min_size=1, max_size=3)),
        min_wait=low,
        max_wait=low + span,
        spacing=draw(st.sampled_from(["batch", "credential"])),
        window=draw(st.none() | WINDOWS),
        seed=draw(st.integers(-(2**70), 2**70)),
        start=START + timedelta(seconds=draw(st.integers(0, 86_400))),
    )


def loads(dispatch: Dispatch, planned: Sequence[Planned]) -> dict[UUID, Counter[date]]:
    """What the plan adds to each credential's days, as its limit counts it."""
    exempt = {capacity.credential_id: capacity.follow_ups_exempt for capacity in dispatch.capacities}
    found = {credential: Counter[date]() for credential in exempt}
    for one in planned:
        counted = one.times[:1] if exempt[one.credential_id] else one.times
        found[one.credential_id].update(at.date() for at in counted)
    return found


def check(dispatch: Dispatch, planned: Sequence[Planned]) -> None:
    """Every limit, window, delay and gap holds."""
    assert sorted(one.enrollment_id for one in planned) == sorted(c.enrollment_id for c in dispatch.candidates)
    zones = {c.enrollment_id: c.zone for c in dispatch.candidates}
    for one in planned:
        assert one.times[0] >= dispatch.start + timedelta(minutes=dispatch.delays[0])
        for (earlier, later), delay in zip(pairwise(one.times), dispatch.delays[1:], strict=True):
            assert later - earlier >= timedelta(minutes=delay)
        for at in one.times:
            assert at.tzinfo is UTC
            assert at.microsecond == 0
            if (window := dispatch.window) is not None:
                zone = zones[one.enrollment_id] or "UTC" if window.zone == "contact" else window.zone
                local = at.astimezone(ZoneInfo(zone))
                assert local.weekday() in window.days
                assert window.start <= local.time() < window.end
    for capacity in dispatch.capacities:
        for day, load in loads(dispatch, planned)[capacity.credential_id].items():
            assert load + capacity.used.get(day, 0) <= capacity.daily_limit
    lanes: dict[object, list[datetime]] = {}
    for one in planned:
        lanes.setdefault(dispatch.spacing == "batch" or one.credential_id, []).append(one.times[0])
    for lane in lanes.values():
        assert all(later - earlier >= timedelta(seconds=dispatch.min_wait) for earlier, later in pairwise(sorted(lane)))


def rest_of(dispatch: Dispatch, done: Sequence[Planned]) -> Dispatch:
    """The dispatch as it stands once a part of its plan is written."""
    added, ids = loads(dispatch, done), {one.enrollment_id for one in done}
    last_of: dict[UUID, datetime] = {}
    for one in done:
        last_of[one.credential_id] = max(one.times[0], last_of.get(one.credential_id, one.times[0]))
    return replace(
        dispatch,
        candidates=[c for c in dispatch.candidates if c.enrollment_id not in ids],
        capacities=[replace(c, used=added[c.credential_id] + Counter(c.used)) for c in dispatch.capacities],
        last_start=max(firsts(done), default=None),
        last_start_of=last_of,
    )


@settings(max_examples=45, deadline=None)
@given(dispatches(), st.integers(0, 25))
def test_never_over_the_limit_outside_the_window_or_before_the_delay(dispatch: Dispatch, cut: int) -> None:
    planned = dispatch.plan()
    check(dispatch, planned)
    assert planned == dispatch.plan()
    assert planned == replace(dispatch, candidates=list(reversed(dispatch.candidates))).plan()
    resumed = [*planned[:cut], *rest_of(dispatch, planned[:cut]).plan()]
    check(dispatch, resumed)
    if len(dispatch.delays) == 1:  # spread follow-ups may fall otherwise in a second run
        assert [(p.enrollment_id, p.credential_id, p.times) for p in resumed] == [
            (p.enrollment_id, p.credential_id, p.times) for p in planned
        ]
