"""A send window opens once on each of its local days, also where the clock is changed."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outrider.events.windows import Window, is_open, next_close, next_open

EVERY_DAY = frozenset(range(7))
WEEKDAYS = frozenset(range(5))
OFFICE = Window(WEEKDAYS, time(9), time(17), "Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-11-23 07:59:59", "2026-11-23 08:00"),  # before the start: 09:00 in Berlin is 08:00 UTC in winter
        ("2026-11-23 08:00", "2026-11-23 08:00"),  # the start is inside
        ("2026-11-23 12:34:56", "2026-11-23 12:34:56"),
        ("2026-11-23 15:59:59", "2026-11-23 15:59:59"),
        ("2026-11-23 16:00", "2026-11-24 08:00"),  # the end is outside
        ("2026-11-27 16:00", "2026-11-30 08:00"),  # over the weekend
        ("2026-07-06 06:00", "2026-07-06 07:00"),  # 09:00 in Berlin is 07:00 UTC in summer
    ],
)
def test_the_next_opening_of_office_hours(at: str, opens: str) -> None:
    assert next_open(OFFICE, None, utc(at)) == utc(opens)
    assert is_open(OFFICE, None, utc(at)) == (at == opens)


@pytest.mark.parametrize(
    ("zone", "at", "closes"),
    [
        ("Europe/Berlin", "2026-11-23 08:00", "2026-11-23 16:00"),
        ("Europe/Berlin", "2026-11-23 15:59:59", "2026-11-23 16:00"),
        ("Europe/Berlin", "2026-11-23 16:00", None),
        ("Europe/Berlin", "2026-11-28 12:00", None),  # a Saturday
        ("Pacific/Kiritimati", "2026-11-22 20:00", "2026-11-23 03:00"),  # there it is Monday already
        ("Pacific/Pago_Pago", "2026-11-28 03:00", "2026-11-28 04:00"),  # and there still Friday
    ],
)
def test_an_open_window_closes_at_its_end(zone: str, at: str, closes: str | None) -> None:
    found = next_close(Window(WEEKDAYS, time(9), time(17), "contact"), zone, utc(at))
    assert found == (None if closes is None else utc(closes))


def test_without_a_window_every_moment_is_open() -> None:
    assert next_close(None, None, utc("2026-11-28 03:00")) is None
    assert next_open(None, "Europe/Berlin", utc("2026-11-28 03:00")) == utc("2026-11-28 03:00")


def test_a_contact_window_follows_the_zone_of_the_contact() -> None:
    window = Window(WEEKDAYS, time(9), time(17), "contact")
    monday = utc("2026-11-23 00:00")
    assert next_open(window, "America/New_York", monday) == utc("2026-11-23 14:00")
    assert next_open(window, "Pacific/Kiritimati", monday) == monday  # there it is 14:00 on Monday
    assert next_open(window, "Pacific/Kiritimati", utc("2026-11-22 12:00")) == utc("2026-11-22 19:00")


@pytest.mark.parametrize("zone", [None, "", "Mars/Olympus", "America", "../etc/passwd"])
def test_a_contact_without_a_known_zone_counts_as_utc(zone: str | None) -> None:
    window = Window(EVERY_DAY, time(9), time(17), "contact")
    assert next_open(window, zone, utc("2026-11-23 00:00")) == utc("2026-11-23 09:00")


def test_a_campaign_zone_that_does_not_exist_is_never_read_as_utc() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        next_open(Window(EVERY_DAY, time(9), time(17), "Mars/Olympus"), None, utc("2026-11-23 00:00"))


@pytest.mark.parametrize(
    ("days", "start", "end"),
    [(EVERY_DAY, time(9), time(9)), (EVERY_DAY, time(17), time(9)), (frozenset[int](), time(9), time(17))],
)
def test_a_window_that_never_opens_cannot_be_made(days: frozenset[int], start: time, end: time) -> None:
    with pytest.raises(ValueError, match="at least one day"):
        Window(days, start, end, "UTC")


# Each row: the zone, the local day of a change, the window, and the span of that day in UTC.
CHANGES = [
    # Berlin 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.
    ("Europe/Berlin", "2026-03-29", "09:00", "17:00", "2026-03-29 07:00", "2026-03-29 15:00"),
    ("Europe/Berlin", "2026-03-29", "01:00", "02:30", "2026-03-29 00:00", "2026-03-29 01:00"),
    ("Europe/Berlin", "2026-03-29", "02:30", "04:00", "2026-03-29 01:00", "2026-03-29 02:00"),
    ("Europe/Berlin", "2026-03-29", "02:15", "02:45", "2026-03-29 01:15", "2026-03-29 01:45"),  # missing: not skipped
    ("Europe/Berlin", "2026-03-29", "02:30", "03:00", "2026-03-29 01:30", "2026-03-29 02:00"),
    # Berlin 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.
    ("Europe/Berlin", "2026-10-25", "09:00", "17:00", "2026-10-25 08:00", "2026-10-25 16:00"),
    ("Europe/Berlin", "2026-10-25", "01:00", "02:30", "2026-10-24 23:00", "2026-10-25 00:30"),
    ("Europe/Berlin", "2026-10-25", "02:30", "04:00", "2026-10-25 01:30", "2026-10-25 03:00"),
    ("Europe/Berlin", "2026-10-25", "02:15", "02:45", "2026-10-25 00:15", "2026-10-25 00:45"),  # repeated: once
    ("Europe/Berlin", "2026-10-25", "00:00", "23:59", "2026-10-24 22:00", "2026-10-25 22:59"),
    # New York 2026-03-08: 02:00 becomes 03:00 at 07:00 UTC; 2026-11-01: 02:00 becomes 01:00 at 06:00 UTC.
    ("America/New_York", "2026-03-08", "09:00", "17:00", "2026-03-08 13:00", "2026-03-08 21:00"),
    ("America/New_York", "2026-03-08", "02:15", "02:45", "2026-03-08 07:15", "2026-03-08 07:45"),
    ("America/New_York", "2026-03-08", "01:30", "02:30", "2026-03-08 06:30", "2026-03-08 07:00"),
    ("America/New_York", "2026-11-01", "01:15", "01:45", "2026-11-01 05:15", "2026-11-01 05:45"),
    ("America/New_York", "2026-11-01", "00:30", "01:30", "2026-11-01 04:30", "2026-11-01 05:30"),
    ("America/New_York", "2026-11-01", "01:30", "02:30", "2026-11-01 06:30", "2026-11-01 07:30"),
    # Lord Howe moves by half an hour: 2026-10-04 02:00 becomes 02:30 at 15:30 UTC of the 3rd,
    # 2026-04-05 02:00 becomes 01:30 at 15:00 UTC of the 4th.
    ("Australia/Lord_Howe", "2026-10-04", "09:00", "17:00", "2026-10-03 22:00", "2026-10-04 06:00"),
    ("Australia/Lord_Howe", "2026-10-04", "02:10", "03:00", "2026-10-03 15:30", "2026-10-03 16:00"),
    ("Australia/Lord_Howe", "2026-10-04", "02:05", "02:25", "2026-10-03 15:35", "2026-10-03 15:55"),
    ("Australia/Lord_Howe", "2026-04-05", "09:00", "17:00", "2026-04-04 22:30", "2026-04-05 06:30"),
    ("Australia/Lord_Howe", "2026-04-05", "01:35", "01:55", "2026-04-04 14:35", "2026-04-04 14:55"),
    ("Australia/Lord_Howe", "2026-04-05", "01:45", "02:15", "2026-04-04 15:15", "2026-04-04 15:45"),
]


@pytest.mark.parametrize(("zone", "day", "start", "end", "opens", "closes"), CHANGES)
def test_the_one_span_of_a_day_on_which_the_clock_is_changed(  # noqa: PLR0917, PLR0913  # a table of six columns
    zone: str, day: str, start: str, end: str, opens: str, closes: str
) -> None:
    weekday = date.fromisoformat(day).weekday()
    window = Window(frozenset({weekday}), time.fromisoformat(start), time.fromisoformat(end), zone)
    before, last = utc(opens) - timedelta(days=3), utc(closes) - timedelta(seconds=1)
    assert next_open(window, None, before) == utc(opens)
    assert next_open(window, None, last) == last
    assert next_open(window, None, utc(closes)) >= utc(opens) + timedelta(days=6)


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata"]),
    at=st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # has no zone by contract
    days=st.frozensets(st.integers(0, 6), min_size=1),
    hours=st.lists(st.integers(4, 22), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_the_next_opening_is_the_first_open_moment(
    zone: str, at: datetime, days: frozenset[int], hours: list[int]
) -> None:
    window = Window(days, time(hours[0]), time(hours[1]), zone)
    opens = next_open(window, None, at)
    local = opens.astimezone(ZoneInfo(zone))
    assert opens >= at
    assert local.weekday() in days
    assert window.start <= local.time() < window.end
    if opens != at:
        assert (local.time(), local.second) == (window.start, 0)
        assert not is_open(window, None, opens - timedelta(seconds=1))
        assert opens - at < timedelta(days=7)
    assert next_open(window, None, opens) == opens
