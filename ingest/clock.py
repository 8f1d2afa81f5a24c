"""The only place that reads the time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def warped(speed: float, origin: datetime) -> Now:
    """Return a clock that showed the real time at `origin` and has run `speed` times as fast.

    The demo and its simulator are given the same two figures, and so agree.
    """
    ahead = utc_now() - origin
    base, started_s = origin + ahead * speed, time.monotonic()

    def now() -> datetime:
        return base + timedelta(seconds=(time.monotonic() - started_s) * speed)

    return now
