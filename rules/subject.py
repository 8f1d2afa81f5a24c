"""What is known of a device and its sockets: the latest values.

The engine alone changes these; to rules and to people they are read-only.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from rules.cutting import Seen
from rules.latch import Cut
from rules.readings import ClockState, DeviceId, Kind, Reading, Report, Standing
from rules.session import Session

PAUSE_FADES = 0.75
"""How much of a longer pause is believed after a shorter one."""

EARLIER_MAX = 3
EARLIER_GAP_MIN = timedelta(minutes=5)
RISE_WITHIN = timedelta(minutes=12)
"""Temperatures kept per socket, and how far they are apart at least: enough to tell what it
rose by in ten minutes, with two to spare for a device that reports every five."""


class Warmth(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A temperature at a moment of our own clock."""

    at: datetime
    temperature_c: float


class Oddity(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A value that cannot be, the bound that it breaks (None: another value), since when."""

    value: float
    limit: float | None
    unit: str
    since: datetime
    carried_w: float | None = None
    """Of a power: what the current carries now, if that speaks against it."""


class Values(msgspec.Struct, omit_defaults=True, gc=False):
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
    signal_pct: float | None = None
    firmware: str | None = None
    self_test_at: datetime | None = None
    """When the device last said that it tests itself."""
    smoke_left_at: datetime | None = None
    """When the test was over from which its smoke is left; None: it is no test's."""
    power_at: datetime | None = None
    """When `power_w` arrived here: freshness and holds are measured on our own clock."""
    temperature_at: datetime | None = None
    """When `device_temperature_c` arrived here."""
    voltage_at: datetime | None = None
    """When `voltage_v` arrived here."""
    relay_at: datetime | None = None
    """When `relay_on` arrived here."""
    power_before_w: float | None = None
    """The one before `power_w`."""
    temperature_before_c: float | None = None
    """The one before `device_temperature_c`."""
    power_pause: timedelta = timedelta(0)
    """About how long it is from one power to the next, of late; 0: not known."""
    power_same_since: datetime | None = None
    """Since when `power_w` has been the same to the last digit ..."""
    power_same: int = 0
    """... and in how many messages."""
    temperature_same_since: datetime | None = None
    temperature_same: int = 0
    """The same of `device_temperature_c`."""
    cut: Cut | None = None
    """Its last command and its latch; None for a socket that was never switched by us."""
    session: Session | None = None
    """The charge that goes on, or the last one for as long as it is watched."""
    earlier: tuple[Warmth, ...] = ()
    """What the temperature was, some minutes apart, the oldest first."""
    air_at: datetime | None = None
    """When `ambient_temperature_c` arrived here."""
    air_earlier: tuple[Warmth, ...] = ()
    """The same of `ambient_temperature_c` as `earlier`."""

    def take(self, reading: Reading, now: datetime) -> None:  # noqa: C901, PLR0912, PLR0915
        """Keep what `reading` says; what it does not say keeps its old value.

        A loop over the names takes three times as long, for every socket of every message.
        """
        if reading.power_w is not None:
            if self.power_at is not None:
                pause = now - self.power_at
                if pause < self.power_pause:  # one quick word makes no quick device
                    pause = max(pause, self.power_pause * PAUSE_FADES)
                self.power_pause = pause
            if reading.power_w != self.power_w or self.power_same_since is None:
                self.power_same_since, self.power_same = now, 0
            self.power_same += 1
            self.power_before_w, self.power_w = self.power_w, reading.power_w
            self.power_at = now
        if reading.current_a is not None:
            self.current_a = reading.current_a
        if reading.voltage_v is not None:
            self.voltage_v = reading.voltage_v
            self.voltage_at = now
        if reading.energy_kwh is not None:
            self.energy_kwh = reading.energy_kwh
        if reading.relay_on is not None:
            self.relay_on = reading.relay_on
            self.relay_at = now
        if reading.device_temperature_c is not None:
            if reading.device_temperature_c != self.device_temperature_c:
                self.temperature_same_since, self.temperature_same = now, 0
            self.temperature_same += 1
            self.temperature_before_c = self.device_temperature_c
            self.device_temperature_c = reading.device_temperature_c
            self.temperature_at = now
            if not self.earlier or now - self.earlier[-1].at >= EARLIER_GAP_MIN:
                warmth = Warmth(now, reading.device_temperature_c)
                self.earlier = (*self.earlier[1 - EARLIER_MAX :], warmth)
        if reading.ambient_temperature_c is not None:
            self.ambient_temperature_c, self.air_at = reading.ambient_temperature_c, now
            if not self.air_earlier or now - self.air_earlier[-1].at >= EARLIER_GAP_MIN:
                warmth = Warmth(now, reading.ambient_temperature_c)
                self.air_earlier = (*self.air_earlier[1 - EARLIER_MAX :], warmth)
        if reading.smoke_alarm is not None:
            self.smoke_alarm, self.smoke_left_at = reading.smoke_alarm, None
        if reading.battery_pct is not None:
            self.battery_pct = reading.battery_pct
        if reading.battery_low is not None:
            self.battery_low = reading.battery_low
        if reading.tamper is not None:
            self.tamper = reading.tamper
        if reading.self_test is not None:
            if reading.self_test:
                self.self_test_at = now
            elif self.self_test and self.smoke_alarm and reading.smoke_alarm is None:
                self.smoke_left_at = now
            self.self_test = reading.self_test
        if reading.muted is not None:
            self.muted = reading.muted
        if reading.online is not None:
            self.online = reading.online
        if reading.overpower is not None:
            self.overpower = reading.overpower
        if reading.overtemperature is not None:
            self.overtemperature = reading.overtemperature
        if reading.fault is not None:
            self.fault = reading.fault
        if reading.port_state is not None:
            self.port_state = reading.port_state
        if reading.session_energy_kwh is not None:
            self.session_energy_kwh = reading.session_energy_kwh
        if reading.session_duration_s is not None:
            self.session_duration_s = reading.session_duration_s
        if reading.stop_reason is not None:
            self.stop_reason = reading.stop_reason
        if reading.signal_pct is not None:
            self.signal_pct = reading.signal_pct
        if reading.firmware is not None:
            self.firmware = reading.firmware

    def rests(self, floor_w: float) -> bool:
        """Say whether no rule of sockets can have anything to say: most sockets, mostly.

        Nothing flows, nothing did of late, and nobody has switched it off.
        """
        if self.session is not None or self.cut is not None:
            return False
        return self.power_w is None or self.power_w < floor_w

    def fresh_power_w(self, now: datetime, within: timedelta) -> float | None:
        """Return the power, unless it was heard `within` ago, or longer, or never."""
        if self.power_at is None or now - self.power_at >= within:
            return None
        return self.power_w

    def charges(self, now: datetime, within: timedelta, min_w: float) -> bool | None:
        """Say whether it charges; None if its power is not known, or too old."""
        power_w = self.fresh_power_w(now, within)
        return None if power_w is None else power_w >= min_w

    def seen(self) -> Seen:
        """Return the facts by which a command is judged."""
        return Seen(self.power_w, self.power_at, self.relay_on, self.relay_at, self.power_pause)

    def temperature_c_since(self, oldest: datetime) -> float | None:
        """Return the temperature; None if it was heard before `oldest`, or never."""
        if self.temperature_at is None or self.temperature_at < oldest:
            return None
        return self.device_temperature_c

    def rise_k(self) -> float:
        """Return by how much the last temperature is above the coldest of the minutes before.

        A fall, and nothing to compare with, is 0.
        """
        return _rise_k(self.device_temperature_c, self.temperature_at, self.earlier)

    def air_rise_k(self) -> float:
        """Return the same of the air around it."""
        return _rise_k(self.ambient_temperature_c, self.air_at, self.air_earlier)

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
    oddities: dict[str, Oddity] = {}
    """What it reports and cannot be, by quantity and socket."""

    def values(self, channel: int | None) -> Values:
        """Return what is kept for a socket (made when first asked for) or the device."""
        if channel is None:
            return self.whole
        found = self.sockets.get(channel)
        if found is None:
            found = self.sockets[channel] = Values(channel)
        return found

    def take(self, report: Report) -> None:
        """Keep what a live message says; of a retained one whether it is online, and firmware.

        A last will is the broker's word, not the device's: it is no sign of life.
        """
        if report.claimed_at is not None and report.standing is not Standing.RETAINED:
            self.claimed_at, self.claim_heard_at = report.claimed_at, report.received_at
        if report.standing is Standing.LATE:
            self._note_tests(report)
            return
        online = next((r.online for r in report.readings if r.online is not None), None)
        if report.standing is Standing.RETAINED or online is False:
            if online is False and self.whole.online is not False:
                self.offline_since = report.received_at
            elif online:
                self.offline_since = None
            self.whole.online = self.whole.online if online is None else online
            said = (r.firmware for r in report.readings if r.firmware is not None)
            self.whole.firmware = next(said, self.whole.firmware)
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

    def _note_tests(self, report: Report) -> None:
        """Keep of a late message that there was a test: we may have been away that day."""
        for reading in report.readings:
            if reading.self_test:
                part = self.values(reading.channel)
                part.self_test_at = max(part.self_test_at or report.at, report.at)

    def every_socket(self, known: frozenset[int]) -> list[Values]:
        """Return its sockets, those too that are only `known`; the whole if it has none."""
        numbers = sorted(known | self.sockets.keys())
        return [self.sockets.get(n) or Values(n) for n in numbers] or [self.whole]

    @property
    def parts(self) -> Sequence[Values]:
        """The device as a whole, then its sockets."""
        return (self.whole, *self.sockets.values())

    @property
    def metered_parts(self) -> Sequence[Values]:
        """The sockets in the order heard; the whole device where only it has a meter.

        A socket that was cut is always one of them: somebody must ask what became of it.
        """
        sockets = tuple(self.sockets.values())
        for socket in sockets:
            if socket.power_w is not None:
                return sockets
        if sockets and any(each.carried_w is not None for each in self.oddities.values()):
            return sockets  # they have meters, though none is believed
        if not sockets:
            return (self.whole,)
        return (self.whole, *(socket for socket in sockets if socket.cut is not None))


def _rise_k(last_c: float | None, at: datetime | None, earlier: tuple[Warmth, ...]) -> float:
    if last_c is None or at is None:
        return 0.0
    before = [each.temperature_c for each in earlier if at - each.at <= RISE_WITHIN]
    return max(0.0, last_c - min(before)) if before else 0.0
