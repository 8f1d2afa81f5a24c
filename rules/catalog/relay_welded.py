"""A relay is off and power flows all the same: nothing can switch this socket off."""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict


class RelayWelded(msgspec.Struct, frozen=True):
    name: str = "relay_welded"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "AP3000 has a port state for it; X10P meters show 1 W for 100 W next door"

    def timing(self, policy: Policy) -> Timing:
        return Timing(policy.relay_welded.hold)

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        if part.relay_on is None:
            return UNKNOWN
        if part.relay_on:
            return CLEAR
        power_w = part.fresh_power_w(moment.now, moment.fresh_for)
        if power_w is None:
            return UNKNOWN
        limit_w = moment.policy.dark_below_w
        if power_w < limit_w:
            return CLEAR
        if part.fresh_relay_on(moment.now, moment.fresh_for) is None:
            return UNKNOWN
        return Breach(Evidence(power_w, limit_w, "W", part.power_at))
