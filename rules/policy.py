"""What is allowed where: all limits in force for one device, and what a device is.

The limits are in `rules.limits`; `rules.policies` says which entry of the policy file is in
force where.
"""

from datetime import timedelta

import msgspec

from rules.limits.alert_life import EscalationLimits, FlappingLimits
from rules.limits.charges import (
    AbruptEndLimits,
    AfterHoursLimits,
    AfterSessionLimits,
    ClosingSoonLimits,
    LongChargeLimits,
    LongFloatLimits,
    NoTaperLimits,
    PowerStepLimits,
    SessionsLimits,
)
from rules.limits.electricity import (
    ChargingLimits,
    CutLimits,
    OverloadLimits,
    PileOverloadLimits,
    RelayWeldedLimits,
    SiteOverloadLimits,
    VoltageLimits,
)
from rules.limits.warmth import FireLimits, HeatLimits, WarmLimits
from rules.limits.watching import (
    CarrierOutageLimits,
    ClockWrongLimits,
    ImpossibleValueLimits,
    MonitoringBlindLimits,
    SelfTestOverdueLimits,
    SensorBatteryLimits,
    SilenceLimits,
    SiteOutageLimits,
    StuckValueLimits,
    UndeclaredDeviceLimits,
)
from rules.readings import DeviceId, Kind
from rules.schedule import Schedule


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
