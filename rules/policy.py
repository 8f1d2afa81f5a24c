"""What is allowed where: the parameters of the rules for one site, and what a device is."""

from datetime import timedelta

import msgspec

from rules.readings import DeviceId, Kind
from rules.schedule import Schedule


class Band(msgspec.Struct, frozen=True):
    """A limit that is passed going up at `trigger` and left going down at `clear`."""

    trigger: float
    clear: float

    def __post_init__(self) -> None:
        if self.clear > self.trigger:
            raise ValueError(f"clears at {self.clear}, above its trigger {self.trigger}")


class SitePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters in force at one site. Powers are active watts."""

    schedule: Schedule = Schedule.nightly()
    after_hours_grace: timedelta = timedelta(minutes=10)
    warn_before: timedelta = timedelta(0)
    """How long before closing time it is said that bikes still charge; 0: it is not."""
    charging_w_min: float = 15.0
    """An idle charger draws a few watts, and meters see their neighbours."""
    socket_limit_w: Band = Band(trigger=1000.0, clear=700.0)
    """The act level of operators' price tiers (800 to 1200 W): a convention, no standard."""
    pile_limit_w: Band = Band(trigger=8700.0, clear=7800.0)
    """X10P firmware refuses sessions above 7.8 kW and limits a 12-way pile to 8.7 kW."""
    overload_hold: timedelta = timedelta(seconds=30)
    """AP3000 averages over 30 s; plugging in draws an inrush, and that is no fault."""
    overload_keep_firing: timedelta = timedelta(seconds=60)
    heat_c: Band = Band(trigger=80.0, clear=65.0)
    """The AP3000's own alarm is at 80 C over 30 s; X10P firmware warned at 65 C."""
    heat_hold: timedelta = timedelta(seconds=30)
    heat_keep_firing: timedelta = timedelta(seconds=60)
    relay_off_w: float = 30.0
    """An X10P's meter shows 1 W for 100 W next door; 30 W is no crosstalk (ours)."""
    relay_off_hold: timedelta = timedelta(seconds=60)
    battery_low_pct: float = 10.0
    battery_clear_pct: float = 20.0
    """Ours: low enough to be no noise, early enough to buy a new one."""
    clock_wrong_after: timedelta = timedelta(hours=1)
    """An AP3000 shows 1970 after each start, until it is set."""
    undeclared_after: timedelta = timedelta(minutes=10)
    charger_silent_after: timedelta = timedelta(minutes=8)
    """Two and a half beats of an AP3000, which beats every 3 minutes."""
    smoke_silent_after: timedelta = timedelta(hours=25)
    """A battery sensor reports once in 24 h."""

    def silent_after(self, kind: Kind) -> timedelta:
        """Return how long a device of this kind may say nothing."""
        if kind is Kind.SMOKE:
            return self.smoke_silent_after
        return self.charger_silent_after


class SessionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What is power, what is noise, and how long to wait before believing it."""

    charging_w_min: float = 15.0
    """An idle charger draws a few watts, and meters see their neighbours."""
    unplugged_w: float = 3.0
    """X10P: an average below 2.5 to 3.5 W is a pulled plug; 100 W next door show as 1 W."""
    unplugged_for: timedelta = timedelta(seconds=10)
    """AP3000: so long below its limit is unplugged; a plug that bounces is back sooner."""
    dropped_for: timedelta = timedelta(seconds=300)
    """AP3000: so long if what remains may be interference (here: up to `charging_w_min`)."""
    trickle_for: timedelta = timedelta(seconds=3600)
    """AP3000: after an hour of float a charge is over, plug or no plug."""
    settles: timedelta = timedelta(seconds=30)
    """AP3000 averages over 30 s; an inrush, and a spike, is shorter."""
    taper_share: float = 0.8
    """Ours: of the plateau; what is below tapers."""
    float_share: float = 0.2
    """AP3000: float is 20 % of the charging power ..."""
    float_w: float = 20.0
    """... and X10P: below 20 W in any case."""
    abrupt_share: float = 0.3
    """Ours: a fall from above this share of the plateau was no taper."""
    step_armed_after: timedelta = timedelta(seconds=1800)
    """AP3000 watches for a rise from then on; before it, chargers start up in stages."""
    gap_max: timedelta = timedelta(minutes=10)
    """Two of an AP3000's five-minute reports: what happened in a longer gap is unknown."""
    lost_after: timedelta = timedelta(hours=1)
    """Ours: a socket not heard for so long may carry another bike by now."""
    watched_for: timedelta = timedelta(hours=3)
    """Ours: how long the last session of a socket is remembered after its end."""


class DeviceProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine knows of a device before it speaks."""

    id: DeviceId
    site: str
    kind: Kind = Kind.UNKNOWN
    declared: bool = True
    silent_after: timedelta | None = None
    """Overrides the site's figure for devices of this kind."""
