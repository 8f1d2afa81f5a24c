"""Nobody has tested a smoke detector for a month: nobody knows whether it would speak.

Only a detector that ever reported a test is asked for the next one, unless the policy asks
all: many cannot report one, and a warning that nobody can answer is not read twice.
"""

from datetime import timedelta

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState
from rules.verdict import (
    AT_ONCE,
    CLEAR,
    Breach,
    Clear,
    Evidence,
    Severity,
    Timing,
    Verdict,
)

SECOND = timedelta(seconds=1)


class SelfTestOverdue(msgspec.Struct, frozen=True):
    name: str = "self_test_overdue"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset({Kind.SMOKE})
    basis: str = "makers of detectors ask for a test each month; 35 days let it be late"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:
        limits = moment.policy.self_test_overdue
        tested = [part.self_test_at for part in device.parts if part.self_test_at is not None]
        since = max(tested, default=device.first_heard_at if limits.of_all else None)
        if since is None:
            return CLEAR
        due = since + limits.after
        if moment.now < due:
            return Clear(recheck_at=due)
        detail = "" if tested else "never_tested"
        return Breach(
            Evidence(limit=limits.after / SECOND, unit="s", since=since, detail=detail)
        )
