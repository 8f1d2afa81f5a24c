"""A bike charges while the station is closed and nobody is near.

Also for one that was plugged in long before: the boundary is a deadline of the engine, so
the rule speaks at closing time (plus grace) though no new message says anything.
"""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import CLEAR, UNKNOWN, Breach, Clear, Evidence, Severity, Timing, Verdict


class AfterHours(msgspec.Struct, frozen=True):
    name: str = "after_hours"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "the site's own opening hours; no law found that forbids the night"

    def timing(self, policy: Policy) -> Timing:
        return Timing(hold=policy.after_hours.grace)

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        power_w = part.fresh_power_w(moment.now, moment.fresh_for)
        if power_w is None:
            return UNKNOWN
        if power_w < moment.policy.charging.min_w:
            return CLEAR
        span = moment.span
        if not span.closed:
            return Clear(recheck_at=span.until)
        evidence = Evidence(power_w, unit="W", since=span.since, until=span.until)
        return Breach(evidence, recheck_at=span.until)
