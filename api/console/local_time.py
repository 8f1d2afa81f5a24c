"""Dates and times that people type: on the clock of a place, which has gaps and repeats."""

from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

TYPED_CHARS_MAX = 32


class Misread(StrEnum):
    """Why what was typed is no moment; its words are `ui.time.{misread}`."""

    NO_TIME = "no_time"
    SKIPPED = "skipped"
    """The clock is put forward over it."""


def moment_typed(text: str, zone: ZoneInfo) -> datetime | Misread:
    """Return the moment of a `datetime-local` field, in UTC.

    An hour that the clock repeats is its first occurrence, as for opening hours.
    """
    try:
        local = datetime.fromisoformat(text.strip())
    except ValueError:
        return Misread.NO_TIME
    if local.tzinfo is not None or len(text) > TYPED_CHARS_MAX:
        return Misread.NO_TIME
    try:
        moment = local.replace(tzinfo=zone).astimezone(UTC)
        as_shown = moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return Misread.NO_TIME
    return moment if as_shown == local else Misread.SKIPPED


def as_typed(moment: datetime, zone: ZoneInfo) -> str:
    """Return a moment as a `datetime-local` field holds it."""
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


def next_day_at(clock: time, moment: datetime, zone: ZoneInfo) -> datetime:
    """Return when it is `clock` there on the day after that of `moment`, in UTC."""
    day = moment.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(day, clock, zone).astimezone(UTC)
