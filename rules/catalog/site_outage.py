"""Half of a site's chargers have stopped reporting: its power or its network is gone.

One alert for the site then speaks for those of its devices. Battery detectors that are
heard meanwhile show that the network is there, so that it is the power.
"""

import msgspec

from rules.alerts import GroupKind
from rules.groups import GroupState
from rules.policy import Policy
from rules.rule import GroupMoment
from rules.verdict import (
    AT_ONCE,
    CLEAR,
    UNKNOWN,
    Breach,
    Evidence,
    Severity,
    Timing,
    Verdict,
)

FEWEST = 2
"""One silent device is a silent device."""


class SiteOutage(msgspec.Struct, frozen=True):
    name: str = "site_outage"
    severity: Severity = Severity.CRITICAL
    group: GroupKind = GroupKind.SITE
    basis: str = "ours: half a station does not fail at once by itself"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, group: GroupState, moment: GroupMoment) -> Verdict:
        absence, share = group.absence, moment.policy.site_outage.share
        if absence.missed < FEWEST or absence.share < share:
            return CLEAR
        if not moment.hearing:
            return UNKNOWN
        return Breach(Evidence(round(absence.share * 100, 1), share * 100, "%", absence.since))
