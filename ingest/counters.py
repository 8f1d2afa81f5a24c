"""What a running counter of energy has counted: it may begin anew, and be misread."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from ingest.moments import from_us
from ingest.windows import HOURS, QUARTER, floor
from rules.plausible import SOCKET_MAX_W

RISE_MAX_KWH = SOCKET_MAX_W / 1000 * HOURS
"""What a counter may have risen by since its last reading, a quarter ago at most."""


class Counted(NamedTuple):
    """A counter's readings, at a moment in microseconds."""

    at_us: int
    kwh: float


def counted(before: Counted | None, readings: Iterable[Counted]) -> dict[datetime, float]:
    """Return what a counter counted by window; the first reading without one before: nothing.

    Energy belongs to the window in which it was heard of. A counter that falls has begun anew
    at 0. A rise that no socket can draw is none: a value was misread.
    """
    found: dict[datetime, float] = {}
    last = before
    for reading in readings:
        at = floor(from_us(reading.at_us))
        found.setdefault(at, 0.0)
        if last is not None:
            found[at] += _rise_kwh(last, reading)
        last = reading
    return found


def _rise_kwh(last: Counted, reading: Counted) -> float:
    rise = reading.kwh - last.kwh if reading.kwh >= last.kwh else max(0.0, reading.kwh)
    return rise if rise <= rise_max_kwh(last, reading) else 0.0


def rise_max_kwh(last: Counted, reading: Counted) -> float:
    """Return what can have been counted between two readings at most."""
    quarters = timedelta(microseconds=reading.at_us - last.at_us) / QUARTER
    return RISE_MAX_KWH * max(1.0, quarters)
