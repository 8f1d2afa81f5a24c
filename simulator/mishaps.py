"""What mishaps do to the curve of a plug: a lead, a loose plug, a charger that fails."""

from collections.abc import Iterator
from datetime import timedelta

import msgspec

from simulator.charging import FALLS_IN_S, JOINS_IN_S, Curve, Point, curve_through
from simulator.mains import INRUSH_FACTOR, INRUSH_S


def together(
    first: Curve, second: Curve, *, joins: timedelta, first_leaves: timedelta | None = None
) -> Curve:
    """Return what two bikes on one lead draw; the second joins, the first may leave."""
    joins_s = joins.total_seconds()
    leaves_s = None if first_leaves is None else first_leaves.total_seconds()
    members = (_Member(first, 0.0, leaves_s), _Member(second, joins_s, None))
    times_s = sorted({t for member in members for t in member.times_s()})
    points = []
    for at_s in times_s:
        draws = [member.at(at_s) for member in members]
        amps = sum(square_a2**0.5 for _, square_a2 in draws)
        points.append((at_s, sum(power_w for power_w, _ in draws), amps**2))
    ends_s = [member.full_s() for member in members]
    known = [each for each in ends_s if each is not None]
    curve = curve_through(points, max(known) if len(known) == len(ends_s) else None)
    rests = ends_s[0] is not None and ends_s[0] < joins_s
    return msgspec.structs.replace(curve, rests_s=(ends_s[0], joins_s)) if rests else curve


class _Member:
    """One bike on a lead."""

    def __init__(self, curve: Curve, since_s: float, until_s: float | None) -> None:
        self._curve, self._since_s, self._until_s = curve, since_s, until_s

    def times_s(self) -> Iterator[float]:
        since_s, until_s = self._since_s, self._until_s
        if since_s:
            yield from (since_s, since_s + JOINS_IN_S)
        for each in self._curve.times_s:
            at_s = since_s + each
            if (each or not since_s) and (until_s is None or at_s < until_s):
                yield at_s
        if until_s is not None:
            yield from (until_s, until_s + JOINS_IN_S)

    def at(self, at_s: float) -> tuple[float, float]:
        gone = self._until_s is not None and at_s > self._until_s
        if gone or at_s < self._since_s or (self._since_s and at_s == self._since_s):
            return 0.0, 0.0
        draw = self._curve.at(at_s - self._since_s)
        return draw.power_w, draw.square_a2

    def full_s(self) -> float | None:
        full_s = None if self._curve.full_s is None else self._since_s + self._curve.full_s
        if self._until_s is None:
            return full_s
        return self._until_s if full_s is None else min(full_s, self._until_s)


def bounced(curve: Curve, after: timedelta, gap: timedelta) -> Curve:
    """Return the curve of a plug that loses contact once, and finds it again."""
    at_s, gap_s = after.total_seconds(), gap.total_seconds()
    then, back_s = curve.at(at_s), at_s + gap_s
    points = [
        *_before(curve, at_s),
        (at_s, then.power_w, then.square_a2),
        (at_s + JOINS_IN_S, 0.0, 0.0),
        (back_s, 0.0, 0.0),
        (back_s + JOINS_IN_S, then.power_w * INRUSH_FACTOR, then.square_a2 * INRUSH_FACTOR**2),
        (back_s + INRUSH_S, then.power_w, then.square_a2),
        *((t + gap_s, w, a2) for t, w, a2 in _points(curve) if t > at_s + INRUSH_S),
    ]
    return curve_through(points, None if curve.full_s is None else curve.full_s + gap_s)


def tripped(curve: Curve, after: timedelta) -> Curve:
    """Return the curve of a charger that trips, and gives nothing any more."""
    at_s = after.total_seconds()
    then = curve.at(at_s)
    return curve_through(
        (
            *_before(curve, at_s),
            (at_s, then.power_w, then.square_a2),
            (at_s + FALLS_IN_S, 0.0, 0.0),
        )
    )


def untapered(curve: Curve) -> Curve:
    """Return the curve of a charger that does not see that its battery is full."""
    at_s = tapers_s(curve)
    then = curve.at(at_s)
    return curve_through((*_before(curve, at_s), (at_s, then.power_w, then.square_a2)))


def tapers_s(curve: Curve) -> float:
    """Return when the power is at its highest, the inrush left out: then it should fall."""
    settled = [(w, t) for t, w, _ in _points(curve) if t >= INRUSH_S]
    return max(settled, default=(0.0, INRUSH_S))[1]


def _points(curve: Curve) -> Iterator[Point]:
    return zip(curve.times_s, curve.powers_w, curve.squares_a2, strict=True)


def _before(curve: Curve, at_s: float) -> Iterator[Point]:
    return (point for point in _points(curve) if point[0] < at_s)
