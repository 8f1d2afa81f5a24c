"""A bike still charges shortly before closing time: there is time yet to unplug it.

The moment to speak is a deadline of the engine, so it needs no message. At closing time it
is over, whatever is known of the bike: from then on it is AfterHours' to say.
"""

import msgspec

from rules.policy import SitePolicy
from rules.readings import Kind
from rules.rule import (
    AT_ONCE,
    CLEAR,
    Breach,
    Clear,
    Evidence,
    Moment,
    Severity,
    Timing,
    Unknown,
    Verdict,
)
from rules.subject import DeviceState, Values


class ClosingSoon(msgspec.Struct, frozen=True):
    name: str = "closing_soon"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "the site's own opening hours; it is off unless the site asks for it"

    def timing(self, policy: SitePolicy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        if not moment.policy.warn_before:
            return CLEAR
        span = moment.span
        if span.closed:
            return CLEAR
        power_w = part.fresh_power_w(moment.now, moment.fresh_for)
        if power_w is None:
            return Unknown(recheck_at=span.until)
        if power_w < moment.policy.charging_w_min:
            return CLEAR
        if not span.turns:
            return Clear(recheck_at=span.until)
        speaks_at = span.until - moment.policy.warn_before
        if moment.now < speaks_at:
            return Clear(recheck_at=speaks_at)
        return Breach(Evidence(power_w, unit="W", until=span.until), recheck_at=span.until)
