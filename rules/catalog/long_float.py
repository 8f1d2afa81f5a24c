"""A battery that is as good as full still draws a little, and that gets hardly less.

The trickle of a healthy one falls below any charging power within the hour; one that is worn,
or has a dead cell, goes on drawing, and turns it into heat. What falls by more than a third
within the hour is the end of a charge, and no float yet.
"""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.session import Phase
from rules.subject import DeviceState, Values
from rules.verdict import (
    AT_ONCE,
    BETWEEN,
    CLEAR,
    UNKNOWN,
    Between,
    Breach,
    Evidence,
    Severity,
    Timing,
    Verdict,
)

METER_W = 0.5
"""By so much a meter in whole watts errs: it shows 15 W where less than any charging power
flows, and may do so for minutes when a float ends."""


class LongFloat(msgspec.Struct, frozen=True):
    name: str = "long_float"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "X10P ends a charge after 45 min of trickle, AP3000 after 60 min of float"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        session = part.session
        if session is None or not session.is_open or session.phase is not Phase.FLOAT:
            return CLEAR
        power_w = part.fresh_power_w(moment.now, moment.fresh_for)
        if power_w is None:
            return UNKNOWN
        if session.low_since is not None:
            return BETWEEN
        since = max(session.since, session.held_since)
        due = since + moment.policy.long_float.after
        if moment.now < due:
            return Between(recheck_at=due)  # told of already, it is no news that it gets less
        if power_w < moment.policy.charging.min_w + METER_W:
            return BETWEEN
        return Breach(Evidence(power_w, unit="W", since=since))
