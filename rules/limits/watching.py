"""The watching itself: devices and networks that fail, and our own."""

from datetime import timedelta
from typing import Annotated

import msgspec

from rules.limits.limit import HOUR, MINUTE, Limits, Percent, Share


class SilenceLimits(Limits, frozen=True):
    charger_after: timedelta = 8 * MINUTE
    """Two and a half beats of an AP3000, which beats every 3 minutes."""
    smoke_after: timedelta = 25 * HOUR
    """A battery sensor reports once in 24 h."""
    hold: timedelta = 2 * MINUTE
    """Time for the neighbours to be missed too: then it is the site, not the device."""


class SiteOutageLimits(Limits, frozen=True):
    share: Share = 0.5
    """ThingsBoard's users and ours: half a station does not die of old age at once."""
    keep_firing: timedelta = 2 * MINUTE
    """Piles come back one by one: an X10P's waits up to 2 min before it speaks again."""


class CarrierOutageLimits(Limits, frozen=True):
    """Of a carrier, so that only the default layer has a say."""

    share: Share = 0.5
    sites: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] = 2
    """So many must be dark: one that is has lost its own power or network."""
    keep_firing: timedelta = 2 * MINUTE
    """As for a site."""


class MonitoringBlindLimits(Limits, frozen=True):
    """Of the service itself, so that only the default layer has a say. All ours."""

    share: Share = 0.8
    sites: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] = 3
    """So many dark sites at once are no accident of theirs."""
    deaf_for: timedelta = 5 * MINUTE
    """Without the broker; a restart of it, or of its machine, takes less."""
    lag: timedelta = MINUTE
    """Smoke that waits as long has lost what the detector won."""
    ledger_for: timedelta = MINUTE
    dropped: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] = 1
    delivery_for: timedelta = 5 * MINUTE
    history_for: timedelta = HOUR
    """It only shows the past; alarms do not wait for it."""
    keep_firing: timedelta = 5 * MINUTE


class SensorBatteryLimits(Limits, frozen=True):
    low_pct: Percent = 10.0
    clear_pct: Percent = 20.0
    """Ours: low enough to be no noise, early enough to buy a new one."""

    def check(self) -> None:
        self.check_order("low_pct", "clear_pct")


class SelfTestOverdueLimits(Limits, frozen=True):
    after: timedelta = 35 * 24 * HOUR
    """A month, and some days for people to be late in."""
    of_all: bool = False
    """Ask it of detectors too that never reported a test; most cannot."""


class ImpossibleValueLimits(Limits, frozen=True):
    hold: timedelta = 10 * MINUTE
    """A single lost bit is followed by a value that makes sense (ours)."""
    keep_firing: timedelta = 10 * MINUTE


class StuckValueLimits(Limits, frozen=True):
    power_for: timedelta = 4 * HOUR
    """Of a socket that charges. A full battery is trickled with little change for long."""
    temperature_for: timedelta = 7 * 24 * HOUR
    """In a cellar, in whole degrees, days may be alike; a week is not."""
    messages: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] = 40
    """So many at least: a device that seldom speaks proves nothing sooner (ours, all)."""


class ClockWrongLimits(Limits, frozen=True):
    after: timedelta = HOUR
    """An AP3000 shows 1970 after each start, until it is set."""


class UndeclaredDeviceLimits(Limits, frozen=True):
    after: timedelta = 10 * MINUTE
