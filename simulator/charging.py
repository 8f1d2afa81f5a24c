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
from typing import NamedTuple

import msgspec

from simulator.batteries import Battery
from simulator.mains import (
    FULL_POWER_FACTOR,
    INRUSH_FACTOR,
    INRUSH_S,
    NOMINAL_V,
    Supply,
    power_factor,
)
from simulator.packs import Moment, Stage, charging

STEP_SHARE = 0.015
"""A point is kept if power has changed by this share of the most ..."""
STEP_S = 1800.0
"""... or after this long."""
FALLS_IN_S, JOINS_IN_S = 1.0, 5e-4
"""How long a charger takes to switch off, and a second load to be there."""
CURVES_MAX = 8192
"""Curves that are kept: a month of fifty sites needs some four thousand."""

Point = tuple[float, float, float]
"""Seconds since plugging in, power, squared current."""


class Draw(NamedTuple):
    """What a curve is at one moment."""

    point: int
    """The last of the curve's points that is not later."""
    power_w: float
    energy_wh: float
    """Since plugging in; it never falls."""
    square_a2: float
    """The current at 230 V, squared: what warms a contact."""


class Curve(msgspec.Struct, frozen=True):
    """The power of one plug over the time since it was put in. Never negative.

    Straight between its points; after the last one it stays as it is.
    """

    times_s: tuple[float, ...]
    """From 0 on, each greater than the one before."""
    powers_w: tuple[float, ...]
    energies_wh: tuple[float, ...]
    squares_a2: tuple[float, ...]
    full_s: float | None = None
    """When the charger says that it is done: its lamp turns green. Of two bikes: both."""
    rests_s: tuple[float, float] | None = None
    """Of two bikes, from when until when the first was full, or gone, and the second had not
    come; None: one charged all the time."""

    def at(self, elapsed_s: float) -> Draw:
        times_s = self.times_s
        n = max(0, bisect_right(times_s, elapsed_s) - 1)
        since_s = elapsed_s - times_s[n]
        power_w, square_a2 = self.powers_w[n], self.squares_a2[n]
        energy_wh = self.energies_wh[n]
        if n + 1 == len(times_s) or since_s <= 0:
            return Draw(n, power_w, energy_wh + power_w * max(0.0, since_s) / 3600, square_a2)
        share = since_s / (times_s[n + 1] - times_s[n])
        now_w = power_w + (self.powers_w[n + 1] - power_w) * share
        energy_wh += (power_w + now_w) / 2 * since_s / 3600
        square_a2 += (self.squares_a2[n + 1] - square_a2) * share
        return Draw(n, now_w, energy_wh, square_a2)

    def power_w(self, elapsed: timedelta) -> float:
        return self.at(elapsed.total_seconds()).power_w

    def energy_wh(self, elapsed: timedelta) -> float:
        return self.at(elapsed.total_seconds()).energy_wh

    def stretches(
        self, since_s: float, since: Draw, until_s: float, until: Draw
    ) -> Iterator[tuple[float, float, float]]:
        """Yield how long the squared current goes straight, from where, and whereto."""
        at_s, square_a2 = since_s, since.square_a2
        for n in range(since.point + 1, until.point + 1):
            yield self.times_s[n] - at_s, square_a2, self.squares_a2[n]
            at_s, square_a2 = self.times_s[n], self.squares_a2[n]
        yield until_s - at_s, square_a2, until.square_a2


@lru_cache(CURVES_MAX)
def charge(battery: Battery, state_of_charge: float, health: float = 1.0) -> Curve:
    """Return the curve of a battery that is `state_of_charge` (0 to 1) full at the start."""
    brick = battery.brick
    moments = list(charging(battery.pack(health), brick.charger, state_of_charge))
    points = _with_inrush(_at_the_socket(moments, brick.supply))
    rated_w = brick.supply.rated_w
    full_s = (each.at_s for each in moments if each.stage in {Stage.FLOAT, Stage.OFF})
    return curve_through(
        (
            (at_s, w, (w / NOMINAL_V / power_factor(w / rated_w)) ** 2)
            for at_s, w in _thinned(points, STEP_SHARE * rated_w)
        ),
        next(full_s, None),
    )


def joined(curve: Curve, after: timedelta, extra_w: float) -> Curve:
    """Return `curve` until a second load joins it on an adapter; from then on both, flat."""
    after_s = after.total_seconds()
    then = curve.at(after_s)
    extra_a = extra_w / NOMINAL_V / FULL_POWER_FACTOR
    both_w, both_a2 = then.power_w + extra_w, (then.square_a2**0.5 + extra_a) ** 2
    alone = zip(curve.times_s, curve.powers_w, curve.squares_a2, strict=True)
    return curve_through(
        (
            *(point for point in alone if point[0] < after_s),
            (after_s, then.power_w, then.square_a2),
            (after_s + JOINS_IN_S, both_w, both_a2),
        )
    )


def curve_through(points: Iterable[Point], full_s: float | None = None) -> Curve:
    """Return the curve through points of time, power and squared current."""
    times_s, powers_w, squares_a2 = zip(*points, strict=True)
    energies_wh = [0.0]
    for n in range(1, len(times_s)):
        mean_w = (powers_w[n - 1] + powers_w[n]) / 2
        energies_wh.append(energies_wh[-1] + mean_w * (times_s[n] - times_s[n - 1]) / 3600)
    return Curve(times_s, powers_w, tuple(energies_wh), squares_a2, full_s)


def _at_the_socket(moments: Iterable[Moment], supply: Supply) -> Iterator[tuple[float, float]]:
    """Yield time and power; a charger that switches off does so within FALLS_IN_S."""
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
