"""When charging is not allowed: weekly windows on the wall clock of the site's zone.

Dated exceptions replace a day's windows; holidays and make-up workdays decide which days
are workdays. They are data here: who makes them from a calendar is the shell's business.

Windows are half-open, [start, end), and one whose end is not after its start runs past
midnight into the next day. `Schedule.span` finds the present span and its two ends, in
UTC, so that a caller asks the calendar again only when a span is over.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import msgspec

EVERY_DAY = frozenset(range(7))
SATURDAY = 5
LOOK_DAYS = 8
"""A weekly schedule repeats after 7 days; a window may begin the day before."""
FORESEEN = timedelta(days=1)
"""Where the look ahead ends in an open time, nothing closes for this long after it."""


class Days(StrEnum):
    """Days that a window may begin on besides weekdays by name, as the holidays have them."""

    WORKDAYS = "workdays"
    RESTDAYS = "restdays"


class Window(msgspec.Struct, frozen=True):
    """Closed from `start` until `end` on the days it begins (0 is Monday).

    `days` are weekdays, whatever the calendar says of them, or one of `Days`.
    """

    start: time
    end: time
    days: frozenset[int] | Days = EVERY_DAY

    def on(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """Return the window that begins on `day`, as UTC instants.

        A wall-clock time that a DST change skips or repeats is read as its first
        occurrence (PEP 495, fold=0).
        """
        last = day if self.end > self.start else day + timedelta(days=1)
        begins = datetime.combine(day, self.start, zone).astimezone(UTC)
        return begins, datetime.combine(last, self.end, zone).astimezone(UTC)


class DatedDay(msgspec.Struct, frozen=True):
    """The windows that begin on a dated day, instead of the weekly ones; none: open."""

    day: date
    closed: tuple[Window, ...]


class Span(msgspec.Struct, frozen=True):
    """A stretch of time, [since, until), in which charging is allowed or is not."""

    closed: bool
    since: datetime
    until: datetime
    turns: bool = True
    """False: at `until` nothing changes that is known of; it is only how far was looked."""


class Schedule(msgspec.Struct, frozen=True):
    """The closed windows of one site, on the clock of its IANA zone."""

    zone_name: str
    closed: tuple[Window, ...]
    exceptions: tuple[DatedDay, ...] = ()
    holidays: frozenset[date] = frozenset()
    """Days of rest that are not a weekend ..."""
    makeup_workdays: frozenset[date] = frozenset()
    """... and days of a weekend that are worked to make up for them."""

    @classmethod
    def nightly(cls) -> "Schedule":
        """Closed from 22:00 to 05:00 in China: a site's own policy, no law says so."""
        return cls("Asia/Shanghai", (Window(time(22), time(5)),))

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone_name)

    def span(self, now: datetime) -> Span:
        """Return the span that holds `now`; windows that touch or overlap are one.

        The far end is looked for some eight days away; a schedule that is closed (or open)
        for longer returns a span that ends there, does not turn, and is asked again. An
        open one promises that nothing closes within `FORESEEN` after it either.
        """
        horizon = (now - timedelta(days=LOOK_DAYS), now + timedelta(days=LOOK_DAYS))
        since = horizon[0]
        for begins, ends in self._merged(now):
            if now < begins:
                return Span(closed=False, since=since, until=begins)
            if now < ends:
                until = min(ends, horizon[1])
                return Span(closed=True, since=begins, until=until, turns=until == ends)
            since = ends
        return Span(closed=False, since=since, until=horizon[1], turns=False)

    def closed_between(
        self, since: datetime, until: datetime
    ) -> Iterator[tuple[datetime, datetime]]:
        """Yield the times within [since, until) in which it is closed, in order."""
        at = since
        while at < until:
            span = self.span(at)
            if span.closed:
                yield at, min(span.until, until)
            at = span.until

    def _merged(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        today = now.astimezone(self.zone).date()
        ahead = LOOK_DAYS + FORESEEN.days
        days = [today + timedelta(days=n) for n in range(-LOOK_DAYS, ahead + 1)]
        return merged(
            window.on(day, self.zone) for day in days for window in self.windows_on(day)
        )

    def windows_on(self, day: date) -> tuple[Window, ...]:
        """Return the windows that begin on a local day."""
        for exception in self.exceptions:
            if exception.day == day:
                return exception.closed
        kind = Days.WORKDAYS if self.is_workday(day) else Days.RESTDAYS
        return tuple(
            window
            for window in self.closed
            if window.days is kind
            or (not isinstance(window.days, Days) and day.weekday() in window.days)
        )

    def is_workday(self, day: date) -> bool:
        """Say whether people work on a day: the weekend, but for the holidays' doings."""
        if day in self.makeup_workdays:
            return True
        return day.weekday() < SATURDAY and day not in self.holidays


class Calendar:
    """Remembers the present span of each site, for as long as it is present."""

    def __init__(self) -> None:
        self._spans: dict[str, tuple[Schedule, Span]] = {}

    def span(self, site: str, schedule: Schedule, now: datetime) -> Span:
        """Return `schedule.span(now)`, counted once per span and not per message."""
        known = self._spans.get(site)
        if known is not None and known[0] is schedule:
            span = known[1]
            if span.since <= now < span.until:
                return span
        span = schedule.span(now)
        self._spans[site] = (schedule, span)
        return span


def merged(
    spans: Iterable[tuple[datetime, datetime]],
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the union of half-open spans, in order; empty ones vanish."""
    current: tuple[datetime, datetime] | None = None
    for begins, ends in sorted(span for span in spans if span[0] < span[1]):
        if current and begins <= current[1]:
            current = (current[0], max(current[1], ends))
            continue
        if current:
            yield current
        current = (begins, ends)
    if current:
        yield current
