"""One socket draws more than a bike's charger should (warn), or ever should (act)."""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import BETWEEN, CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict


class Overload(msgspec.Struct, frozen=True):
    name: str = "overload"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "operators' price tiers end at 800 to 1200 W; AP3000 averages over 30 s"

    def timing(self, policy: Policy) -> Timing:
        return Timing(policy.overload.hold, policy.overload.keep_firing)

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:
        if part.channel is None and device.sockets:
            return CLEAR  # one meter for several sockets: that is PileOverload's
        power_w = part.fresh_power_w(moment.now, moment.fresh_for)
        if power_w is None:
            return UNKNOWN
        limits = moment.policy.overload
        if power_w <= limits.clear_w:
            return CLEAR
        if power_w <= limits.warn_w:
            return BETWEEN
        if power_w <= limits.act_w:
            evidence = Evidence(power_w, limits.warn_w, "W", part.power_at)
            return Breach(evidence, severity=Severity.WARNING)
        return Breach(Evidence(power_w, limits.act_w, "W", part.power_at))
