"""A device says of itself, or of a socket, that it is broken."""

import msgspec

from rules.policy import Policy
from rules.readings import Kind
from rules.rule import Moment
from rules.subject import DeviceState
from rules.verdict import AT_ONCE, CLEAR, UNKNOWN, Breach, Evidence, Severity, Timing, Verdict

FAULTY = frozenset(
    {
        "fault",
        "cannot_meter",
        "memory_bad",
        "contact_stuck",
        "poor_contact",
        "relay_welded",
        "hall_switch",
        "relay_or_fuse",
        "short_circuit",
        "card_chip",
        "detect_circuit",
    }
)
"""The port states of docs/messages.md that are faults: the AP3000's, in our words."""

DETAIL_MAX = 200
"""As long as a device's own text may be."""


class DeviceFault(msgspec.Struct, frozen=True):
    name: str = "device_fault"
    severity: Severity = Severity.WARNING
    kinds: frozenset[Kind] = frozenset(Kind)
    basis: str = "the device's own word; the port states are those of the AP3000"

    def timing(self, policy: Policy) -> Timing:  # noqa: ARG002
        return AT_ONCE

    def judge(self, device: DeviceState, moment: Moment) -> Verdict:  # noqa: ARG002
        known, faults = False, []
        for part in device.parts:
            if part.fault is None and part.port_state is None:
                continue
            known = True
            fault = part.fault
            if not fault and part.port_state in FAULTY:
                fault = part.port_state
            if fault:
                faults.append(fault if part.channel is None else f"{part.channel}: {fault}")
        if faults:
            return Breach(
                Evidence(since=device.heard_at, detail="; ".join(faults)[:DETAIL_MAX])
            )
        return CLEAR if known else UNKNOWN
