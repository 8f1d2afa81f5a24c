"""Somebody charges at a socket that was cut for safety and that nobody has cleared.

Wuhan, January 2025: a pile warned and cut off; five minutes later the owner started the
session again from home, and the bike burned.
"""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import AT_ONCE, CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict


class LatchedCharging(msgspec.Struct, frozen=True):
    name: str = "latched_charging"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "Wuhan, January 2025: cut off, started again from home, burned"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        latch = None if part.cut is None else part.cut.latch
        if latch is None or latch.dark_at is None:
            return CLEAR  # power that has never been gone is what `cut_failed` speaks of
        power_w = part.fresh_power_w(moment.now, moment.fresh_for)
        if power_w is None:
            return UNKNOWN
        limit_w = moment.policy.dark_below_w
        if power_w < limit_w:
            return CLEAR
        return Breach(Evidence(power_w, limit_w, "W", part.power_at, detail=latch.reason))
