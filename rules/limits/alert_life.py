"""The life of an alert: when it flaps, and when it goes up a tier."""

from datetime import timedelta
from typing import Annotated

import msgspec

from rules.limits.limit import HOUR, MINUTE, SECOND, Limits


class FlappingLimits(Limits, frozen=True):
    """Alerts of any rule that come and go; the figures are ours."""

    times: Annotated[int, msgspec.Meta(ge=2, le=20)] = 3
    """As often as that an alert fires in `within`; then it flaps ..."""
    within: timedelta = HOUR
    quiet: timedelta = 15 * MINUTE
    """... and ends only when it has been clear for so long."""


class EscalationLimits(Limits, frozen=True):
    """Alerts of any rule that somebody must act on, and that go on."""

    after: timedelta = 3 * MINUTE
    """How long each tier has; what duty rooms in Yiwu are said to give."""
    tiers: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
    """1: nobody else is told."""
    remind_after: timedelta = 30 * MINUTE
    """How long an alert goes on, acknowledged or with no tier left, until all are reminded."""

    def check(self) -> None:
        if self.after < 10 * SECOND:
            raise ValueError("after must be at least 10 s")
        if self.remind_after < MINUTE:
            raise ValueError("remind_after must be at least 1 min")
