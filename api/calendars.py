"""Public holidays and the days worked to make up for them, from the `holidays` library.

China's State Council announces both each November for the year to come; the library follows
with a release. Until then a year's holidays are computed, but its make-up days are unknown:
`covered` says which years are whole, and the sites file can correct either.
"""

from collections.abc import Iterable
from datetime import date
from functools import cache

import holidays
import msgspec

from ingest.errors import ChargewatchError

YEARS_BACK, YEARS_AHEAD = 1, 2
MAKEUP_DAYS_SINCE = 2015
"""A country with make-up days in any year from here on is taken to have them every year."""
WARN_MONTH = 12
"""From the first of this month on the year to come ought to be known."""


class CalendarUnknown(ChargewatchError):
    """There is no calendar of that name."""


class Calendar(msgspec.Struct, frozen=True):
    """What a country's calendar says about the years around now."""

    holidays: frozenset[date] = frozenset()
    makeup_workdays: frozenset[date] = frozenset()
    covered: frozenset[int] = frozenset()
    """Years of which the make-up days are known as well."""


NO_CALENDAR = Calendar()


@cache
def calendar_of(country: str, year: int) -> Calendar:
    """Return a country's calendar (ISO 3166 code) around a year."""
    years = range(year - YEARS_BACK, year + YEARS_AHEAD + 1)
    looked_at = range(min(MAKEUP_DAYS_SINCE, years.start), years.stop)
    try:
        found = holidays.country_holidays(country, years=looked_at)
    except NotImplementedError as error:
        raise CalendarUnknown(f"no holidays are known for {country!r}") from error
    makeup = frozenset(found.weekend_workdays)
    known = {day.year for day in makeup} if makeup else set(years)
    return Calendar(
        holidays=_within(years, found),
        makeup_workdays=_within(years, makeup),
        covered=frozenset(years) & known,
    )


def years_missing(covered: frozenset[int], today: date) -> list[int]:
    """Return the years that ought to be covered by now: the present, in December the next."""
    wanted = [today.year, today.year + 1][: 2 if today.month >= WARN_MONTH else 1]
    return [year for year in wanted if year not in covered]


def _within(years: range, days: Iterable[date]) -> frozenset[date]:
    return frozenset(day for day in days if day.year in years)
