"""One socket draws more than a bike's charger ever should."""

import msgspec

from rules.policy import SitePolicy
from rules.readings import Kind
from rules.rule import (
    BETWEEN,
    CLEAR,
    UNKNOWN,
    Breach,
    Evidence,
    Moment,
    Severity,
    Timing,
    Verdict,
)
from rules.subject import DeviceState, Values


class Overload(msgspec.Struct, frozen=True):
    name: str = "overload"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "operators' price tiers end at 800 to 1200 W; AP3000 averages over 30 s"

    def timing(self, policy: SitePolicy) -> Timing:
        return Timing(policy.overload_hold, policy.overload_keep_firing)

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:
        if part.channel is None and device.sockets:
            return CLEAR  # one meter for several sockets: that is PileOverload's
        power_w = part.fresh_power_w(moment.now, moment.fresh_for)
        if power_w is None:
            return UNKNOWN
        limit = moment.policy.socket_limit_w
        if power_w <= limit.clear:
            return CLEAR
        if power_w <= limit.trigger:
            return BETWEEN
        return Breach(Evidence(power_w, limit.trigger, "W", part.power_at))
