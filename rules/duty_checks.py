"""When a duty post is asked whether somebody is there: moments that nobody can foresee.

A plan is a pure function of a secret seed, the post and the week, so whoever starts again in
between has the same plan. How many there are in a week is drawn from a Poisson distribution:
having been asked today says nothing about tomorrow, and nobody may go to bed after it. Where
they lie is drawn evenly over the hours in which the post may be asked, no two of them closer
than `APART`.
"""

import hashlib
import hmac
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from rules.schedule import Schedule, merged

APART = timedelta(hours=1)
"""Between two checks of a post. Our own choice: a check must not become noise."""
PUT_OFF_MAX = timedelta(hours=6)
"""How long a check may be put off; what could not be asked by then is not asked at all."""
LOOK_WEEKS = 2
"""How far ahead the next moment is looked for."""

WEEK = timedelta(days=7)
MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
"""Weeks are counted from here. They are UTC's, for all posts: nobody sees where one begins."""
DAY = timedelta(days=1)
DRAWN_BITS = 53
"""What a float holds."""
REMEMBERED_MAX = 10_000
"""Weeks of posts whose moments need not be drawn again."""
APART_S = int(APART.total_seconds())
SECOND = timedelta(seconds=1)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """When one post is asked."""

    seed: bytes
    """A secret: whoever has it knows the plan."""
    post: str
    per_week: float
    """On average; fewer if the hours have no room for as many, `APART` from each other."""
    hours: Schedule | None = None
    """The windows in which it may be asked; None: at any time."""

    def in_week(self, week: int) -> tuple[datetime, ...]:
        """Return the moments in a week, in order, on whole seconds.

        The first is left out if it is too close to the last of the week before.
        """
        before, found = _drawn_moments(self, week - 1), _drawn_moments(self, week)
        too_close = before and found and found[0] - before[-1] < APART
        return found[1:] if too_close else found

    def between(self, since: datetime, until: datetime) -> list[datetime]:
        """Return the moments in (since, until], in order."""
        weeks = range(week_of(since), week_of(until) + 1)
        return [at for week in weeks for at in self.in_week(week) if since < at <= until]

    def next_after(self, at: datetime) -> datetime | None:
        """Return the first moment after `at`; None: there is none for a week at least."""
        return next(iter(self.between(at, at + LOOK_WEEKS * WEEK)), None)

    def may_ask(self, now: datetime) -> bool:
        """Say whether `now` lies in the hours in which the post may be asked."""
        return self.hours is None or self.hours.span(now).closed


def owed(
    plan: Plan, last_asked: datetime | None, since: datetime, now: datetime
) -> datetime | None:
    """Return the planned moment for which the post is to be asked now; None: it is not.

    Never one from before `since`, when the plan came into force. However many were missed
    while the service was down or alarms went first, it is one at most, and never less than
    `APART` after the last.
    """
    if last_asked is not None and now - last_asked < APART:
        return None
    floor = max(since, now - PUT_OFF_MAX, last_asked or since)
    waiting = plan.between(floor, now)
    return waiting[-1] if waiting and plan.may_ask(now) else None


def week_of(at: datetime) -> int:
    return (at - MONDAY) // WEEK


@lru_cache(REMEMBERED_MAX)
def _drawn_moments(plan: Plan, week: int) -> tuple[datetime, ...]:
    """Draw how many there are, and where, on a line without the hours that are closed."""
    begins = MONDAY + week * WEEK
    windows = [
        (max(since, begins), min(until, begins + WEEK))
        for since, until in _hours(plan.hours, begins)
        if until > begins and since < begins + WEEK
    ]
    room_s = sum(_whole_s(until - since) for since, until in windows)
    most = -(-room_s // APART_S)  # the last needs no room behind it
    count = min(_poisson(plan.per_week, _drawn(plan, week, 0)), most)
    free_s = room_s - max(0, count - 1) * APART_S
    drawn = sorted(int(_drawn(plan, week, n) * free_s) for n in range(1, count + 1))
    return tuple(_on_the_line(windows, at_s + n * APART_S) for n, at_s in enumerate(drawn))


def _hours(hours: Schedule | None, begins: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the windows around a week, in order; windows that touch are one."""
    if hours is None:
        yield begins, begins + WEEK
        return
    zone = hours.zone
    first = begins.astimezone(zone).date() - DAY  # one that began the day before may go on
    days = [first + n * DAY for n in range(WEEK // DAY + 3)]
    yield from merged(window.on(day, zone) for day in days for window in hours.windows_on(day))


def _drawn(plan: Plan, week: int, number: int) -> float:
    """Return a number in [0, 1) that only the seed's holder can know."""
    words = f"{plan.post}\0{week}\0{number}".encode()
    digest = hmac.new(plan.seed, words, hashlib.sha256).digest()
    return (int.from_bytes(digest[:8], "big") >> (64 - DRAWN_BITS)) / (1 << DRAWN_BITS)


def _whole_s(span: timedelta) -> int:
    return span // SECOND


def _poisson(mean: float, drawn: float) -> int:
    """Return the number whose share of the distribution `drawn` falls into (inversion)."""
    count, share = 0, math.exp(-mean)
    below = share
    while drawn >= below and share > 0:
        count += 1
        share *= mean / count
        below += share
    return count


def _on_the_line(windows: list[tuple[datetime, datetime]], at_s: int) -> datetime:
    """Return the moment so many seconds into the windows, one put behind the other."""
    for begins, ends in windows:
        length_s = _whole_s(ends - begins)
        if at_s < length_s:
            return begins + at_s * SECOND
        at_s -= length_s
    raise ValueError("beyond the last window")
