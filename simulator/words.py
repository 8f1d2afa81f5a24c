"""The words of a scenario file: lengths of time, moments, and how often something happens."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
LENGTH = r"^\d+(\.\d+)? (s|min|h|d)$"
CLOCK = r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?"
WHEN = (
    rf"^({_CLOCK}|day [1-9]\d{{0,2}} {_CLOCK}|every day {_CLOCK}"
    r"|random: \d+(\.\d+)? per (site|device)-(day|week))$"
)
WINDOW = rf"^{_CLOCK}-(24:00|{_CLOCK})$"

Length = Annotated[
    str, msgspec.Meta(pattern=LENGTH, description='a length of time: "30 s", "10 min", "8 h"')
]
Clock = Annotated[str, msgspec.Meta(pattern=CLOCK, description='a time of day: "19:40"')]
When = Annotated[
    str,
    msgspec.Meta(
        pattern=WHEN,
        description='"19:40" (the first one after the start), "day 3 02:15",'
        ' "every day 20:00", or "random: 2 per site-week"',
    ),
]
Window = Annotated[
    str, msgspec.Meta(pattern=WINDOW, description='daily hours, e.g. "22:00-05:00"')
]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

DAY = timedelta(days=1)


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a scenario file: what is unknown there is a mistake."""


def length(text: str) -> timedelta:
    """Return how long "8 h" is."""
    number, unit = text.split(" ")
    return timedelta(seconds=float(number) * UNITS[unit])


def clock(text: str) -> time:
    return time.fromisoformat(text)


def local(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return a moment of the local clock, in UTC."""
    return datetime.combine(day, at, zone).astimezone(UTC)


class Rate(msgspec.Struct, frozen=True):
    """How often something happens at random."""

    count: float
    per: str
    """ "site" or "device"."""
    every: timedelta


def rate(text: str) -> Rate | None:
    """Return how often "random: 2 per site-week" is; None: it is no rate."""
    found = re.fullmatch(r"random: (\S+) per (site|device)-(day|week)", text)
    if found is None:
        return None
    count, per, every = found.groups()
    return Rate(float(count), per, DAY if every == "day" else 7 * DAY)


def moments(text: str, starts: datetime, ends: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the moments of "19:40", "day 3 02:15" or "every day 20:00", in [starts, ends)."""
    first = starts.astimezone(zone).date()
    *words, at = text.split(" ")
    days = range((ends - starts).days + 2)
    if words[:1] == ["day"]:
        days = range(int(words[1]) - 1, int(words[1]))
    found = [local(first + n * DAY, clock(at), zone) for n in days]
    found = [moment for moment in found if starts <= moment < ends]
    return found if words[:1] == ["every"] else found[:1]
