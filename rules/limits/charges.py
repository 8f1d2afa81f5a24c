"""The charges: when one may go on, how it is told from power, and what is too long."""

from datetime import timedelta
from typing import Annotated

import msgspec

from rules.limits.limit import HOUR, MINUTE, SECOND, Celsius, Limits, Share, Watts


class AfterHoursLimits(Limits, frozen=True):
    grace: timedelta = 10 * MINUTE


class ClosingSoonLimits(Limits, frozen=True):
    before: timedelta = timedelta(0)
    """How long before closing time it is said that bikes still charge; 0: it is not."""


class SessionsLimits(Limits, frozen=True):
    """How sessions are told from the power of a socket."""

    unplugged_w: Watts = 3.0
    """X10P: an average below 2.5 to 3.5 W is a pulled plug; 100 W next door show as 1 W."""
    unplugged_for: timedelta = 10 * SECOND
    """AP3000: so long below its limit is unplugged; a plug that bounces is back sooner."""
    dropped_for: timedelta = 5 * MINUTE
    """AP3000: so long if what remains may be interference (here: up to `charging.min_w`)."""
    trickle_for: timedelta = HOUR
    """AP3000: after an hour of float a charge is over, plug or no plug."""
    settles: timedelta = 30 * SECOND
    """AP3000 averages over 30 s; an inrush, and a spike, is shorter."""
    taper_share: Share = 0.8
    """Ours: of the plateau; what is below tapers."""
    float_share: Share = 0.2
    """AP3000: float is 20 % of the charging power ..."""
    float_w: Watts = 20.0
    """... and X10P: below 20 W in any case."""
    abrupt_share: Share = 0.3
    """Ours: a fall from above this share of the plateau was no taper."""
    gap_max: timedelta = 10 * MINUTE
    """Two of an AP3000's five-minute reports: what happened in a longer gap is unknown."""
    lost_after: timedelta = HOUR
    """Ours: a socket not heard for so long may carry another bike by now."""

    def check(self) -> None:
        self.check_order("float_share", "taper_share")
        self.check_order("abrupt_share", "taper_share")


class LongChargeLimits(Limits, frozen=True):
    warn_after: timedelta = 8 * HOUR
    """Recommended as the longest by the Beijing industry's guide of 2021."""
    act_after: timedelta = 10 * HOUR
    """Shenzhen's notice of 2015, and the AP3000's own maximum."""
    hard_after: timedelta = 12 * HOUR
    """China Tower's time-out of 720 min, and the longest order of an X10P."""

    def check(self) -> None:
        self.check_order("warn_after", "act_after", "hard_after")


class NoTaperLimits(Limits, frozen=True):
    after: timedelta = 7.5 * HOUR
    """Ours: constant current lasts nine tenths of Ah / A, 7.3 h for 32 Ah at 4 A; no charger
    that is sold with a battery is slower."""
    energy_max_kwh: Annotated[float, msgspec.Meta(gt=0, le=100)] = 3.2
    """Ours: 72 V 32 Ah from empty takes 3.0 kWh at the socket, and a meter errs."""


class LongFloatLimits(Limits, frozen=True):
    after: timedelta = HOUR
    """X10P and AP3000 end a charge after 45 to 60 min of float."""


class PowerStepLimits(Limits, frozen=True):
    rise_w: Watts = 80.0
    """AP3000's dynamic overload: 800 tenths of a watt above what was drawn before ..."""
    armed_after: timedelta = 30 * MINUTE
    """... from 1800 s on; before it, chargers start up in stages."""


class AbruptEndLimits(Limits, frozen=True):
    window: timedelta = 30 * MINUTE
    """Ours: the brigade's test took 6 min from swelling to explosion; smoke is seen late."""


class AfterSessionLimits(Limits, frozen=True):
    watch: timedelta = 3 * HOUR
    """Ours: 45.6 % of e-bike fires were of parked bikes that did not charge (July 2024)."""
    warm_c: Celsius = 50.0
    """Ours: a socket without load that is still so warm ..."""
    cools_within: timedelta = 30 * MINUTE
    """... so long after the end: a charger and its plug cool down in 10 min."""
    rise_c: Celsius = 8.0
    """Ours: a rise above the coolest since the end, ..."""
    siblings_c: Celsius = 5.0
    """... and above the other sockets of the pile: else it is the sun."""
