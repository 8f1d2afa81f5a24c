"""A bike charges for longer than any battery needs: it does not get full, or nobody looks.

Three levels, each a deadline of the engine, so that they need no message. A battery that
floats is as good as full, and is LongFloat's.
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
    Breach,
    Clear,
    Evidence,
    Severity,
    Timing,
    Unknown,
    Verdict,
)


class LongCharge(msgspec.Struct, frozen=True):
    name: str = "long_charge"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "8 h Beijing guide 2021; 10 h Shenzhen 2015, AP3000; 12 h X10P, China Tower"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:
        session, now = part.session, moment.now
        if session is None or session.ended_at is not None:
            return CLEAR
        if part.fresh_power_w(now, moment.fresh_for) is None:
            heard_at = device.waiting_since or session.at
            lost_at = heard_at + moment.policy.sessions.lost_after  # the engine ends it then
            return Unknown(recheck_at=lost_at if lost_at > now else None)
        if session.phase not in {Phase.CHARGING, Phase.TAPERING}:
            return CLEAR
        if session.low_since is not None:
            return BETWEEN
        limits = moment.policy.long_charge
        reached, level = None, Severity.WARNING
        for after, severity in (
            (limits.warn_after, Severity.WARNING),
            (limits.act_after, Severity.CRITICAL),
            (limits.hard_after, Severity.EMERGENCY),
        ):
            due = session.began_at + after
            if now < due:
                break
            reached, level = after, severity
        else:
            due = None
        if reached is None:
            return Clear(recheck_at=due)
        evidence = Evidence(limit=reached.total_seconds(), unit="s", since=session.began_at)
        return Breach(evidence, recheck_at=due, severity=level)
