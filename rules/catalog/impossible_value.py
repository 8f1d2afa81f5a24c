"""A device reports what cannot be: it is broken, or speaks in units that we misunderstand.

No other rule sees such a value (rules/plausible.py); this one says that it is missing there.
"""

from datetime import datetime

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Oddity
from rules.verdict import CLEAR, Breach, Evidence, Severity, Timing, Verdict


class ImpossibleValue(msgspec.Struct, frozen=True):
    name: str = "impossible_value"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset(Kind)
    basis: str = "ours: beyond anything that a sensor at a charging station can measure"

    def timing(self, policy: Policy) -> Timing:
        limits = policy.impossible_value
        return Timing(limits.hold, limits.keep_firing)

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        if not device.oddities:
            return CLEAR
        what, first = min(device.oddities.items(), key=_plainest)
        return Breach(Evidence(first.value, first.limit, first.unit, first.since, detail=what))


def _plainest(named: tuple[str, Oddity]) -> tuple[datetime, bool, str]:
    """Sort what cannot be by itself before what only other values speak against."""
    name, oddity = named
    return oddity.since, oddity.carried_w is not None, name
