"""What is allowed where: the limits of every rule, and what a device is.

Each struct below is a table of the policy file (docs/policy.md), each field one of its
keys; `rules.policies` says which file entry is in force where. Powers are active watts. A
figure without a source in docs/sources.md is ours, and says so.
"""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated

import msgspec

from rules.readings import DeviceId, Kind
from rules.schedule import Schedule

Watts = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Celsius = Annotated[float, msgspec.Meta(gt=0, le=250)]
Volts = Annotated[float, msgspec.Meta(ge=0, le=500)]
Kelvins = Annotated[float, msgspec.Meta(gt=0, le=100)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Share = Annotated[float, msgspec.Meta(gt=0, le=2)]

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
LONGEST = timedelta(days=366)


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the policy. Raises ValueError for what contradicts itself."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, timedelta) and not timedelta(0) <= value <= LONGEST:
                raise ValueError(f"{name} must be between 0 s and {LONGEST.days} d")
        self.check()

    def check(self) -> None:
        """Raise ValueError if the values contradict each other."""

    def check_order(self, *names: str) -> None:
        """Raise ValueError unless the fields rise (or stay) in this order."""
        for low, high in pairwise(names):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} must be at most {high}")


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


class AfterHoursLimits(Limits, frozen=True):
    grace: timedelta = 10 * MINUTE


class ClosingSoonLimits(Limits, frozen=True):
    before: timedelta = timedelta(0)
    """How long before closing time it is said that bikes still charge; 0: it is not."""


class FireLimits(Limits, frozen=True):
    window: timedelta = 10 * MINUTE
    """How far apart two signs of one fire may be. In the brigade's test it was over after
    six minutes; ours is longer, for a second detector that is further away."""


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


class RelayWeldedLimits(Limits, frozen=True):
    min_w: Watts = 30.0
    """An X10P's meter shows 1 W for 100 W next door; 30 W is no crosstalk (ours)."""
    hold: timedelta = 60 * SECOND


class SensorBatteryLimits(Limits, frozen=True):
    low_pct: Percent = 10.0
    clear_pct: Percent = 20.0
    """Ours: low enough to be no noise, early enough to buy a new one."""

    def check(self) -> None:
        self.check_order("low_pct", "clear_pct")


class ClockWrongLimits(Limits, frozen=True):
    after: timedelta = HOUR
    """An AP3000 shows 1970 after each start, until it is set."""


class UndeclaredDeviceLimits(Limits, frozen=True):
    after: timedelta = 10 * MINUTE


class SilenceLimits(Limits, frozen=True):
    charger_after: timedelta = 8 * MINUTE
    """Two and a half beats of an AP3000, which beats every 3 minutes."""
    smoke_after: timedelta = 25 * HOUR
    """A battery sensor reports once in 24 h."""
    hold: timedelta = 2 * MINUTE
    """Time for the neighbours to be missed too: then it is the site, not the device."""


class SiteOutageLimits(Limits, frozen=True):
    share: Share = 0.5
    """ThingsBoard's users and ours: half a station does not die of old age at once."""


class FlappingLimits(Limits, frozen=True):
    """Alerts of any rule that come and go; the figures are ours."""

    times: Annotated[int, msgspec.Meta(ge=2, le=20)] = 3
    """As often as that an alert fires in `within`; then it flaps ..."""
    within: timedelta = HOUR
    quiet: timedelta = 15 * MINUTE
    """... and ends only when it has been clear for so long."""


class EscalationLimits(Limits, frozen=True):
    """Alerts of any rule that somebody must act on, and nobody has acknowledged."""

    after: timedelta = 3 * MINUTE
    """How long each tier has; what duty rooms in Yiwu are said to give."""
    tiers: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
    """1: nobody else is told."""

    def check(self) -> None:
        if self.after < 10 * SECOND:
            raise ValueError("after must be at least 10 s")


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
    after: timedelta = 7 * HOUR
    """Ours, from Ah / A: constant current lasts 3 to 6.5 h, and then power falls."""
    energy_max_kwh: Annotated[float, msgspec.Meta(gt=0, le=100)] = 3.0
    """Ours: 72 V 20 Ah from empty takes 2.1 kWh at the socket; the largest packs, 3."""


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


class ImpossibleValueLimits(Limits, frozen=True):
    hold: timedelta = 10 * MINUTE
    """A single lost bit is followed by a value that makes sense (ours)."""
    keep_firing: timedelta = 10 * MINUTE


