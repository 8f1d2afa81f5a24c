"""Half of a site's chargers have stopped reporting: its power or its network is gone.

One alert for the site then speaks for those of its devices. Battery detectors that are
heard meanwhile show that the network is there, so that it is the power.
"""

from datetime import timedelta

import msgspec

from rules.alerts import GroupKind
from rules.groups import GroupState
from rules.policy import Policy
from rules.rule import GroupMoment
from rules.verdict import (
    CLEAR,
    UNKNOWN,
    Breach,
    Evidence,
    Severity,
    Timing,
    Verdict,
)

POWER_LOST = ("power_loss", "power loss", "power_lost", "power lost", "mains")
"""What devices with a reserve say last, in `fault`; an AP3000 sends it as an alarm (0x42)."""

HEARD_SINCE = timedelta(minutes=1)
"""A detector that is heard so long after the last charger came by a network that works."""

FEWEST = 2
"""One silent device is a silent device."""


class SiteOutage(msgspec.Struct, frozen=True):
    name: str = "site_outage"
    severity: Severity = Severity.CRITICAL
    group: GroupKind = GroupKind.SITE
    basis: str = "ours: half a station does not fail at once by itself"

    def timing(self, policy: Policy) -> Timing:
        return Timing(keep_firing=policy.site_outage.keep_firing)

    def judge(self, group: GroupState, moment: GroupMoment) -> Verdict:
        absence, share = group.absence, moment.policy.site_outage.share
        if absence.missed < FEWEST or absence.share < share:
            return CLEAR
        if not moment.hearing:
            return UNKNOWN
        found = round(absence.share * 100, 1)
        return Breach(Evidence(found, share * 100, "%", absence.since, detail=_cause(group)))


def _cause(group: GroupState) -> str:
    """Return the word for what is gone: the power, or nobody can tell what."""
    until = group.absence.until
    for alert in group.open("device_fault"):
        if any(words in alert.evidence.detail.casefold() for words in POWER_LOST):
            return "power_said"
    if until and group.detector_heard_at and group.detector_heard_at - until >= HEARD_SINCE:
        return "power"
    return "power_or_network"
