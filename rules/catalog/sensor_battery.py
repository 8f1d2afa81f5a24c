"""A smoke detector will soon be silent because its battery is empty."""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState
from rules.verdict import (
    AT_ONCE,
    BETWEEN,
    CLEAR,
    UNKNOWN,
    Breach,
    Evidence,
    Severity,
    Timing,
    Verdict,
)


class SensorBattery(msgspec.Struct, frozen=True):
    name: str = "sensor_battery"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.SMOKE})
    basis: str = "ours: 10 % is time enough to bring a new one"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        limits = moment.policy.sensor_battery
        known, between = False, False
        for part in device.parts:
            pct = part.battery_pct
            if part.battery_low or (pct is not None and pct <= limits.low_pct):
                return Breach(Evidence(pct, limits.low_pct, "%", device.heard_at))
            known = known or pct is not None or part.battery_low is not None
            between = between or (pct is not None and pct < limits.clear_pct)
        if not known:
            return UNKNOWN
        return BETWEEN if between else CLEAR
