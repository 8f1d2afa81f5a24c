"""Quarters of an hour, and the local days that they make up."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from ingest.moments import EPOCH
from rules.schedule import Schedule

QUARTER = timedelta(minutes=15)
"""No zone of today is off UTC by less, so that local days are whole quarters."""
HOURS = QUARTER / timedelta(hours=1)


def floor(moment: datetime) -> datetime:
    """Return the beginning of the window that holds a moment."""
    return moment - (moment - EPOCH) % QUARTER


def windows(since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the beginnings of the windows of [since, until), both at the edge of one."""
    at = since
    while at < until:
        yield at
        at += QUARTER


def day_of(moment: datetime, schedule: Schedule) -> date:
    return moment.astimezone(schedule.zone).date()


def bounds(day: date, schedule: Schedule) -> tuple[datetime, datetime]:
    """Return a local day in UTC: 24 h, or 23 or 25 where clocks are changed."""
    zone = schedule.zone
    begins = datetime.combine(day, time(0), zone).astimezone(UTC)
    return begins, datetime.combine(day + timedelta(days=1), time(0), zone).astimezone(UTC)