class StuckValueLimits(Limits, frozen=True):
    power_for: timedelta = 4 * HOUR
    """Of a socket that charges. A full battery is trickled with little change for long."""
    temperature_for: timedelta = 7 * 24 * HOUR
    """In a cellar, in whole degrees, days may be alike; a week is not."""
    messages: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] = 40
    """So many at least: a device that seldom speaks proves nothing sooner (ours, all)."""


class SelfTestOverdueLimits(Limits, frozen=True):
    after: timedelta = 35 * 24 * HOUR
    """A month, and some days for people to be late in."""
    of_all: bool = False
    """Ask it of detectors too that never reported a test; most cannot."""


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


class CarrierOutageLimits(Limits, frozen=True):
    """Of a carrier, so that only the default layer has a say."""

    share: Share = 0.5
    sites: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] = 2
    """So many must be dark: one that is has lost its own power or network."""


class MonitoringBlindLimits(Limits, frozen=True):
    """Of the service itself, so that only the default layer has a say. All ours."""

    share: Share = 0.8
    sites: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] = 3
    """So many dark sites at once are no accident of theirs."""
    deaf_for: timedelta = 5 * MINUTE
    """Without the broker; a restart of it, or of its machine, takes less."""
    lag: timedelta = MINUTE
    """Smoke that waits as long has lost what the detector won."""
    ledger_for: timedelta = MINUTE
    dropped: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = 1
    delivery_for: timedelta = 5 * MINUTE
    history_for: timedelta = HOUR
    """It only shows the past; alarms do not wait for it."""
    keep_firing: timedelta = 5 * MINUTE


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All limits in force for one device, and the opening hours of its site."""

    schedule: Schedule = Schedule.nightly()
    charging: ChargingLimits = ChargingLimits()
    overload: OverloadLimits = OverloadLimits()
    pile_overload: PileOverloadLimits = PileOverloadLimits()
    site_overload: SiteOverloadLimits = SiteOverloadLimits()
    after_hours: AfterHoursLimits = AfterHoursLimits()
    closing_soon: ClosingSoonLimits = ClosingSoonLimits()
    fire: FireLimits = FireLimits()
    heat: HeatLimits = HeatLimits()
    warm: WarmLimits = WarmLimits()
    relay_welded: RelayWeldedLimits = RelayWeldedLimits()
    sensor_battery: SensorBatteryLimits = SensorBatteryLimits()
    clock_wrong: ClockWrongLimits = ClockWrongLimits()
    undeclared_device: UndeclaredDeviceLimits = UndeclaredDeviceLimits()
    impossible_value: ImpossibleValueLimits = ImpossibleValueLimits()
    stuck_value: StuckValueLimits = StuckValueLimits()
    self_test_overdue: SelfTestOverdueLimits = SelfTestOverdueLimits()
    voltage: VoltageLimits = VoltageLimits()
    silence: SilenceLimits = SilenceLimits()
    site_outage: SiteOutageLimits = SiteOutageLimits()
    flapping: FlappingLimits = FlappingLimits()
    escalation: EscalationLimits = EscalationLimits()
    cut: CutLimits = CutLimits()
    sessions: SessionsLimits = SessionsLimits()
    long_charge: LongChargeLimits = LongChargeLimits()
    no_taper: NoTaperLimits = NoTaperLimits()
    long_float: LongFloatLimits = LongFloatLimits()
    power_step: PowerStepLimits = PowerStepLimits()
    abrupt_end: AbruptEndLimits = AbruptEndLimits()
    after_session: AfterSessionLimits = AfterSessionLimits()
    carrier_outage: CarrierOutageLimits = CarrierOutageLimits()
    monitoring_blind: MonitoringBlindLimits = MonitoringBlindLimits()

    @property
    def dark_below_w(self) -> float:
        """The power below which a socket is off: its meter sees its neighbours."""
        return max(self.relay_welded.min_w, self.charging.min_w)

    def silent_after(self, kind: Kind) -> timedelta:
        """Return how long a device of this kind may say nothing."""
        if kind is Kind.SMOKE:
            return self.silence.smoke_after
        return self.silence.charger_after


class DeviceProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine knows of a device before it speaks."""

    id: DeviceId
    site: str
    kind: Kind = Kind.UNKNOWN
    declared: bool = True
    silent_after: timedelta | None = None
    """Overrides the policy's figure for devices of this kind."""
