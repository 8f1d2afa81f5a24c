"""A device that has stopped reporting protects nobody.

Only data counts as life; a last will is a hint that shortens the wait, for brokers and
devices are known to leave stale ones behind. One that nobody declared is expected by nobody:
it may be a try, or a flood, and `undeclared_device` is what is said of it.
"""

from datetime import timedelta

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState
from rules.verdict import (
    CLEAR,
    UNKNOWN,
    Breach,
    Clear,
    Evidence,
    Severity,
    Timing,
    Verdict,
)

AFTER_LAST_WILL = timedelta(minutes=2)
"""A device that reboots is back by then, with the jitter of its reconnect."""


class Silence(msgspec.Struct, frozen=True):
    name: str = "silence"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER, Kind.SMOKE})
    basis: str = "two and a half beats of the device's kind"

    def timing(self, policy: Policy) -> Timing:
        return Timing(hold=policy.silence.hold)

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        if not moment.hearing:
            return UNKNOWN
        if device.waiting_since is None:
            return CLEAR  # never heard live: the registry lists it as such
        if not moment.profile.declared:
            return CLEAR
        allowed, due = moment.fresh_for, device.waiting_since + moment.fresh_for
        if device.offline_since is not None:
            due = min(due, max(device.offline_since, device.waiting_since) + AFTER_LAST_WILL)
        if moment.now < due:
            return Clear(recheck_at=due)
        return Breach(Evidence(limit=allowed.total_seconds(), unit="s", since=device.heard_at))
