"""The mains voltage is so high or low that chargers suffer: a lost neutral, a weak feeder.

A dip is over within a minute, and no fault. A device that speaks once a minute shows it in one
report, which then stands for the whole minute: so a report says nothing any more once it is
half as old as the time that the fault must last, and a later one has to bear it out.
"""

from datetime import timedelta

import msgspec

from rules.limits.electricity import VoltageLimits
from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState
from rules.verdict import BETWEEN, CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict

JUDGED_WITHIN = timedelta(seconds=5)
"""From a report's arrival to the judgement, on a machine that is busy."""


class Voltage(msgspec.Struct, frozen=True):
    name: str = "voltage"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "AP3000: cuts above 270 V and below 100 V; warnings at 253 and 187 V are ours"

    def timing(self, policy: Policy) -> Timing:
        return Timing(policy.voltage.hold, policy.voltage.keep_firing)

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        limits, oldest = moment.policy.voltage, moment.now - moment.fresh_for
        lowest_v: float | None = None
        highest_v, bad_at = 0.0, oldest
        missing = False
        for part in device.parts:
            found_v, at = part.voltage_v, part.voltage_at
            if found_v is None or at is None:
                continue
            if at < oldest:
                missing = True
                continue
            if lowest_v is None or found_v < lowest_v:
                lowest_v = found_v
            highest_v = max(highest_v, found_v)
            if not limits.low_warn_v <= found_v <= limits.high_warn_v:
                bad_at = max(bad_at, at)
        if lowest_v is None:
            return UNKNOWN
        breach = _too_high(highest_v, limits) or _too_low(lowest_v, limits)
        if breach is not None:
            return breach if moment.now - bad_at < _holds_for(limits) else UNKNOWN
        if missing:
            return UNKNOWN
        well = limits.low_clear_v <= lowest_v and highest_v <= limits.high_clear_v
        return CLEAR if well else BETWEEN


def _holds_for(limits: VoltageLimits) -> timedelta:
    """Return how long a report bears a fault out; at least until it was judged."""
    return max(limits.hold / 2, JUDGED_WITHIN)


def _too_high(found_v: float, limits: VoltageLimits) -> Breach | None:
    if found_v <= limits.high_warn_v:
        return None
    act = found_v > limits.high_act_v
    limit_v = limits.high_act_v if act else limits.high_warn_v
    level = Severity.CRITICAL if act else Severity.WARNING
    return Breach(Evidence(found_v, limit_v, "V"), severity=level)


def _too_low(found_v: float, limits: VoltageLimits) -> Breach | None:
    if found_v >= limits.low_warn_v:
        return None
    act = found_v < limits.low_act_v
    limit_v = limits.low_act_v if act else limits.low_warn_v
    level = Severity.CRITICAL if act else Severity.WARNING
    return Breach(Evidence(found_v, limit_v, "V", lower_is_worse=True), severity=level)
