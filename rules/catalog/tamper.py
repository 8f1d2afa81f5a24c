"""A device was opened, or taken off its base: it may no longer watch what it should."""

import msgspec

from rules.policy import SitePolicy
from rules.readings import Kind
from rules.rule import (
    AT_ONCE,
    CLEAR,
    UNKNOWN,
    Breach,
    Evidence,
    Moment,
    Severity,
    Timing,
    Verdict,
)
from rules.subject import DeviceState


class Tamper(msgspec.Struct, frozen=True):
    name: str = "tamper"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset(Kind)
    basis: str = "the device's own contact"

    def timing(self, policy: SitePolicy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        known = False
        for part in device.parts:
            if part.tamper:
                return Breach(Evidence(since=device.heard_at))
            if part.tamper is not None:
                known = True
        return CLEAR if known else UNKNOWN
