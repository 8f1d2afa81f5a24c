"""The only place that reads the time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def warped(speed: float, started: datetime, shows: datetime) -> Now:
    """Return a clock that showed `shows` when it really was `started`, and runs in UTC.

    Since then it has run `speed` times as fast as real time, and it never goes back, also
    if somebody sets the machine's clock. Processes that are given the same three figures
    agree; before `started` they agree on what came before `shows`.
    """
    base = shows.astimezone(UTC) + (utc_now() - started) * speed
    begun_s = time.monotonic()

    def now() -> datetime:
        return base + timedelta(seconds=(time.monotonic() - begun_s) * speed)

    return now
