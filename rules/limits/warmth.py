"""The warmth: what is too hot, and what bears out smoke."""

from datetime import timedelta

from rules.limits.limit import MINUTE, SECOND, Celsius, Kelvins, Limits


class FireLimits(Limits, frozen=True):
    window: timedelta = 10 * MINUTE
    """How far apart two signs of one fire may be. In the brigade's test it was over after
    six minutes; ours is longer, for a second detector that is further away."""
    air_rise_k: Kelvins = 15.0
    """By so much the air at a detector that sees smoke warms in some ten minutes (ours): a
    spider or dust does not warm it, and sun and cooking do so by less."""


class HeatLimits(Limits, frozen=True):
    warn_c: Celsius = 65.0
    act_c: Celsius = 80.0
    """The AP3000's own alarm is at 80 C over 30 s; X10P firmware warned at 65 C."""
    clear_c: Celsius = 60.0
    hold: timedelta = 30 * SECOND
    keep_firing: timedelta = 60 * SECOND

    def check(self) -> None:
        self.check_order("clear_c", "warn_c", "act_c")


class WarmLimits(Limits, frozen=True):
    floor_c: Celsius = 45.0
    """Below it nothing is said: summer in a metal box, and no contact that glows."""
    over_neighbours_k: Kelvins = 15.0
    clear_k: Kelvins = 10.0
    rise_k: Kelvins = 10.0
    """In some ten minutes, and more than the neighbours (ours, like the rest)."""
    hold: timedelta = 60 * SECOND
    keep_firing: timedelta = 10 * MINUTE

    def check(self) -> None:
        self.check_order("clear_k", "over_neighbours_k")
