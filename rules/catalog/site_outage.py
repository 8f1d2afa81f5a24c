"""Half of a site's chargers have stopped reporting: its power or its network is gone.

One alert for the site then speaks for those of its devices. Battery detectors that are
heard meanwhile show that the network is there, so that it is the power.
"""

from datetime import datetime

import msgspec

from rules.alerts import GroupKind
from rules.groups import GroupState
from rules.policy import Policy
from rules.readings import Kind
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
        chargers = group.kinds[Kind.CHARGER]
        if group.how_many_open("silence") < max(
            FEWEST, moment.policy.site_outage.share * chargers
        ):
            return CLEAR
        if not moment.hearing:
            return UNKNOWN
        silent = [
            alert
            for alert in group.open("silence")
            if alert.key.device and group.members.get(alert.key.device) is Kind.CHARGER
        ]
        share = len(silent) / chargers if chargers else 0.0
        if len(silent) < FEWEST or share < moment.policy.site_outage.share:
            return CLEAR
        since = min(_last_heard(alert.evidence, alert.began_at) for alert in silent)
        limit = moment.policy.site_outage.share * 100
        return Breach(Evidence(round(share * 100, 1), limit, "%", since))


def _last_heard(evidence: Evidence, began_at: datetime) -> datetime:
    return evidence.since or began_at
