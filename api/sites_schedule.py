"""When a site is closed, from the words of the sites file: windows, days and calendar."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from api.calendars import (
    NO_CALENDAR,
    Calendar,
    CalendarUnknown,
    calendar_of,
    years_missing,
)
from api.sites_file import ExceptionPart, SitePart
from ingest.errors import ChargewatchError
from rules.schedule import EVERY_DAY, DatedDay, Days, Schedule, Window

EXCEPTION_DAYS_MAX = 100
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(?:(?P<days>[a-z,-]+) )?(?P<h1>\d\d):(?P<m1>\d\d)-(?P<h2>\d\d):(?P<m2>\d\d)"
)


class ScheduleWrong(ChargewatchError):
    """A key says something that no schedule can be made of; begins with the key."""


class SiteCalendar(msgspec.Struct, frozen=True):
    """The calendar that a site's windows depend on, and the years that are sure in it."""

    site: str
    country: str
    covered: frozenset[int]
    """Years of which the make-up days are known, or that the file itself corrects."""


def schedule_of(part: SitePart, year: int) -> Schedule:
    """Return a site's schedule; raises ScheduleWrong with the key and what is allowed."""
    try:
        ZoneInfo(part.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # "Asia" is a folder
        raise ScheduleWrong(f"zone: no IANA time zone is called {part.zone!r}") from error
    calendar = _calendar(part, year)
    if _uses_calendar(part) and not part.calendar:
        raise ScheduleWrong('closed: workdays and restdays need calendar = "CN"')
    rest, worked = frozenset(part.extra_holidays), frozenset(part.extra_workdays)
    for day in sorted(rest & worked):
        raise ScheduleWrong(f"extra_holidays: {day} is in extra_workdays as well")
    return Schedule(
        part.zone,
        tuple(window(text) for text in part.closed),
        exceptions=_dated_days(part.exceptions),
        holidays=(calendar.holidays | rest) - worked,
        makeup_workdays=(calendar.makeup_workdays | worked) - rest,
    )


def site_calendar(site: str, part: SitePart, year: int) -> SiteCalendar | None:
    """Return the calendar that the site's windows depend on; None: they depend on none."""
    if not part.calendar or not _uses_calendar(part):
        return None
    corrected = {day.year for day in (*part.extra_holidays, *part.extra_workdays)}
    return SiteCalendar(site, part.calendar, _calendar(part, year).covered | corrected)


def calendars_ending(calendars: Iterable[SiteCalendar], today: date) -> Iterator[str]:
    """Say of each site whose calendar runs out that it does, and how to mend it."""
    for each in calendars:
        for year in years_missing(each.covered, today):
            yield (
                f"{each.site}: the make-up workdays of {year} are not known for"
                f" {each.country}; update the holidays package, or correct the year with"
                " extra_holidays and extra_workdays (docs/sites.md)"
            )


def window(text: str) -> Window:
    """Read "22:00-05:00", "mon-fri 22:00-05:00" or "workdays 00:00-24:00"."""
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ScheduleWrong(
            f'closed: {text!r} is not like "22:00-05:00" or "mon-fri 22:00-05:00"'
        )
    return Window(
        _clock(match["h1"], match["m1"]),
        _clock(match["h2"], match["m2"]),
        _days(match["days"]),
    )


def _calendar(part: SitePart, year: int) -> Calendar:
    try:
        return calendar_of(part.calendar, year) if part.calendar else NO_CALENDAR
    except CalendarUnknown as error:
        raise ScheduleWrong(f"calendar: {error}") from error


def _uses_calendar(part: SitePart) -> bool:
    return any(text.startswith(tuple(Days)) for text in part.closed)


def _dated_days(parts: Sequence[ExceptionPart]) -> tuple[DatedDay, ...]:
    days = [day for part in parts for day in _days_of(part)]
    seen: set[date] = set()
    for each in days:
        if each.day in seen:
            raise ScheduleWrong(f"exceptions: {each.day} is in two of them")
        seen.add(each.day)
    return tuple(days)


def _days_of(part: ExceptionPart) -> Iterator[DatedDay]:
    days = (part.last - part.first).days + 1
    if not 1 <= days <= EXCEPTION_DAYS_MAX:
        raise ScheduleWrong(
            f"exceptions: from {part.first} to {part.last} is not 1 to"
            f" {EXCEPTION_DAYS_MAX} days"
        )
    for text in part.closed:
        if " " in text:
            raise ScheduleWrong(
                f'exceptions.closed: {text!r} names days, but from and to do: "22:00-05:00"'
            )
    try:
        closed = tuple(window(text) for text in part.closed)
    except ScheduleWrong as error:
        raise ScheduleWrong(f"exceptions.{error}") from error
    for number in range(days):
        yield DatedDay(part.first + timedelta(days=number), closed)


def _clock(hour: str, minute: str) -> time:
    if (hour, minute) == ("24", "00"):
        return time(0)
    try:
        return time(int(hour), int(minute))
    except ValueError as error:
        raise ScheduleWrong(f"closed: {hour}:{minute} is no time of day") from error


def _days(text: str | None) -> frozenset[int] | Days:
    if text is None:
        return EVERY_DAY
    if text in {*Days}:
        return Days(text)
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ScheduleWrong(f"closed: {part!r}: days are {', '.join((*DAYS, *Days))}")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        length = (end - begin) % len(DAYS) + 1
        days |= {(begin + n) % len(DAYS) for n in range(length)}
    return frozenset(days)
