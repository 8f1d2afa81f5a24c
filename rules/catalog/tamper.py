"""A device was opened, or taken off its base: it may no longer watch what it should."""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState
from rules.verdict import AT_ONCE, CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict


class Tamper(msgspec.Struct, frozen=True):
    name: str = "tamper"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset(Kind)
    basis: str = "the device's own contact"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        known = False
        for part in device.parts:
            if part.tamper:
                return Breach(Evidence(since=device.heard_at))
            if part.tamper is not None:
                known = True
        return CLEAR if known else UNKNOWN
