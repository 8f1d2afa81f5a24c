"""A device that nobody declared has been talking for some time.

It is watched like any other, with the defaults: whether those fit, nobody has said.
"""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState
from rules.verdict import AT_ONCE, CLEAR, Breach, Evidence, Severity, Timing, Verdict


class UndeclaredDevice(msgspec.Struct, frozen=True):
    name: str = "undeclared_device"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset(Kind)
    basis: str = "ours: 10 min are more than somebody's try"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        if moment.profile.declared or device.heard_at is None or device.first_heard_at is None:
            return CLEAR
        allowed = moment.policy.undeclared_device.after
        if device.heard_at - device.first_heard_at < allowed:
            return CLEAR
        evidence = Evidence(
            limit=allowed.total_seconds(), unit="s", since=device.first_heard_at
        )
        return Breach(evidence)
