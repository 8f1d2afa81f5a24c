"""A device's clock has been wrong for long: nobody sets it, and its own record is useless.

Only a message that shows the time says anything about it.
"""

import msgspec

from rules.policy import Policy
from rules.readings import ClockState, Kind
from rules.rule import Moment
from rules.subject import DeviceState
from rules.verdict import AT_ONCE, CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict


class ClockWrong(msgspec.Struct, frozen=True):
    name: str = "clock_wrong"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset(Kind)
    basis: str = "AP3000: its clock shows 1970 after each start until it is set"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        since = device.clock_wrong_since
        if since is None:
            return CLEAR
        if device.clock is not ClockState.WRONG or device.heard_at is None:
            return UNKNOWN
        allowed = moment.policy.clock_wrong.after
        if device.heard_at - since < allowed:
            return CLEAR
        return Breach(Evidence(limit=allowed.total_seconds(), unit="s", since=since))
