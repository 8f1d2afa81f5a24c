"""The electricity: what may flow, and when it may be switched off."""

from datetime import timedelta
from typing import Annotated

import msgspec

from rules.limits.limit import MINUTE, SECOND, Limits, Share, Volts, Watts


class ChargingLimits(Limits, frozen=True):
    min_w: Watts = 15.0
    """From here on a socket charges: an idle charger draws a few watts, and meters see
    their neighbours."""


class OverloadLimits(Limits, frozen=True):
    """One socket."""

    warn_w: Watts = 800.0
    act_w: Watts = 1000.0
    """Operators' price tiers (540 to 800 W, 800 to 1200 W): a convention, no standard."""
    clear_w: Watts = 700.0
    hold: timedelta = 30 * SECOND
    """AP3000 averages over 30 s; plugging in draws an inrush, and that is no fault."""
    keep_firing: timedelta = 60 * SECOND

    def check(self) -> None:
        self.check_order("clear_w", "warn_w", "act_w")


class PileOverloadLimits(OverloadLimits, frozen=True):
    """All sockets of a pile."""

    warn_w: Watts = 7800.0
    act_w: Watts = 8700.0
    """X10P firmware refuses sessions above 7.8 kW and limits a 12-way pile to 8.7 kW."""
    clear_w: Watts = 7400.0


class SiteOverloadLimits(Limits, frozen=True):
    """All piles of a site, on one feeder."""

    feeder_w: Watts = 0.0
    """What the feeder carries; 0: nobody said, and the rule is off."""
    warn_share: Share = 0.9
    act_share: Share = 1.0
    clear_share: Share = 0.85
    """Ours: a cable's rating is a limit, and its fuse acts beyond it."""
    hold: timedelta = 30 * SECOND
    keep_firing: timedelta = 60 * SECOND

    def check(self) -> None:
        self.check_order("clear_share", "warn_share", "act_share")


class VoltageLimits(Limits, frozen=True):
    high_act_v: Volts = 270.0
    low_act_v: Volts = 100.0
    """What an AP3000 cuts off at."""
    high_warn_v: Volts = 253.0
    low_warn_v: Volts = 187.0
    """230 V and 10 %, 220 V less 15 % (ours)."""
    high_clear_v: Volts = 250.0
    low_clear_v: Volts = 190.0
    hold: timedelta = 60 * SECOND
    """A motor that starts next door makes a dip, and that is no fault."""
    keep_firing: timedelta = 5 * MINUTE

    def check(self) -> None:
        self.check_order("low_act_v", "low_warn_v", "low_clear_v", "high_clear_v")
        self.check_order("high_clear_v", "high_warn_v", "high_act_v")


class RelayWeldedLimits(Limits, frozen=True):
    min_w: Watts = 30.0
    """An X10P's meter shows 1 W for 100 W next door; 30 W is no crosstalk (ours)."""
    hold: timedelta = 60 * SECOND


class CutLimits(Limits, frozen=True):
    """Switching off for safety: whether it happens by itself, and how long each step has."""

    automatic: bool = False
    """Vendors withdrew their own cuts because of mistaken ones: a site asks for it."""
    attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    retry_after: timedelta = 5 * SECOND
    """GB/T 26875.3 sends three times and waits 10 s for an answer; a fire waits for nobody."""
    expires_after: timedelta = 60 * SECOND
    """A command that was kept from its device for longer is ordered anew, or not at all."""
    verify_within: timedelta = 20 * SECOND
    """From the device's yes to no power: a pile reports at once, its meter averages."""
    spacing: timedelta = SECOND / 2
    """AP3000: half a second between two commands to one device."""

    def check(self) -> None:
        if self.spacing < SECOND / 2:
            raise ValueError("spacing must be at least 0.5 s")
        for name in ("retry_after", "expires_after", "verify_within"):
            if not SECOND <= getattr(self, name) <= 10 * MINUTE:
                raise ValueError(f"{name} must be between 1 s and 10 min")
        self.check_order("retry_after", "expires_after")
