"""All piles of a site together draw more than its feeder carries.

It is off until somebody says what the feeder carries: no standard knows that.
"""

import msgspec

from rules.alerts import GroupKind
from rules.groups import GroupState
from rules.policy import Policy
from rules.rule import GroupMoment
from rules.verdict import BETWEEN, CLEAR, Breach, Evidence, Severity, Timing, Verdict


class SiteOverload(msgspec.Struct, frozen=True):
    name: str = "site_overload"
    severity: Severity = Severity.CRITICAL
    group: GroupKind = GroupKind.SITE
    basis: str = "the rating of the site's own feeder"

    def timing(self, policy: Policy) -> Timing:
        return Timing(policy.site_overload.hold, policy.site_overload.keep_firing)

    def judge(self, group: GroupState, moment: GroupMoment) -> Verdict:
        limits = moment.policy.site_overload
        if not limits.feeder_w:
            return CLEAR
        power_w, act_w = group.power_w, limits.feeder_w * limits.act_share
        if power_w > act_w:
            return Breach(Evidence(power_w, act_w, "W"))
        warn_w = limits.feeder_w * limits.warn_share
        if power_w > warn_w:
            evidence = Evidence(power_w, warn_w, "W")
            return Breach(evidence, severity=Severity.WARNING)
        return CLEAR if power_w <= limits.feeder_w * limits.clear_share else BETWEEN
