"""A socket or the case of a device is so hot that something is about to burn.

Several sensors are one alert of the device, with the hottest as evidence. What a sensor
cannot have measured is not known: it raises nothing and ends nothing.
"""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState
from rules.verdict import BETWEEN, CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict


class Heat(msgspec.Struct, frozen=True):
    name: str = "heat"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset(Kind)
    basis: str = "AP3000: alarm at 80 C over 30 s; X10P firmware warned at 65 C"

    def timing(self, policy: Policy) -> Timing:
        return Timing(policy.heat.hold, policy.heat.keep_firing)

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        limits, oldest = moment.policy.heat, moment.now - moment.fresh_for
        hottest_c: float | None = None
        where, said, missing = "", False, False
        for part in device.parts:
            if part.overtemperature:
                said = True
            if part.device_temperature_c is None:
                continue
            found_c = part.temperature_c_since(oldest)
            if found_c is None:
                missing = True
            elif hottest_c is None or found_c > hottest_c:
                hottest_c, where = found_c, str(part.channel or "")
        if said or (hottest_c is not None and hottest_c >= limits.warn_c):
            act = said or (hottest_c is not None and hottest_c >= limits.act_c)
            limit_c = limits.act_c if act else limits.warn_c
            evidence = Evidence(hottest_c, limit_c, "°C", device.heard_at, detail=where)
            level = Severity.CRITICAL if act else Severity.WARNING
            return Breach(evidence, at_once=said, severity=level)
        if hottest_c is None or missing:
            return UNKNOWN  # the one that is missing may be the one that burns
        return CLEAR if hottest_c < limits.clear_c else BETWEEN
