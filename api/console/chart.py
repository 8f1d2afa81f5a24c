"""A chart of one quantity around an event: what was measured, the limits, what happened when.

The page draws it as a picture and as a table, so that it is there without scripts; where
there are some they draw it again, from the same as JSON, to zoom in and to point at.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from ingest.history import Aggregate, Bin, History, HistoryUnavailable
from rules.readings import DeviceId

POINTS_MAX = 240
"""More are not seen on a phone, and each costs bytes on a bad network."""
STEPS = tuple(
    timedelta(seconds=s)
    for s in (10, 30, 60, 120, 300, 900, 3_600, 21_600, 86_400, 604_800, 2_592_000)
)
LEAD_MIN, LEAD_MAX = timedelta(minutes=15), timedelta(hours=6)
ANSWER_WITHIN_S = 1.5
"""A page at night waits for no history: it is told that there is none now."""
PARTS_MAX = 32
"""Sockets whose power is added up."""
GAP_STEPS = 3
GAP_MIN = timedelta(minutes=6)
"""AP3000 speaks every five minutes: less is no gap."""


class Found(StrEnum):
    """Whether there is anything to draw."""

    POINTS = "points"
    NOTHING = "nothing"
    """There are no readings of that time."""
    UNREACHABLE = "unreachable"
    """The history does not answer; nobody knows."""


class Limit(msgspec.Struct, frozen=True):
    """A line across the chart; `level` is a severity."""

    value: float
    level: str


class Mark(msgspec.Struct, frozen=True):
    """A moment at which something happened; `what` is a word of the log."""

    at: datetime
    what: str


class Point(msgspec.Struct, frozen=True):
    at: datetime
    value: float


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be drawn: of several parts the sum."""

    device: DeviceId
    channels: tuple[int | None, ...]
    quantity: str
    unit: str
    lowest: bool = False
    """The lowest of each step is of interest, not the highest."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    question: Question
    since: datetime
    until: datetime
    step: timedelta
    found: Found
    points: tuple[Point, ...] = ()
    limits: tuple[Limit, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def extreme(self) -> Point:
        """The point that matters most; there must be one."""
        pick = min if self.question.lowest else max
        return pick(self.points, key=lambda point: point.value)

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest that is drawn. Power begins at zero, heat does not."""
        values = [p.value for p in self.points] + [limit.value for limit in self.limits]
        low, high = min(values, default=0.0), max(values, default=1.0)
        room = (high - low) * 0.08 or 1.0
        from_zero = self.question.unit in {"W", "%"} and low >= 0
        return (0.0 if from_zero else low - room), high + room

    def stretches(self) -> Iterator[list[Point]]:
        """Yield the points, parted where nothing was heard for long."""
        gap = max(self.step * GAP_STEPS, GAP_MIN)
        stretch: list[Point] = []
        for point in self.points:
            if stretch and point.at - stretch[-1].at > gap:
                yield stretch
                stretch = []
            stretch.append(point)
        if stretch:
            yield stretch


def window(began: datetime, ended: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """Return from when to when an event is drawn: with what led to it, and what came after."""
    last = ended or now
    lead = min(max((last - began) / 3, LEAD_MIN), LEAD_MAX)
    return began - lead, min(now, last + lead) + STEPS[0]


def step_for(span: timedelta) -> timedelta:
    return next((step for step in STEPS if span / step <= POINTS_MAX), STEPS[-1])


async def drawn(  # noqa: PLR0913  (a chart has this many parts)
    history: History,
    question: Question,
    span: tuple[datetime, datetime],
    *,
    limits: Sequence[Limit] = (),
    marks: Sequence[Mark] = (),
    present: Point | None = None,
) -> Chart:
    """Ask the history, for a moment only; `present` is what is known and not yet in there."""
    since, until = span
    step = step_for(until - since)
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            points = await _points(history, question, since, until, step)
        found = Found.POINTS if points or present else Found.NOTHING
    except (HistoryUnavailable, TimeoutError):
        points, found = [], Found.UNREACHABLE
    newest = points[-1].at + step if points else since
    if found is Found.POINTS and present is not None and newest <= present.at < until:
        points.append(present)
    if not points and found is Found.POINTS:
        found = Found.NOTHING
    return Chart(
        question=question,
        since=since,
        until=until,
        step=step,
        found=found,
        points=tuple(points),
        limits=tuple(sorted(limits, key=lambda limit: limit.value)),
        marks=tuple(mark for mark in marks if since <= mark.at <= until),
    )


async def _points(
    history: History, question: Question, since: datetime, until: datetime, step: timedelta
) -> list[Point]:
    alone = len(question.channels) == 1
    how = Aggregate.MIN if question.lowest else Aggregate.MAX
    total: dict[datetime, float] = {}
    for channel in question.channels[:PARTS_MAX]:
        found: list[Bin] = await history.aggregate(
            question.device,
            channel,
            quantity=question.quantity,
            how=how if alone else Aggregate.MEAN,
            since=since,
            until=until,
            step=step,
        )
        for each in found:
            total[each.at] = total.get(each.at, 0.0) + each.value
    return [Point(max(at, since), value) for at, value in sorted(total.items())]
