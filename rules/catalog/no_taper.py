"""A battery takes what it is given and gets no fuller: power does not fall when it should.

A charger that does not see a full battery overcharges it, and overcharge is how the
brigade's test made one burn. Or it takes more energy than any pack can hold; what a float
adds to that in days is LongFloat's.
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
    Breach,
    Clear,
    Evidence,
    Severity,
    Timing,
    Verdict,
)


class NoTaper(msgspec.Struct, frozen=True):
    name: str = "no_taper"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "ours, from Ah / A and from the largest packs; overcharge does not taper"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        session = part.session
        if session is None or not (session.is_open and session.has_charged):
            return CLEAR
        if part.fresh_power_w(moment.now, moment.fresh_for) is None:
            return UNKNOWN
        if session.low_since is not None:
            return BETWEEN
        limits = moment.policy.no_taper
        if (energy_kwh := session.energy_kwh) > limits.energy_max_kwh:
            drawn_kwh = round(energy_kwh, 2)
            evidence = Evidence(drawn_kwh, limits.energy_max_kwh, "kWh", session.began_at)
            return BETWEEN if session.phase is Phase.FLOAT else Breach(evidence)
        if session.phase not in {Phase.CHARGING, Phase.TAPERING}:
            return CLEAR
        due = session.held_since + limits.after
        if moment.now < due:
            return Clear(recheck_at=due)
        evidence = Evidence(
            limit=limits.after.total_seconds(), unit="s", since=session.held_since
        )
        return Breach(evidence)
