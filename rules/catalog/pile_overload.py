"""All sockets of a pile together draw more than its supply carries."""

import msgspec

from rules.plausible import carried_w
from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState
from rules.verdict import BETWEEN, CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict


class PileOverload(msgspec.Struct, frozen=True):
    name: str = "pile_overload"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "X10P firmware: no new session above 7.8 kW, limit 8.7 kW for 12 sockets"

    def timing(self, policy: Policy) -> Timing:
        return Timing(policy.pile_overload.hold, policy.pile_overload.keep_firing)

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        if not device.sockets:
            return CLEAR  # a single plug is one socket: that is Overload's
        total_w, sure = 0.0, True
        for part in device.metered_parts:
            power_w = carried_w(part.channel, device, moment.now, moment.fresh_for)
            if power_w is None:
                power_w = part.fresh_power_w(moment.now, moment.fresh_for)
            else:
                sure = False
            if power_w is None:
                sure = False
            else:
                total_w += power_w
        limits = moment.policy.pile_overload
        if total_w > limits.act_w:
            return Breach(Evidence(total_w, limits.act_w, "W", device.heard_at))
        if total_w > limits.warn_w:
            evidence = Evidence(total_w, limits.warn_w, "W", device.heard_at)
            return Breach(evidence, severity=Severity.WARNING)
        if not sure:
            return UNKNOWN  # what is missing may be what is too much
        return CLEAR if total_w <= limits.clear_w else BETWEEN
