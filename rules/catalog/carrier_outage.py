"""The chargers of several sites fall silent at once, and all of them speak through one carrier.

One alert for the carrier then speaks for those of the sites and of their devices. Sites that
fall silent one after the other are told each by itself until there are enough of them.
"""

import msgspec

from rules.alerts import GroupKind
from rules.groups import GroupState
from rules.policy import Policy
from rules.rule import GroupMoment
from rules.verdict import CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict


class CarrierOutage(msgspec.Struct, frozen=True):
    name: str = "carrier_outage"
    severity: Severity = Severity.CRITICAL
    group: GroupKind = GroupKind.CARRIER
    basis: str = "ours: sites that share nothing but a carrier do not fail at once by chance"

    def timing(self, policy: Policy) -> Timing:
        return Timing(keep_firing=policy.carrier_outage.keep_firing)

    def judge(self, group: GroupState, moment: GroupMoment) -> Verdict:
        limits, absence = moment.policy.carrier_outage, group.absence
        dark = len(absence.dark_sites)
        if dark < limits.sites or absence.share < limits.share:
            return CLEAR
        if not moment.hearing:
            return UNKNOWN
        found = round(absence.share * 100, 1)
        return Breach(Evidence(found, limits.share * 100, "%", absence.since, detail=str(dark)))
