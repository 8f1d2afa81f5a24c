"""A socket suddenly draws more, though nobody plugged in there: two bikes on one socket.

The second one hangs on an adapter or an extension lead that was made for neither. What the
session calls a step has lasted for several readings, began long after the plug went in, and
is above all that this charge has drawn before.
"""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import (
    AT_ONCE,
    BETWEEN,
    CLEAR,
    UNKNOWN,
    Breach,
    Evidence,
    Severity,
    Timing,
    Verdict,
)

GONE_SHARE = 0.5
"""Ours: half the rise has to go again, so that a taper does not end and begin it."""


class PowerStep(msgspec.Struct, frozen=True):
    name: str = "power_step"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "AP3000's dynamic overload: a rise of 80 W over 30 s, from 30 min on"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        session = part.session
        if session is None or not session.is_open or session.stepped_from_w is None:
            return CLEAR
        if part.fresh_power_w(moment.now, moment.fresh_for) is None:
            return UNKNOWN
        rise_w = session.level_w - session.stepped_from_w
        limit_w = moment.policy.power_step.rise_w
        if rise_w < limit_w * GONE_SHARE:
            return CLEAR
        if rise_w < limit_w or session.low_since is not None:
            return BETWEEN
        top_w = session.stepped_from_w + limit_w
        return Breach(Evidence(session.level_w, top_w, "W", session.stepped_at))
