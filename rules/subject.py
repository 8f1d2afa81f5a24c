"""What is known of a device and its sockets: the latest values and a short past.

The engine alone changes these; to rules and to people they are read-only.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from rules.readings import ClockState, DeviceId, Kind, Reading, Report, Standing

RECENT_MAX = 16
RECENT_GAP_MIN = timedelta(seconds=10)
"""Points of power kept per socket, and how far they are apart at least: eight minutes at
one every 30 s, and no more memory for a socket that reports every second."""

EARLIER_MAX = 3
EARLIER_GAP_MIN = timedelta(minutes=5)
RISE_WITHIN = timedelta(minutes=12)
"""Temperatures kept per socket, and how far they are apart at least: enough to tell what it
rose by in ten minutes, with two to spare for a device that reports every five."""

COLDEST_C, HOTTEST_C = -40.0, 250.0
"""Ours: what is beyond is a broken sensor or a lost bit, not a temperature."""


class Point(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Active power at a moment of our own clock."""

    at: datetime
    power_w: float


class Warmth(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A temperature at a moment of our own clock."""

    at: datetime
    temperature_c: float


class Values(msgspec.Struct, omit_defaults=True):
    """The latest of one socket, or (channel None) of the whole device."""

    channel: int | None = None
    power_w: float | None = None
    current_a: float | None = None
    voltage_v: float | None = None
    energy_kwh: float | None = None
    relay_on: bool | None = None
    device_temperature_c: float | None = None
    ambient_temperature_c: float | None = None
    smoke_alarm: bool | None = None
    battery_pct: float | None = None
    battery_low: bool | None = None
    tamper: bool | None = None
    self_test: bool | None = None
    muted: bool | None = None
    online: bool | None = None
    overpower: bool | None = None
    overtemperature: bool | None = None
    fault: str | None = None
    port_state: str | None = None
    session_energy_kwh: float | None = None
    session_duration_s: float | None = None
    stop_reason: str | None = None
    self_test_at: datetime | None = None
    """When the device last said that it tests itself."""
    power_at: datetime | None = None
    """When `power_w` arrived here: freshness and holds are measured on our own clock."""
    temperature_at: datetime | None = None
    """When `device_temperature_c` arrived here."""
    relay_at: datetime | None = None
    """When `relay_on` arrived here."""
    recent: list[Point] = []
    earlier: tuple[Warmth, ...] = ()
    """What the temperature was, some minutes apart, the oldest first."""

    def take(self, reading: Reading, now: datetime) -> None:
        """Keep what `reading` says; what it does not say keeps its old value."""
        for name, value in msgspec.to_builtins(reading).items():  # only what was said
            setattr(self, name, value)
        if reading.self_test:
            self.self_test_at = now
        if reading.relay_on is not None:
            self.relay_at = now
        if reading.device_temperature_c is not None:
            self.temperature_at = now
            if not self.earlier or now - self.earlier[-1].at >= EARLIER_GAP_MIN:
                warmth = Warmth(now, reading.device_temperature_c)
                self.earlier = (*self.earlier[1 - EARLIER_MAX :], warmth)
        if reading.power_w is not None:
            self.power_at = now
            recent = self.recent
            if not recent or now - recent[-1].at >= RECENT_GAP_MIN:
                recent.append(Point(now, reading.power_w))
                if len(recent) > RECENT_MAX:
                    del recent[0]

    def fresh_power_w(self, now: datetime, within: timedelta) -> float | None:
        """Return the power, unless it was heard `within` ago, or longer, or never."""
        if self.power_at is None or now - self.power_at >= within:
            return None
        return self.power_w

    def temperature_c_since(self, oldest: datetime) -> float | None:
        """Return the temperature; None if it was heard before `oldest`, or is impossible."""
        if self.temperature_at is None or self.temperature_at < oldest:
            return None
        found = self.device_temperature_c
        return found if found is not None and COLDEST_C <= found <= HOTTEST_C else None

    def rise_k(self) -> float:
        """Return by how much the last temperature is above the coldest of the minutes before.

        What is impossible is no temperature; a fall, and nothing to compare with, is 0.
        """
        last_c, at = self.device_temperature_c, self.temperature_at
        if last_c is None or at is None:
            return 0.0
        before = [
            each.temperature_c
            for each in self.earlier
            if at - each.at <= RISE_WITHIN and each.temperature_c >= COLDEST_C
        ]
        return max(0.0, last_c - min(before)) if before else 0.0

    def fresh_relay_on(self, now: datetime, within: timedelta) -> bool | None:
        """Return what the relay is said to be, unless that is old or was never said."""
        if self.relay_at is None or now - self.relay_at >= within:
            return None
        return self.relay_on


class DeviceState(msgspec.Struct, omit_defaults=True):
    """All that is remembered of one device. It is stored with every commit."""

    id: DeviceId
    site: str
    kind: Kind = Kind.UNKNOWN
    whole: Values = msgspec.field(default_factory=Values)
    sockets: dict[int, Values] = {}
    heard_at: datetime | None = None
    """The last live message, on our clock: the only sign of life."""
    offline_since: datetime | None = None
    """When the broker said that its connection was lost; None while it is connected."""
    live_claim: datetime | None = None
    """What the device's own clock showed in that message, believed or not."""
    claimed_at: datetime | None = None
    """What it showed in the last message of any standing, retained ones excepted ..."""
    claim_heard_at: datetime | None = None
    """... and when that message arrived: the two show whether the clock runs."""
    waiting_since: datetime | None = None
    """`heard_at`, moved on by the time in which we ourselves could not hear."""
    clock: ClockState = ClockState.ARRIVAL
    clock_wrong_since: datetime | None = None
    """The first of the live messages in which it has been wrong; None once it was right."""
    first_heard_at: datetime | None = None
    """The first live message, on our clock."""
    signs: dict[str, datetime] = {}
    """By rule, when its last alert about a sign of fire was over."""

    def values(self, channel: int | None) -> Values:
        """Return what is kept for a socket (made when first asked for) or the device."""
        if channel is None:
            return self.whole
        found = self.sockets.get(channel)
        if found is None:
            found = self.sockets[channel] = Values(channel)
        return found

    def take(self, report: Report) -> None:
        """Keep what a live message says; of a retained one only whether it is online.

        A last will is the broker's word, not the device's: it is no sign of life.
        """
        if report.claimed_at is not None and report.standing is not Standing.RETAINED:
            self.claimed_at, self.claim_heard_at = report.claimed_at, report.received_at
        if report.standing is Standing.LATE:
            return
        online = next((r.online for r in report.readings if r.online is not None), None)
        if report.standing is Standing.RETAINED or online is False:
            if online is False and self.whole.online is not False:
                self.offline_since = report.received_at
            elif online:
                self.offline_since = None
            self.whole.online = self.whole.online if online is None else online
            return
        self.heard_at = self.waiting_since = report.received_at
        self.live_claim, self.clock = report.claimed_at, report.clock
        self.first_heard_at = self.first_heard_at or report.received_at
        if report.clock is ClockState.WRONG:
            self.clock_wrong_since = self.clock_wrong_since or report.received_at
        elif report.clock is ClockState.DEVICE:
            self.clock_wrong_since = None
        self.whole.online, self.offline_since = True, None
        for reading in report.readings:
            self.values(reading.channel).take(reading, report.received_at)

    @property
    def parts(self) -> Sequence[Values]:
        """The device as a whole, then its sockets."""
        return (self.whole, *self.sockets.values())

    @property
    def metered_parts(self) -> Sequence[Values]:
        """The sockets in the order heard; the whole device where only it has a meter."""
        sockets = tuple(self.sockets.values())
        for socket in sockets:
            if socket.power_w is not None:
                return sockets
        return (self.whole,)
