"""Public holidays and the days worked to make up for them, from the `holidays` library.

China's State Council announces both each November for the year to come; the library follows
with a release. Until then a year's holidays are computed, but its make-up days are unknown:
`covered` says which years are whole, and the sites file can correct either.
"""

from collections.abc import Iterable
from datetime import date

import holidays
import msgspec

from ingest.errors import ChargewatchError

YEARS_BACK, YEARS_AHEAD = 1, 2


class CalendarUnknown(ChargewatchError):
    """There is no calendar of that name."""


class Calendar(msgspec.Struct, frozen=True):
    """What a country's calendar says about the years around now."""

    holidays: frozenset[date] = frozenset()
    makeup_workdays: frozenset[date] = frozenset()
    covered: frozenset[int] = frozenset()
    """Years of which the make-up days are known as well."""


NO_CALENDAR = Calendar()


def calendar_of(country: str, year: int) -> Calendar:
    """Return a country's calendar (ISO 3166 code) around a year."""
    years = range(year - YEARS_BACK, year + YEARS_AHEAD + 1)
    try:
        found = holidays.country_holidays(country, years=years)
    except NotImplementedError as error:
        raise CalendarUnknown(f"no holidays are known for {country!r}") from error
    makeup = frozenset(day for day in found.weekend_workdays if day.year in years)
    has_makeup_days = bool(found.weekend_workdays)
    return Calendar(
        holidays=frozenset(found),
        makeup_workdays=makeup,
        covered=frozenset(
            each for each in years if not has_makeup_days or each in _years(makeup)
        ),
    )


def _years(days: Iterable[date]) -> frozenset[int]:
    return frozenset(day.year for day in days)
