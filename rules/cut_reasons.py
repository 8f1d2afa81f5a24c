"""Which alarms switch off by themselves, and which sockets.

Only where the site asks for it (`cut.automatic`), only at the level at which somebody has to
act, and never on one raw sample: the alarm has fired, and at least two readings carry it. An
overload may fire on a single one (docs/decisions/011), which is good enough to call somebody.
"""

from collections.abc import Iterable, Iterator

from rules.alerts import Alert, State
from rules.subject import DeviceState, Values
from rules.verdict import Severity

CUTTING_RULES = frozenset({"overload", "pile_overload", "heat", "fire", "long_charge"})
"""Not smoke alone: of 210,000 warnings in Cixi 37 were fires, and a burning battery needs no
charger. Nor what a person has to look at first: closing time, a faulty meter."""
ACT_LEVELS = frozenset({Severity.CRITICAL, Severity.EMERGENCY})


def is_reason(alert: Alert, device: DeviceState | None, warm_c: float) -> bool:
    """Say whether an alert is reason enough to switch off now; device None: it is a group's.

    `warm_c` is from where on a temperature bears out a device that says itself it is too hot.
    """
    if alert.key.rule not in CUTTING_RULES or alert.severity not in ACT_LEVELS:
        return False
    if alert.state is not State.FIRING or alert.clear_since is not None:
        return False
    if alert.key.rule == "fire":
        return True  # two signs are its very definition
    if alert.key.rule == "long_charge":  # the hours at which devices themselves give up
        return alert.severity is Severity.EMERGENCY
    limit = alert.evidence.limit
    if device is None or limit is None:
        return False
    match alert.key.rule:
        case "overload":
            return _power_is_carried((device.values(alert.key.channel),), limit)
        case "pile_overload":
            return _power_is_carried(device.metered_parts, limit)
        case _:
            return any(_heat_is_carried(part, limit, warm_c) for part in device.parts)


def sockets_concerned(alert: Alert, device: DeviceState, charging_w: float) -> Iterator[Values]:
    """Yield the alert's own socket, or all of the device that charge."""
    if alert.key.device == device.id and alert.key.channel is not None:
        yield device.values(alert.key.channel)
        return
    for part in device.metered_parts:
        if part.power_w is not None and part.power_w >= charging_w:
            yield part


def _power_is_carried(parts: Iterable[Values], limit_w: float) -> bool:
    """Say whether the last readings and those before them are both above the limit."""
    now_w = before_w = 0.0
    for part in parts:
        now_w += part.power_w or 0.0
        before_w += part.power_before_w or 0.0
    return min(now_w, before_w) > limit_w


def _heat_is_carried(part: Values, limit_c: float, warm_c: float) -> bool:
    """Say whether two readings show the heat, or one bears out what the device says."""
    now_c, before_c = part.device_temperature_c, part.temperature_before_c
    if now_c is None:
        return False
    if part.overtemperature and now_c >= warm_c:
        return True
    return before_c is not None and limit_c <= min(now_c, before_c)
