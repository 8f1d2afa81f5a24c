"""Which time a message gets, and whether it is news.

A device's clock is believed between 15 minutes behind our own and 5 minutes ahead of it
(SentryGuard #210 saw 80 s in the field and asks for 5 min). Anything else is one of two
things that must not be mixed up: a wrong clock, whose readings are news, or a message that
the device had kept back, which must never sound a siren for what was hours ago.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

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


def in_utc(at: datetime) -> datetime:
    """Return a device's claim in UTC; at the ends of the calendar, where none is, as it is."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return at.replace(tzinfo=UTC)


class Timed(NamedTuple):
    at: datetime
    clock: ClockState
    standing: Standing


def timed(
    said: Said, received_at: datetime, before: DeviceState | None, *, retained: bool
) -> Timed:
    """Return a message's time, the state of the device's clock, and what it may do.

    A message is late if the device says so, or if its time falls back behind what the
    device said before. A clock that was set back looks the same at first, and is found
    out by its second message, which follows the first as it should: that one is news
    again. Smoke and heat are news in any case, whatever the clock.
    """
    at, clock = settled(said.at, received_at)
    if retained:
        kept_at = said.at if said.at is not None and _plausible(said.at, received_at) else at
        return Timed(kept_at, clock, Standing.RETAINED)
    if said.at is None or not _plausible(said.at, received_at):
        return Timed(at, clock, Standing.LATE if said.buffered else Standing.LIVE)
    if said.buffered:
        return Timed(said.at, clock, Standing.LATE)
    fell_back = before is not None and _fell_back(said.at, clock, before)
    if fell_back and not _follows(said.at, received_at, before) and not _is_danger(said):
        return Timed(said.at, clock, Standing.LATE)
    return Timed(at, clock, Standing.LIVE)


def _plausible(at: datetime, received_at: datetime) -> bool:
    return at.year >= YEAR_MIN and at <= received_at + AHEAD_MAX


def _fell_back(at: datetime, clock: ClockState, before: DeviceState) -> bool:
    """Say whether a clock that used to be right now shows a time that has been before."""
    if before.live_claim is None or before.clock is not ClockState.DEVICE:
        return False
    return at < before.live_claim or clock is ClockState.WRONG


def _follows(at: datetime, received_at: datetime, before: DeviceState | None) -> bool:
    """Say whether as much time passed for the device as for us since its last message.

    Or none at all: a clock that stands still is wrong, but its device speaks now.
    """
    if before is None or before.claimed_at is None or before.claim_heard_at is None:
        return False
    gap, here = at - before.claimed_at, received_at - before.claim_heard_at
    if here < PACE_GAP_MIN:
        return False
    return not gap or abs(gap - here) <= max(PACE_SLACK, here * PACE_SLACK_SHARE)


def _is_danger(said: Said) -> bool:
    return any(reading.smoke_alarm or reading.overtemperature for reading in said.readings)
