"""Alerts that come and go: after a few times they stay until it has been quiet for long.

Only the end is put off, never a beginning: the first alarm, and every worse one, is told at
once. People hear of a socket that trips every other minute three times, not thirty.
"""

from datetime import datetime

import msgspec

from rules.alerts import Alert, AlertKey
from rules.limits.alert_life import FlappingLimits
from rules.verdict import Timing


class Firings(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When an alert fired of late, oldest first; at most as often as makes it flap."""

    key: AlertKey
    at: tuple[datetime, ...]


def counted(
    before: tuple[datetime, ...], limits: FlappingLimits, now: datetime
) -> tuple[datetime, ...]:
    """Return when it fired within the window, `now` included; what is older is forgotten."""
    recent = [at for at in before if now - at < limits.within]
    return (*recent, now)[-limits.times :]


def flaps(firings: tuple[datetime, ...], limits: FlappingLimits) -> bool:
    """Say whether an alert that fired at these moments flaps."""
    return len(firings) >= limits.times


def damped(alert: Alert, timing: Timing, limits: FlappingLimits) -> Timing:
    """Return how long an alert must be clear to end, with regard to its flapping."""
    if not alert.flaps or timing.keep_firing >= limits.quiet:
        return timing
    return Timing(timing.hold, limits.quiet)
