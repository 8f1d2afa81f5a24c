"""A socket was to be switched off for safety, and nobody can say that it is."""

import msgspec

from rules.cutting import Action, CommandState, Failure
from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState, Values
from rules.verdict import AT_ONCE, BETWEEN, CLEAR, Breach, Evidence, Severity, Timing, Verdict


class CutFailed(msgspec.Struct, frozen=True):
    name: str = "cut_failed"
    severity: Severity = Severity.EMERGENCY
    kinds: frozenset[Kind] = frozenset({Kind.CHARGER})
    basis: str = "AP3000 ignores a stop that is not exact; SteVe #651, evcc #22499: charging on"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002  (no site may slow it down)
        return AT_ONCE

    def judge(self, part: Values, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        cut = part.cut
        if cut is None or cut.latch is None or cut.command.action is not Action.CUT:
            return CLEAR
        command = cut.command
        if command.is_open:
            return BETWEEN  # a new try ends the alarm of the last one only if it works
        if command.state is CommandState.VERIFIED or command.failure is Failure.SUPERSEDED:
            return CLEAR
        power_w = part.fresh_power_w(moment.now, moment.fresh_for)
        detail = command.failure or ""
        return Breach(
            Evidence(
                power_w,
                moment.policy.dark_below_w,
                "W",
                since=command.ordered_at,
                detail=detail,
            )
        )
