"""Hours on duty: from their words to a schedule, and back.

In a schedule the windows are when it is *closed*; here they are when somebody is on duty.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import groupby

from api.people.parts import ExceptionPart, HoursPart
from api.people.wrong import Complaint, Path
from api.sites_file import ExceptionPart as SiteExceptionPart
from api.sites_file import SitePart
from api.sites_schedule import DAYS, ScheduleWrong, schedule_of
from ingest.registry import Name
from rules.schedule import EVERY_DAY, DatedDay, Days, Schedule, Window

ANY_YEAR = 2026
"""Holidays are not kept with hours: whoever loads them puts in those of the year."""


def schedule(part: HoursPart | None, path: Path, wrong: list[Complaint]) -> Schedule | None:
    """Return the schedule that the words mean, or add what is wrong with them."""
    if part is None:
        return None
    as_site = SitePart(
        name=Name("", ""),
        zone=part.zone,
        closed=part.hours,
        calendar="CN",
        exceptions=tuple(
            SiteExceptionPart(first=each.first, last=each.last, closed=each.hours)
            for each in part.exceptions
        ),
    )
    try:
        made = schedule_of(as_site, ANY_YEAR)
    except ScheduleWrong as error:
        key, _, why = str(error).partition(": ")
        keys = tuple("hours" if step == "closed" else step for step in key.split("."))
        wrong.append(Complaint((*path, *keys), "hours", {"why": why}))
        return None
    return Schedule(made.zone_name, made.closed, exceptions=made.exceptions)


def hours_part(hours: Schedule | None) -> HoursPart | None:
    """Return the words that mean a schedule."""
    if hours is None:
        return None
    return HoursPart(
        hours=tuple(map(_words, hours.closed)),
        zone=hours.zone_name,
        exceptions=tuple(_exceptions(hours.exceptions)),
    )


def _words(window: Window) -> str:
    days = _days(window.days)
    end = "24:00" if window.end.hour == window.end.minute == 0 else f"{window.end:%H:%M}"
    return f"{days}{' ' if days else ''}{window.start:%H:%M}-{end}"


def _days(days: frozenset[int] | Days) -> str:
    if isinstance(days, Days):
        return str(days)
    if days == EVERY_DAY:
        return ""
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(
        DAYS[run[0]] if len(run) == 1 else f"{DAYS[run[0]]}-{DAYS[run[-1]]}" for run in runs
    )


def _exceptions(days: Sequence[DatedDay]) -> Iterator[ExceptionPart]:
    """Put days that follow each other, and have the same windows, together again."""
    ordered = sorted(days, key=lambda each: each.day)
    numbered = [(each, each.day - timedelta(days=n)) for n, each in enumerate(ordered)]
    for _, run in groupby(numbered, key=lambda pair: (pair[1], pair[0].closed)):
        some = [each for each, _ in run]
        yield ExceptionPart.model_validate(
            {
                "from": some[0].day,
                "to": some[-1].day,
                "hours": tuple(map(_words, some[0].closed)),
            }
        )
