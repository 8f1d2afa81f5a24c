"""What flows when: the power of plugs over the time of the day, and when it is too much.

Curves are straight between their points, and so are their sums; what is above a limit is
known to the instant.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from simulator.limits import LASTS
from simulator.pile_plans import PilePlan
from simulator.plans import Span
from simulator.sockets import Switching, Use

SAME_CHARGE = timedelta(minutes=2)
"""A plug that bounces, and is back sooner, goes on with its charge."""
Stretch = tuple[datetime, datetime, float]
"""Current flows from, until; and how long it had flowed before, in seconds."""


class Flow:
    """The power of one plug over the time of the day."""

    def __init__(self, pile: str, use: Use, stretches: Sequence[Stretch]) -> None:
        self.pile, self.use, self.stretches = pile, use, stretches

    def points(self) -> Iterator[tuple[datetime, float]]:
        """Yield moments and power; between them it goes straight, and is 0 outside."""
        curve = self.use.curve
        for since, until, ran_s in self.stretches:
            ends_s = ran_s + (until - since).total_seconds()
            yield since, 0.0
            yield since, curve.at(ran_s).power_w
            for at_s, power_w in zip(curve.times_s, curve.powers_w, strict=True):
                if ran_s < at_s < ends_s:
                    yield since + timedelta(seconds=at_s - ran_s), power_w
            yield until, curve.at(ends_s).power_w
            yield until, 0.0

    def when(self, ran_s: float) -> datetime | None:
        """Return when current has flowed for so long; None: it never has."""
        for since, until, before_s in self.stretches:
            at = since + timedelta(seconds=ran_s - before_s)
            if at < until:
                return max(since, at)
        return None

    @property
    def ends(self) -> datetime:
        return self.stretches[-1][1]


def flows(plan: PilePlan, ends: datetime) -> list[Flow]:
    """Return every plug of a pile through which current flows."""
    found = []
    for use in plan.uses:
        stretches = tuple(_stretches(use, plan, ends))
        if stretches:
            found.append(Flow(plan.id, use, stretches))
    return found


def _stretches(use: Use, plan: PilePlan, ends: datetime) -> Iterator[Stretch]:
    since, until = use.plugged_at, min(use.unplugged_at, ends)
    if plan.faults.dies_at is not None:
        until = min(until, plan.faults.dies_at)
    off = list(plan.faults.dark)
    if plan.switching.get(use.channel) is not Switching.WELDED:
        off += [cut.span for cut in plan.cuts if cut.channel == use.channel]
        for stop in plan.stops:
            if stop.channel == use.channel and use.plugged_at <= stop.at < use.unplugged_at:
                again = [r.at for r in plan.rescans if r.channel == stop.channel]
                again = [at for at in again if at > stop.at]
                off.append(Span(stop.at, min(again, default=None)))
    ran_s = 0.0
    for span in sorted(off, key=lambda each: each.since):
        if span.until is not None and span.until <= since:
            continue
        if since < min(span.since, until):
            yield since, min(span.since, until), ran_s
            ran_s += (min(span.since, until) - since).total_seconds()
        if span.until is None:
            return
        since = max(since, span.until)
    if since < until:
        yield since, until, ran_s


def too_much(found: Sequence[Flow], limit_w: float) -> Iterator[tuple[datetime, datetime]]:
    """Yield when these plugs together draw more than the limit, for longer than an inrush."""
    most: dict[tuple[str, int], float] = {}
    for flow in found:
        socket, most_w = (flow.pile, flow.use.channel), max(flow.use.curve.powers_w)
        most[socket] = max(most_w, most.get(socket, 0.0))
    if sum(most.values()) <= limit_w:
        return  # not even if all drew their most at once
    points = list(found[0].points()) if len(found) == 1 else _summed(found)
    for since, until in above(points, limit_w):
        if until - since > LASTS:
            yield since, until


def _summed(found: Iterable[Flow]) -> list[tuple[datetime, float]]:
    """Return the sum of lines that are straight between their points, as another."""
    turns: dict[datetime, list[float]] = {}
    for flow in found:
        before: tuple[datetime, float] | None = None
        for at, power_w in flow.points():
            if before is not None and at > before[0]:
                slope = (power_w - before[1]) / (at - before[0]).total_seconds()
                turns.setdefault(before[0], [0.0, 0.0])[1] += slope
                turns.setdefault(at, [0.0, 0.0])[1] -= slope
            elif before is not None:
                turns.setdefault(at, [0.0, 0.0])[0] += power_w - before[1]
            before = (at, power_w)
    points, sum_w, slope = [], 0.0, 0.0
    last: datetime | None = None
    for at, (jump_w, turn) in sorted(turns.items()):
        if last is not None:
            sum_w += slope * (at - last).total_seconds()
        points.append((at, sum_w))
        sum_w, slope, last = sum_w + jump_w, slope + turn, at
        points.append((at, sum_w))
    return points


def above(
    points: Sequence[tuple[datetime, float]], limit: float
) -> Iterator[tuple[datetime, datetime]]:
    """Yield when a line that is straight between its points is above a limit."""
    since: datetime | None = None
    before: tuple[datetime, float] | None = None
    for at, value in points:
        if value > limit and since is None:
            since = _crossed(before, (at, value), limit) if before else at
        elif value <= limit and since is not None and before is not None:
            yield since, _crossed(before, (at, value), limit)
            since = None
        before = (at, value)
    if since is not None and before is not None:
        yield since, before[0]


def _crossed(
    before: tuple[datetime, float], after: tuple[datetime, float], limit: float
) -> datetime:
    (since, low), (until, high) = before, after
    share = (limit - low) / (high - low) if high != low else 1.0
    return since + (until - since) * share


def joined(
    spans: Iterable[tuple[datetime, datetime]],
) -> Iterator[tuple[datetime, datetime]]:
    """Yield spans with those made one between which nothing but a plug has bounced."""
    begins: datetime | None = None
    ends: datetime | None = None
    for since, until in spans:
        if begins is not None and ends is not None and since - ends > SAME_CHARGE:
            yield begins, ends
            begins = None
        begins, ends = begins or since, until
    if begins is not None and ends is not None:
        yield begins, ends
