"""Which alarms switch off by themselves, and which sockets.

Only where the site asks for it (`cut.automatic`), only at the level at which somebody has to
act, and never on one raw sample: the alarm has fired, and at least two readings carry it. An
overload may fire on a single one (docs/decisions/011), which is good enough to call somebody.
"""

from collections.abc import Iterator

from rules.alerts import Alert, State
from rules.subject import DeviceState, Values
from rules.verdict import Severity

CUTTING_RULES = frozenset({"overload", "pile_overload", "heat", "fire"})
"""Not smoke alone: of 210,000 warnings in Cixi 37 were fires, and a burning battery needs no
charger. Nor what a person has to look at first: long charges, closing time, a faulty meter."""
ACT_LEVELS = frozenset({Severity.CRITICAL, Severity.EMERGENCY})


def is_reason(alert: Alert, device: DeviceState | None) -> bool:
    """Say whether an alert is reason enough to switch off now; None: it is a group's."""
    if alert.key.rule not in CUTTING_RULES or alert.severity not in ACT_LEVELS:
        return False
    if alert.state is not State.FIRING or alert.clear_since is not None:
        return False
    if alert.key.rule == "fire":
        return True  # two kinds of reading are its very definition
    return device is not None and _is_carried(alert, device)


def sockets_concerned(alert: Alert, device: DeviceState, charging_w: float) -> Iterator[Values]:
    """Yield the alert's own socket, or all of the device that charge."""
    if alert.key.device == device.id and alert.key.channel is not None:
        yield device.values(alert.key.channel)
        return
    for part in device.metered_parts:
        if part.power_w is not None and part.power_w >= charging_w:
            yield part


def _is_carried(alert: Alert, device: DeviceState) -> bool:
    """Say whether the last reading and one before it show the same."""
    limit = alert.evidence.limit
    match alert.key.rule:
        case "overload":
            part = device.values(alert.key.channel)
            return (
                limit is not None and (part.power_w or 0.0) > limit and _before_w(part) > limit
            )
        case "pile_overload":
            parts = device.metered_parts
            now_w = sum(part.power_w or 0.0 for part in parts)
            return limit is not None and min(now_w, sum(map(_before_w, parts))) > limit
        case _:
            heard = [part.temperature_at for part in device.parts if part.temperature_at]
            return max(heard, default=alert.began_at) > alert.began_at


def _before_w(part: Values) -> float:
    """Return the power of the reading before the last, 0 if there was none."""
    return part.power_before_w or 0.0
