"""A smoke detector sees smoke. It never waits: no hold, and its own lane to the ledger."""

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


class Smoke(msgspec.Struct, frozen=True):
    name: str = "smoke"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset(Kind)
    basis: str = "brigade's overcharge test: white smoke 3 min, explosion 6 min after swelling"

    def timing(self, policy: SitePolicy) -> Timing:  # noqa: ARG002  (no site may slow it down)
        return AT_ONCE

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        smoke = device.whole.smoke_alarm
        if smoke is None:
            return UNKNOWN
        if not smoke or device.whole.self_test:
            return CLEAR
        return Breach(Evidence(since=device.heard_at))
