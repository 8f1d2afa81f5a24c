"""One socket draws more than a bike's charger should (warn), or ever should (act).

A power that cannot be is no reason to look away: then what the current carries is judged,
which may begin an alert and cannot end one.
"""

from datetime import datetime

import msgspec

from rules.limits.electricity import OverloadLimits
from rules.plausible import carried_w
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
        limits = moment.policy.overload
        carried = carried_w(part.channel, device, moment.now, moment.fresh_for)
        if carried is not None:
            too_much = carried > limits.warn_w
            return _too_much(carried, limits, device.heard_at) if too_much else UNKNOWN
        power_w = part.fresh_power_w(moment.now, moment.fresh_for)
        if power_w is None:
            return UNKNOWN
        if power_w <= limits.clear_w:
            return CLEAR
        if power_w <= limits.warn_w:
            return BETWEEN
        return _too_much(power_w, limits, part.power_at)


def _too_much(power_w: float, limits: OverloadLimits, since: datetime | None) -> Breach:
    if power_w <= limits.act_w:
        evidence = Evidence(power_w, limits.warn_w, "W", since)
        return Breach(evidence, severity=Severity.WARNING)
    return Breach(Evidence(power_w, limits.act_w, "W", since))
