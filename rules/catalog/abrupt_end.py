"""A charge broke off, and there is heat or smoke: the charger tripped on what burns.

Power that falls from the plateau to nothing is mostly somebody who pulls the plug, and
alone it is no alarm: it only waits, pending, for the time in which a fire shows itself. But
what naive rules call "finished" is worse, not better, where something is hot or smokes.
"""

from datetime import datetime, timedelta

import msgspec

from rules.alerts import State
from rules.groups import GroupState
from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.session import Ending
from rules.subject import DeviceState, Values
from rules.verdict import BETWEEN, CLEAR, Breach, Evidence, Severity, Timing, Verdict

NEVER = Timing(hold=timedelta(days=365))
"""It waits for a witness, not for time to pass."""
HERE = ("heat", "warm", "after_session")
"""Rules that are witnesses if they speak of the same device: elsewhere it may be the sun."""


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
        witness = _witness(device, fell_at, moment.site)
        over_at = fell_at + moment.policy.abrupt_end.window
        if moment.now >= over_at:
            return BETWEEN if witness else CLEAR  # it may go on, but begins no more
        evidence = Evidence(
            session.level_w, unit="W", since=fell_at, until=over_at, detail=witness
        )
        sure_at = fell_at + moment.policy.sessions.unplugged_for
        if moment.now < sure_at:  # a plug may bounce, and a meter may err
            return Breach(evidence, recheck_at=sure_at)
        return Breach(evidence, recheck_at=over_at, at_once=bool(witness))


def _witness(device: DeviceState, fell_at: datetime, site: GroupState) -> str:
    """Return the rule that bears out that something burns; empty if none does.

    Smoke does, wherever it is at the site, and heat of the device. That it is warm does
    only if it was not before: a load warms its socket.
    """
    if site.fires("smoke"):
        return "smoke"
    for rule in HERE:
        for alert in site.open(rule):
            speaks = alert.key.device == device.id and alert.state is State.FIRING
            if speaks and (rule == "heat" or alert.began_at > fell_at):
                return rule
    return ""
