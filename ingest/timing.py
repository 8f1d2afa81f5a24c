"""Which time a message gets, and whether it is news.

A device's clock is believed between 15 minutes behind our own and 5 minutes ahead of it
(SentryGuard #210 saw 80 s in the field and asks for 5 min). Anything else is one of two
things that must not be mixed up: a wrong clock, whose readings are news, or a message that
the device had kept back, which must never sound a siren for what was hours ago.
"""

from datetime import datetime, timedelta

from ingest.wire import Said
from rules.readings import ClockState, Standing
from rules.subject import DeviceState

BEHIND_MAX = timedelta(minutes=15)
AHEAD_MAX = timedelta(minutes=5)
YEAR_MIN = 2020
"""Clocks that were never set show 1970 or 2000; no device of ours is older than this."""

PACE_GAP_MIN = timedelta(seconds=1)
PACE_SLACK = timedelta(seconds=2)
PACE_SLACK_SHARE = 0.2


def settled(at: datetime | None, received_at: datetime) -> tuple[datetime, ClockState]:
    """Return the time to book a reading under, and where it comes from."""
    if at is None:
        return received_at, ClockState.ARRIVAL
    if -AHEAD_MAX <= received_at - at <= BEHIND_MAX:
        return at, ClockState.DEVICE
    return received_at, ClockState.WRONG


def timed(
    said: Said, received_at: datetime, before: DeviceState | None, *, retained: bool
) -> tuple[datetime, ClockState, Standing]:
    """Return a message's time, the state of the device's clock, and what it may do.

    A message is late if the device says so, or if its time goes back behind that of an
    earlier message without the two being paced like real time. A clock that was set back
    is found out by its second message: that one follows the first as it should.
    """
    at, clock = settled(said.at, received_at)
    if retained:
        return (said.at if _plausible(said.at, received_at) else at), clock, Standing.RETAINED
    if said.at is None:
        return at, clock, Standing.LIVE
    if said.buffered:
        kept_back = _plausible(said.at, received_at)
        return (said.at if kept_back else at), clock, Standing.LATE
    if before is None or before.said_at is None or before.heard_at is None:
        return at, clock, Standing.LIVE
    return at, clock, Standing.LIVE


def _plausible(at: datetime | None, received_at: datetime) -> bool:
    return at is not None and at.year >= YEAR_MIN and at <= received_at + AHEAD_MAX
