"""What a charger draws from the mains, from plugging in until the battery is full.

A curve is a chain of phases: inrush, constant current (power rises slowly with the
battery's voltage), taper (constant voltage: power decays), float, and nothing. Power and
energy are closed forms of the time since plugging in, so hours cost nothing and a meter's
energy is exactly the integral of its power. Figures: docs of operators and chargers as
collected in DOMAIN §6.2; no measured public data set is known.
"""

import math
from datetime import timedelta

import msgspec

INRUSH = timedelta(seconds=3)
INRUSH_FACTOR = 1.6
"""Over the plateau, while the charger's capacitors fill and its control settles."""
FORGOTTEN = timedelta(days=30)
"""The last phase of a curve lasts until somebody pulls the plug."""
RISE = 0.12
"""Share of the plateau by which power rises during constant current (voltage 48 to 54 V)."""


class Phase(msgspec.Struct, frozen=True):
    """A stretch in which power goes from `from_w` to `to_w`: straight, or as a decay."""

    lasts: timedelta
    from_w: float
    to_w: float
    decays: bool = False

    def power_w(self, elapsed_s: float) -> float:
        share = _share(elapsed_s, self.lasts)
        if self.decays:
            return float(self.from_w * (self.to_w / self.from_w) ** share)
        return self.from_w + (self.to_w - self.from_w) * share

    def energy_wh(self, elapsed_s: float) -> float:
        """Return the energy drawn in the first `elapsed_s` seconds of this phase."""
        share = _share(elapsed_s, self.lasts)
        hours = self.lasts.total_seconds() / 3600
        if self.decays and self.from_w != self.to_w:
            fall = math.log(self.from_w / self.to_w)
            return self.from_w * -math.expm1(-fall * share) / fall * hours
        return (self.from_w + self.power_w(elapsed_s)) / 2 * share * hours


class Curve(msgspec.Struct, frozen=True):
    """The power of one plug over the time since it was put in. Never negative."""

    phases: tuple[Phase, ...]

    def power_w(self, elapsed: timedelta) -> float:
        left_s = max(0.0, elapsed.total_seconds())
        for phase in self.phases:
            if left_s < phase.lasts.total_seconds():
                return phase.power_w(left_s)
            left_s -= phase.lasts.total_seconds()
        return 0.0

    def energy_wh(self, elapsed: timedelta) -> float:
        """Return the energy drawn since plugging in; it never falls."""
        left_s, sum_wh = max(0.0, elapsed.total_seconds()), 0.0
        for phase in self.phases:
            sum_wh += phase.energy_wh(left_s)
            left_s -= phase.lasts.total_seconds()
            if left_s <= 0:
                break
        return sum_wh


class Battery(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of battery with the charger that is sold with it."""

    name: str
    plateau_w: float
    """At the socket, at the end of constant current; 85 % efficiency is included."""
    hours: float
    """Of constant current, from empty."""
    bulk: float
    """The state of charge (0 to 1) at which constant current ends."""
    taper: timedelta
    """How long power takes to decay by the factor e."""
    float_w: float
    share: float
    """How many of a hundred bikes in the street have it (estimate)."""


BATTERIES = (
    Battery(name="lead-acid 48 V 20 Ah", plateau_w=195, hours=6.5, bulk=0.8,
            taper=timedelta(minutes=50), float_w=9, share=38),
    Battery(name="lead-acid 60 V 20 Ah", plateau_w=240, hours=6.5, bulk=0.8,
            taper=timedelta(minutes=50), float_w=10, share=27),
    Battery(name="lead-acid 72 V 20 Ah", plateau_w=290, hours=6.5, bulk=0.8,
            taper=timedelta(minutes=55), float_w=12, share=12),
    Battery(name="lithium 48 V 15 Ah", plateau_w=195, hours=4.2, bulk=0.88,
            taper=timedelta(minutes=25), float_w=4, share=13),
    Battery(name="lithium 48 V 24 Ah", plateau_w=320, hours=4.5, bulk=0.88,
            taper=timedelta(minutes=25), float_w=4, share=8),
    Battery(name="fast charger 60 V 10 A", plateau_w=860, hours=2.1, bulk=0.85,
            taper=timedelta(minutes=20), float_w=6, share=2),
)  # fmt: skip


def charge(battery: Battery, state_of_charge: float) -> Curve:
    """Return the curve of a battery that is `state_of_charge` (0 to 1) full at the start."""
    plateau_w = battery.plateau_w
    missing = max(0.0, 1 - state_of_charge / battery.bulk)
    beyond = max(0.0, state_of_charge - battery.bulk) / (1 - battery.bulk)
    tapers_from_w = plateau_w * (battery.float_w / plateau_w) ** min(beyond, 1.0)
    begin_w = tapers_from_w * (1 - RISE * missing)
    fall = math.log(tapers_from_w / battery.float_w)
    return Curve(
        (
            Phase(INRUSH, begin_w * INRUSH_FACTOR, begin_w),
            Phase(timedelta(hours=battery.hours) * missing, begin_w, tapers_from_w),
            Phase(battery.taper * fall, tapers_from_w, battery.float_w, decays=True),
            Phase(FORGOTTEN, battery.float_w, battery.float_w),
        )
    )


def joined(curve: Curve, after: timedelta, extra_w: float) -> Curve:
    """Return `curve` until a second load joins it on an adapter; from then on both, flat."""
    before, left = [], after
    for phase in curve.phases:
        if left <= timedelta(0):
            break
        lasts = min(phase.lasts, left)
        end_w = phase.power_w(lasts.total_seconds())
        before.append(Phase(lasts, phase.from_w, end_w, decays=phase.decays))
        left -= lasts
    both_w = curve.power_w(after) + extra_w
    return Curve((*before, Phase(FORGOTTEN, both_w, both_w)))


def _share(elapsed_s: float, lasts: timedelta) -> float:
    lasts_s = lasts.total_seconds()
    return min(1.0, max(0.0, elapsed_s / lasts_s)) if lasts_s > 0 else 1.0
