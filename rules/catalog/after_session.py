"""A socket gets warmer, or stays warm, though nothing is charged there any more.

Most bikes that burn do not charge. The battery that was just charged stands beside the
socket, and a socket without load has no reason to be warm; so for some hours after a charge
less is allowed there than by Heat. The other sockets show what the sun does.
"""

from datetime import datetime
from statistics import median

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.session import Phase, Session
from rules.subject import DeviceState, Values
from rules.verdict import (
    CLEAR,
    UNKNOWN,
    Between,
    Breach,
    Evidence,
    Severity,
    Timing,
    Verdict,
)


class AfterSession(msgspec.Struct, frozen=True):
    name: str = "after_session"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "July 2024: 639 of 1,402 e-bike fires were of bikes parked and not charging"

    def timing(self, policy: Policy) -> Timing:
        return Timing(keep_firing=policy.heat.keep_firing)

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:
        session = part.session
        if session is None or (session.is_open and session.phase is not Phase.FINISHED):
            return CLEAR
        oldest = moment.now - moment.fresh_for
        warm_c, coolest_c = session.warm_c, session.coolest_c
        if warm_c is None or coolest_c is None or part.temperature_c_since(oldest) is None:
            return UNKNOWN
        limits = moment.policy.after_session
        others_c = _others_c(part, device, oldest)
        if others_c is not None and warm_c < others_c + limits.siblings_c:
            return CLEAR
        over_at, is_warm = _over_at(session), warm_c >= limits.warm_c
        if warm_c >= coolest_c + limits.rise_c and (is_warm or others_c is not None):
            return Breach(Evidence(warm_c, coolest_c + limits.rise_c, "°C", over_at))
        if not is_warm:
            return CLEAR
        due = over_at + limits.cools_within
        if moment.now < due:
            return Between(recheck_at=due)
        evidence = Evidence(warm_c, limits.warm_c, "°C", over_at)
        return Breach(evidence, severity=Severity.WARNING)


def _over_at(session: Session) -> datetime:
    return session.ended_at or session.low_since or session.at


def _others_c(part: Values, device: DeviceState, oldest: datetime) -> float | None:
    """Return how warm the other sockets are; None if nobody knows."""
    found = [
        warm_c
        for other in device.sockets.values()
        if other is not part and (warm_c := other.temperature_c_since(oldest)) is not None
    ]
    return median(found) if found else None
