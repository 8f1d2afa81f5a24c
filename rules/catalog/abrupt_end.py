"""A charge broke off, and there is heat or smoke: the charger tripped on what burns.

Power that falls from the plateau to nothing is mostly somebody who pulls the plug, and
alone it is no alarm: it only waits, pending, for the time in which a fire shows itself. But
what naive rules call "finished" is worse, not better, where something is hot or smokes.
"""

from datetime import timedelta

import msgspec

from rules.alerts import State
from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.session import Ending
from rules.subject import DeviceState, Values
from rules.verdict import BETWEEN, CLEAR, Breach, Evidence, Severity, Timing, Verdict

NEVER = Timing(hold=timedelta(days=365))
"""It waits for a witness, not for time to pass."""
ANYWHERE, HERE = ("smoke",), ("heat", "after_session")
"""The rules that are witnesses, at the site and of the device: elsewhere it may be the sun."""


class AbruptEnd(msgspec.Struct, frozen=True):
    name: str = "abrupt_end"
    severity: Severity = Severity.CRITICAL
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "ours: overcharged batteries trip their chargers before they burn"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return NEVER

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:
        session = part.session
        if session is None or session.ending is not Ending.ABRUPT:
            return CLEAR
        fell_at = session.low_since
        if fell_at is None or not session.has_charged:
            return CLEAR
        witness = _witness(device, moment)
        over_at = fell_at + moment.policy.abrupt_end.window
        if moment.now >= over_at:
            return BETWEEN if witness else CLEAR  # it may go on, but begins no more
        evidence = Evidence(
            session.level_w, unit="W", since=fell_at, until=over_at, detail=witness
        )
        return Breach(evidence, recheck_at=over_at, at_once=bool(witness))


def _witness(device: DeviceState, moment: Moment) -> str:
    """Return the rule that bears out that something burns; empty if none does."""
    for rule in ANYWHERE:
        if moment.site.fires(rule):
            return rule
    for rule in HERE:
        for alert in moment.site.open(rule):
            if alert.key.device == device.id and alert.state is State.FIRING:
                return rule
    return ""
