"""What one plug draws from the mains, from going in until it is pulled.

A curve is laid down once, from the physics of pack and charger (packs.py) and of the mains
(mains.py), as points with straight lines between them. Power, energy and heat at any moment
are exact on those lines, so hours cost nothing, a meter's energy is the integral of its
power, and it makes no difference how often anybody looks.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import lru_cache

import msgspec

from simulator.batteries import Battery
from simulator.mains import FULL_POWER_FACTOR, INRUSH_FACTOR, INRUSH_S, Supply, power_factor
from simulator.packs import Moment, Stage, charging
from simulator.warmth import lagged

NOMINAL_V = 230.0
STEP_SHARE = 0.015
"""A point is kept if power has changed by this share of the most ..."""
STEP_S = 1800.0
"""... or after this long."""
FALLS_IN_S = 1.0
"""How long a charger takes to switch off or to change its load."""
CURVES_MAX = 8192


class Curve(msgspec.Struct, frozen=True):
    """The power of one plug over the time since it was put in. Never negative.

    Straight between its points; after the last one it stays as it is.
    """

    times_s: tuple[float, ...]
    """From 0 on, each greater than the one before."""
    powers_w: tuple[float, ...]
    energies_wh: tuple[float, ...]
    squares_a2: tuple[float, ...]
    """The current at 230 V, squared: what warms a contact."""

    def power_w(self, elapsed: timedelta) -> float:
        n, since_s = self._point(elapsed.total_seconds())
        return self.powers_w[n] + self._slope(self.powers_w, n) * since_s

    def energy_wh(self, elapsed: timedelta) -> float:
        """Return the energy drawn since plugging in; it never falls."""
        n, since_s = self._point(elapsed.total_seconds())
        mean_w = self.powers_w[n] + self._slope(self.powers_w, n) * since_s / 2
        return self.energies_wh[n] + mean_w * since_s / 3600

    def square_a2(self, elapsed: timedelta) -> float:
        """Return the square of the current, were the mains at 230 V."""
        n, since_s = self._point(elapsed.total_seconds())
        return self.squares_a2[n] + self._slope(self.squares_a2, n) * since_s

    def lagged_a2(self, was: float, since: timedelta, until: timedelta, lag_s: float) -> float:
        """Return what follows the square of the current with a lag, and was at `was`."""
        at_s, until_s = since.total_seconds(), until.total_seconds()
        first, last = self.square_a2(since), self.square_a2(until)
        n = bisect_right(self.times_s, at_s)
        while n < len(self.times_s) and self.times_s[n] < until_s:
            point_s, point = self.times_s[n], self.squares_a2[n]
            was = lagged(was, first, point, point_s - at_s, lag_s)
            at_s, first, n = point_s, point, n + 1
        return lagged(was, first, last, until_s - at_s, lag_s)

    def full_after(self, below_w: float) -> timedelta | None:
        """Return since when it draws less than that for good; None: it never does."""
        if self.powers_w[-1] >= below_w:
            return None
        n = max((n for n, w in enumerate(self.powers_w) if w >= below_w), default=-1)
        if n < 0:
            return timedelta(0)
        since_s = (below_w - self.powers_w[n]) / self._slope(self.powers_w, n)
        return timedelta(seconds=self.times_s[n] + since_s)

    def _point(self, at_s: float) -> tuple[int, float]:
        """Return the point at or before this moment, and the seconds since then."""
        n = max(0, bisect_right(self.times_s, at_s) - 1)
        return n, max(0.0, at_s - self.times_s[n])

    def _slope(self, values: tuple[float, ...], n: int) -> float:
        if n + 1 == len(self.times_s):
            return 0.0
        return (values[n + 1] - values[n]) / (self.times_s[n + 1] - self.times_s[n])


@lru_cache(CURVES_MAX)
def charge(battery: Battery, state_of_charge: float, health: float = 1.0) -> Curve:
    """Return the curve of a battery that is `state_of_charge` (0 to 1) full at the start."""
    brick = battery.brick
    moments = charging(battery.pack(health), brick.charger, state_of_charge)
    points = _with_inrush(_at_the_socket(moments, brick.supply))
    rated_w = brick.supply.rated_w
    return _curve(
        (at_s, w, (w / NOMINAL_V / power_factor(w / rated_w)) ** 2)
        for at_s, w in _thinned(points, STEP_SHARE * rated_w)
    )


def joined(curve: Curve, after: timedelta, extra_w: float) -> Curve:
    """Return `curve` until a second load joins it on an adapter; from then on both, flat."""
    after_s, both_w = after.total_seconds(), curve.power_w(after) + extra_w
    extra_a = extra_w / NOMINAL_V / FULL_POWER_FACTOR
    both_a2 = (curve.square_a2(after) ** 0.5 + extra_a) ** 2
    alone = zip(curve.times_s, curve.powers_w, curve.squares_a2, strict=True)
    return _curve(
        (
            *(point for point in alone if point[0] < after_s),
            (after_s, curve.power_w(after), curve.square_a2(after)),
            (after_s + JOINS_IN_S, both_w, both_a2),
        )
    )


JOINS_IN_S = 5e-4


def _curve(points: Iterable[tuple[float, float, float]]) -> Curve:
    """Return the curve through points of time, power and squared current."""
    times_s, powers_w, squares_a2 = zip(*points, strict=True)
    energies_wh = [0.0]
    for n in range(1, len(times_s)):
        mean_w = (powers_w[n - 1] + powers_w[n]) / 2
        energies_wh.append(energies_wh[-1] + mean_w * (times_s[n] - times_s[n - 1]) / 3600)
    return Curve(times_s, powers_w, tuple(energies_wh), squares_a2)


def _at_the_socket(moments: Iterable[Moment], supply: Supply) -> Iterator[tuple[float, float]]:
    last_w = supply.drawn_w(0)
    for moment in moments:
        power_w = supply.drawn_w(moment.power_w)
        if moment.stage is Stage.OFF and moment.at_s > 0:
            yield moment.at_s, last_w
            yield moment.at_s + FALLS_IN_S, power_w
        else:
            yield moment.at_s, power_w
        last_w = power_w


def _with_inrush(points: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield them with the inrush before; what happens in its seconds is hidden by it."""
    ready = iter(points)
    last_w = next(ready)[1]
    yield 0.0, last_w * INRUSH_FACTOR
    pending = True
    for at_s, power_w in ready:
        if pending and at_s > INRUSH_S:
            yield INRUSH_S, last_w
            pending = False
        if not pending:
            yield at_s, power_w
        last_w = power_w
    if pending:
        yield INRUSH_S, last_w


def _thinned(
    points: Iterable[tuple[float, float]], step_w: float
) -> Iterator[tuple[float, float]]:
    """Leave out what straight lines between the others say as well."""
    kept = last = None
    for point in points:
        far = kept is None or point[0] - kept[0] >= STEP_S or abs(point[1] - kept[1]) >= step_w
        if far:
            if last is not None and kept is not None and last != kept:
                yield last
            yield point
            kept = point
        last = point
    if last is not None and last != kept:
        yield last
