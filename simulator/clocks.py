"""What a device's own clock shows, and what goes wrong with clocks.

AP3000 piles show 1970 after each start until somebody sets them (DOMAIN §2.1); Tasmota says
local time without a zone (FORMATS §1.4); a quartz without correction drifts by seconds a day.
"""

from datetime import UTC, datetime, timedelta

import msgspec

RESTARTED_AT = datetime(1970, 1, 1, tzinfo=UTC)
"""An AP3000 shows 1970-01-01 08:00 local time, which is midnight in UTC."""
DAY = timedelta(days=1)


class ClockFault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a clock in [since, until); several of them add up."""

    since: datetime
    until: datetime | None = None
    off: timedelta = timedelta(0)
    """How far ahead it is; negative: behind."""
    a_day: timedelta = timedelta(0)
    """How much further ahead it gets each day."""
    restarts: bool = False
    """It begins at 1970 and runs on from there."""

    def shown(self, right: datetime, now: datetime) -> datetime:
        """Return what a clock shows that would show `right` without this fault."""
        if now < self.since or (self.until is not None and now >= self.until):
            return right
        passed = now - self.since
        if self.restarts:
            return RESTARTED_AT + passed
        return right + self.off + self.a_day * (passed / DAY)


def shown(faults: tuple[ClockFault, ...], now: datetime) -> datetime:
    """Return what a clock with these faults shows at `now`."""
    right = now
    for fault in faults:
        right = fault.shown(right, now)
    return right
