"""A meter or a sensor says exactly the same for hours: it measures nothing any more.

A bike that charges draws a little more, then less, with every minute; the air cools down at
night. The same figure to the last digit, again and again, is a memory and no measurement.
"""

from datetime import datetime

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import AT_ONCE, CLEAR, Breach, Evidence, Severity, Timing, Verdict


class StuckValue(msgspec.Struct, frozen=True):
    name: str = "stuck_value"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "ours: no two measurements are alike to the last digit for hours"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002  (it has lasted long enough)
        return AT_ONCE

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        messages = moment.policy.stuck_value.messages
        for part in device.parts:
            if part.power_same >= messages or part.temperature_same >= messages:
                verdict = _judged(part, moment)
                if verdict is not None:
                    return verdict
        return CLEAR


def _judged(part: Values, moment: Moment) -> Breach | None:
    limits, now = moment.policy.stuck_value, moment.now
    power_w, since = part.power_w or 0.0, part.power_same_since
    trickle_w = max(moment.policy.charging.min_w, moment.policy.sessions.float_w)
    charges = part.power_same >= limits.messages and power_w > trickle_w
    if charges and since is not None and now - since >= limits.power_for:
        return _breach("power_w", power_w, "W", since, part)
    found_c, since = part.device_temperature_c, part.temperature_same_since
    if found_c is None or since is None or part.temperature_same < limits.messages:
        return None
    if now - since < limits.temperature_for:
        return None
    return _breach("device_temperature_c", found_c, "°C", since, part)


def _breach(what: str, value: float, unit: str, since: datetime, part: Values) -> Breach:
    where = what if part.channel is None else f"{what}; socket {part.channel}"
    return Breach(Evidence(value, unit=unit, since=since, detail=where))
