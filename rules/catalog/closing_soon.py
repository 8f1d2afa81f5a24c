"""A bike still charges shortly before closing time: there is time yet to unplug it.

The moment to speak is a deadline of the engine, so it needs no message. At closing time it
is over, whatever is known of the bike: from then on it is AfterHours' to say.
"""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import (
    AT_ONCE,
    CLEAR,
    Breach,
    Clear,
    Evidence,
    Severity,
    Timing,
    Unknown,
    Verdict,
)


class ClosingSoon(msgspec.Struct, frozen=True):
    name: str = "closing_soon"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "the site's own opening hours; it is off unless the site asks for it"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        if not moment.policy.closing_soon.before:
            return CLEAR
        span = moment.span
        if span.closed:
            return CLEAR
        power_w = part.fresh_power_w(moment.now, moment.fresh_for)
        if power_w is None:
            return Unknown(recheck_at=span.until)
        if power_w < moment.policy.charging.min_w:
            return CLEAR
        if not span.turns:
            return Clear(recheck_at=span.until)
        speaks_at = span.until - moment.policy.closing_soon.before
        if moment.now < speaks_at:
            return Clear(recheck_at=speaks_at)
        return Breach(Evidence(power_w, unit="W", until=span.until), recheck_at=span.until)
