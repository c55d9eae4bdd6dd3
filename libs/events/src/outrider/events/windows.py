"""When a campaign may send: the days and hours of its window, in a zone of the IANA database.

A window gives every allowed local day exactly one span, from the moment the clock shows `start` to the moment it shows
`end` (the end is outside), and all of its moments show a local time between the two:

* Where the clock is set back, a `start` in the repeated part means its last showing and an `end` its first. A window
  that lies whole in the repeated part is open at the first showing only: nothing is doubled.
* Where the clock is set forward, a `start` or `end` that is not shown means the moment of the change. A window that
  lies whole in the missing part is open as long as always, by the clock as it was before: nothing is skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from outrider.events.campaign import SendWindow

DAY: Final = 86_400
"""Seconds of a UTC day."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL: Final = EPOCH.toordinal()
CONTACT: Final = "contact"
"""The `zone` of a window that follows each contact's own zone."""

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_SECOND: Final = timedelta(seconds=1)
_BEFORE_UTC: Final = 2  # no zone's date is further behind, the span of a day in which the clock changed included


@dataclass(frozen=True, slots=True)
class Window:
    """The local days (0 is Monday) and hours in which messages may start; one that never opens raises ValueError."""

    days: frozenset[int]
    start: time
    end: time
    zone: str

    def __post_init__(self) -> None:
        """Leave no window that a search would never leave."""
        if not self.start < self.end or not self.days & frozenset(range(7)):
            raise ValueError("a window needs a start before its end and at least one day from 0 to 6")


def window_of(given: SendWindow | None) -> Window | None:
    """The campaign's window as it is worked out here."""
    if given is None:
        return None
    days = frozenset(DAYS.index(day) for day in given.days)
    return Window(days, time.fromisoformat(given.start), time.fromisoformat(given.end), given.timezone)


class Openings:
    """The spans in which one window is open in one zone, in whole seconds since 1970; each day is worked out once."""

    __slots__ = ("_known", "_spans", "_window", "_zone")

    def __init__(self, window: Window | None, zone: ZoneInfo) -> None:
        """Without a window every moment is open."""
        self._window = window
        self._zone = zone
        self._spans: dict[int, tuple[int, int] | None] = {}
        # Closed from the first, open from the second to the third; one tuple, so that no thread sees half of a change.
        self._known = (0, 0, 0)

    def first(self, at: int) -> int:
        """The first open second that is not before `at`."""
        if self._window is None:
            return at
        closed, opens, closes = self._known
        if opens <= at < closes:
            return at
        if closed <= at < opens:
            return opens
        day = at // DAY - _BEFORE_UTC
        while (span := self._span(self._window, day)) is None or span[1] <= at:
            day += 1
        self._known = (min(at, span[0]), *span)
        return max(at, span[0])

    def closes(self, at: int) -> int | None:
        """The first closed second after `at`; None without a window, or where `at` is closed itself."""
        if self._window is None:
            return None
        spans = (self._span(self._window, day) for day in range(at // DAY - _BEFORE_UTC, at // DAY + _BEFORE_UTC))
        return next((span[1] for span in spans if span is not None and span[0] <= at < span[1]), None)

    def _span(self, window: Window, day: int) -> tuple[int, int] | None:
        if day not in self._spans:
            local = date.fromordinal(EPOCH_ORDINAL + day)
            self._spans[day] = _span_of(window, self._zone, local) if local.weekday() in window.days else None
        return self._spans[day]


def openings(window: Window | None, zone: str | None) -> Openings:
    """The spans of `window`, for a contact in `zone` where the window follows the contact.

    A contact without a zone, or with one this machine does not know, counts as UTC. Raises ZoneInfoNotFoundError for
    a zone of the campaign's own: that was checked when it was set.
    """
    return _openings(window, zone if window is not None and window.zone == CONTACT else None)


def next_open(window: Window | None, zone: str | None, at: datetime) -> datetime:
    """The first moment not before `at` in which `window` is open, in UTC; `at` itself without a window."""
    whole = floor_seconds(at)
    opens = openings(window, zone).first(whole)
    return at.astimezone(UTC) if opens == whole else moment(opens)


def next_close(window: Window | None, zone: str | None, at: datetime) -> datetime | None:
    """When `window`, open at `at`, closes; None without a window, or where it is closed."""
    closes = openings(window, zone).closes(floor_seconds(at))
    return None if closes is None else moment(closes)


def is_open(window: Window | None, zone: str | None, at: datetime) -> bool:
    """Whether a message may start at `at`."""
    whole = floor_seconds(at)
    return openings(window, zone).first(whole) == whole


def floor_seconds(at: datetime) -> int:
    """The whole seconds from 1970 to `at`."""
    return (at - EPOCH) // _SECOND


def ceil_seconds(at: datetime) -> int:
    """The first whole second since 1970 that is not before `at`."""
    return -((EPOCH - at) // _SECOND)


def moment(seconds: int) -> datetime:
    """The UTC time so many seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC)


@lru_cache(maxsize=2048)
def _openings(window: Window | None, zone: str | None) -> Openings:
    if window is None:
        return Openings(None, ZoneInfo("UTC"))
    return Openings(window, ZoneInfo(window.zone) if window.zone != CONTACT else _contact_zone(zone))


def _contact_zone(zone: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(zone or "UTC")
    except (KeyError, ValueError, OSError):  # unknown, malformed, or the name of a folder of zones
        return ZoneInfo("UTC")


def _span_of(window: Window, zone: ZoneInfo, day: date) -> tuple[int, int]:
    opens = _shown(datetime.combine(day, window.start), zone, max)
    closes = _shown(datetime.combine(day, window.end), zone, min)
    if opens < closes:
        return opens, closes
    # The whole window is repeated or missing. Fold 0 is the first showing, or the time by the clock before the change.
    opens = floor_seconds(datetime.combine(day, window.start, zone))
    return opens, opens + int((datetime.combine(day, window.end) - datetime.combine(day, window.start)).total_seconds())


def _shown(local: datetime, zone: ZoneInfo, choose: Callable[[int, int], int]) -> int:
    """The second in which the clock shows `local`: `choose` decides between two, a missing one is the change."""
    first = floor_seconds(local.replace(tzinfo=zone))
    second = floor_seconds(local.replace(tzinfo=zone, fold=1))
    if first <= second:
        return choose(first, second)
    before, after = second, first  # PEP 495: in a gap fold 1 lies before the change and fold 0 behind it
    offset = moment(before).astimezone(zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if moment(middle).astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after
