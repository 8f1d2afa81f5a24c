"""A charging pile: ten sockets behind one meter chip and one connection.

Its sockets obey, refuse, lose or only pretend to obey, as the plan says.
"""

import math
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

import msgspec

from ingest.codecs.native import Command, Event, Status, Telemetry
from rules.readings import Kind, Reading
from simulator.charging import Curve
from simulator.devices import Device, Faults, stream
from simulator.weather import outdoors_c

MAINS_V = 229.0
SAG_OHM = 0.12
"""Of the line to a station: some 2 V less at 20 A."""
POWER_FACTOR = 0.65
"""Small chargers have no power-factor correction."""
HEATING_C_PER_W = 0.02
HEATS_IN_S = 600.0
"""The lag of a socket's temperature behind its load."""
METER_ERROR = 0.004
"""One standard deviation, of the value."""
FINISHED_W = 15.0
SETTLED_AFTER = timedelta(seconds=10)
"""When the inrush is over, and a second report says so."""


class Use(msgspec.Struct, frozen=True):
    """One bike on one socket (from 1), from its plug going in until it is pulled."""

    channel: int
    plugged_at: datetime
    unplugged_at: datetime
    curve: Curve


class Switching(StrEnum):
    """How a socket takes its orders."""

    OBEYS = "obeys"
    REFUSES = "refuses"
    LOSES = "loses"
    """The order never arrives, and nobody answers."""
    WELDED = "welded"
    """It says yes, and says that it is off; the current flows all the same."""


class Rescan(msgspec.Struct, frozen=True):
    """The owner starts the session again from the phone: the pile closes its relay."""

    channel: int
    at: datetime


class PilePlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that will happen at one pile. `id` is area/site/device."""

    id: str
    sockets: int = 10
    uses: tuple[Use, ...] = ()
    """Those of one socket must not overlap."""
    rescans: tuple[Rescan, ...] = ()
    switching: dict[int, Switching] = {}
    """By socket; one that is not named obeys."""
    faults: Faults = Faults()
    own_connection: bool = False
    """It has a connection, and so a last will, of its own."""
    beat: timedelta = timedelta(seconds=30)
    """The time between two reports."""


class Socket:
    """What one outlet carries. Its moments never go back."""

    def __init__(
        self, starts: datetime, energy_wh: float, mean_c: float, switching: Switching
    ) -> None:
        self.use: Use | None = None
        self.switching = switching
        self.cut = False
        """What its relay is said to be; only a welded one lies."""
        self.energy_wh = energy_wh
        self.session_wh = 0.0
        self.ran = timedelta(0)
        """How long this plug has drawn current."""
        self._mean_c = mean_c
        self.temperature_c = outdoors_c(mean_c, starts)
        self._now = starts

    @property
    def dark(self) -> bool:
        """Whether the relay keeps the current from flowing."""
        return self.cut and self.switching is not Switching.WELDED

    @property
    def power_w(self) -> float:
        return 0.0 if self.use is None or self.dark else self.use.curve.power_w(self.ran)

    def advance(self, now: datetime) -> None:
        """Let time pass to `now`: energy flows, the contacts warm up or cool down."""
        passed = now - self._now
        if passed < timedelta(0):
            raise ValueError(f"time went back from {self._now} to {now}")
        self._now = now
        if self.use and not self.dark:
            curve, ran = self.use.curve, self.ran + passed
            drawn_wh = max(0.0, curve.energy_wh(ran) - curve.energy_wh(self.ran))
            self.energy_wh += drawn_wh
            self.session_wh += drawn_wh
            self.ran = ran
        self._warm(passed)

    def plug(self, use: Use, now: datetime) -> None:
        """Take the plug of `use`, which went in at `plugged_at`, now or some time ago."""
        self.advance(now)
        self.use, self.ran = use, now - use.plugged_at
        self.session_wh = use.curve.energy_wh(self.ran)
        self._warm(self.ran)

    def unplug(self, now: datetime) -> None:
        self.advance(now)
        self.use, self.ran, self.session_wh = None, timedelta(0), 0.0

    def switch(self, now: datetime, *, on: bool) -> None:
        self.advance(now)
        self.cut = not on

    def _warm(self, passed: timedelta) -> None:
        aim_c = outdoors_c(self._mean_c, self._now) + HEATING_C_PER_W * self.power_w
        share = -math.expm1(-passed.total_seconds() / HEATS_IN_S)
        self.temperature_c += (aim_c - self.temperature_c) * share

    @property
    def state(self) -> str:
        if self.cut:
            return "cut"
        if self.use is None:
            return "idle"
        return "charging" if self.power_w >= FINISHED_W else "finished"


class Pile(Device):
    """Reports at each beat of its plan, and at once when a plug goes in or out."""

    kind = Kind.CHARGER

    def __init__(self, plan: PilePlan, starts: datetime, seed: int) -> None:
        self.beat = plan.beat
        super().__init__(plan.id, starts, seed, plan.faults, own_connection=plan.own_connection)
        self.beat = plan.beat
        made = stream(seed, plan.id, "made")
        self._mean_c = made.uniform(16, 21)
        self._crosstalk_w = made.uniform(0.3, 2.5)
        """An empty socket's meter sees its neighbours; how much depends on the firmware."""
        self.sockets = {
            channel: Socket(
                starts,
                made.uniform(50e3, 900e3),
                self._mean_c,
                plan.switching.get(channel, Switching.OBEYS),
            )
            for channel in range(1, plan.sockets + 1)
        }
        for use in plan.uses:
            self._expect(use, starts)
        for rescan in plan.rescans:
            self._plan(rescan.at, partial(self._rescanned, rescan.channel))

    def _expect(self, use: Use, starts: datetime) -> None:
        if use.plugged_at <= starts:
            self.sockets[use.channel].plug(use, starts)
        else:
            self._plan(use.plugged_at, lambda now: self._plugged(use, now))
        self._plan(use.unplugged_at, lambda now: self._unplugged(use, now))

    def _plugged(self, use: Use, now: datetime) -> None:
        self.sockets[use.channel].plug(use, now)
        self._tell(Event(event="plugged", channel=use.channel), now)
        self._plan(now + timedelta(seconds=1), self._report)
        self._plan(now + SETTLED_AFTER, self._report)

    def _unplugged(self, use: Use, now: datetime) -> None:
        self.sockets[use.channel].unplug(now)
        self._tell(Event(event="unplugged", channel=use.channel), now)
        self._plan(now + timedelta(seconds=1), self._report)

    def _rescanned(self, channel: int, now: datetime) -> None:
        self.sockets[channel].switch(now, on=True)
        self._report(now)
        self._plan(now + SETTLED_AFTER, self._report)

    def _status(self, now: datetime) -> Status:  # noqa: ARG002
        return Status(online=True, model="CW-P10", firmware="1.4.2", sockets=len(self.sockets))

    def _measure(self, now: datetime) -> Telemetry:
        for socket in self.sockets.values():
            socket.advance(now)
        load_a = sum(s.power_w for s in self.sockets.values()) / MAINS_V / POWER_FACTOR
        voltage_v = MAINS_V - SAG_OHM * load_a + self.chance.gauss(0, 0.5)
        warmest_c = max(s.temperature_c for s in self.sockets.values())
        inside_c = (outdoors_c(self._mean_c, now) + warmest_c) / 2
        cabinet = Reading(
            device_temperature_c=round(inside_c, 1), signal_pct=self._received_pct()
        )
        parts = (self._read(n, socket, voltage_v) for n, socket in self.sockets.items())
        return Telemetry(readings=(cabinet, *parts))

    def _read(self, channel: int, socket: Socket, voltage_v: float) -> Reading:
        power_w = round(self._metered_w(socket), 1)
        plugged = socket.use is not None
        return Reading(
            channel=channel,
            power_w=power_w,
            current_a=round(power_w / voltage_v / POWER_FACTOR, 2),
            voltage_v=round(voltage_v, 1),
            energy_kwh=round(socket.energy_wh / 1000, 3),
            relay_on=plugged and not socket.cut,
            device_temperature_c=round(socket.temperature_c, 1),
            port_state=socket.state,
            session_energy_kwh=round(socket.session_wh / 1000, 3) if plugged else None,
            session_duration_s=round(socket.ran.total_seconds()) if plugged else None,
        )

    def _metered_w(self, socket: Socket) -> float:
        error = self.chance.gauss(0, 1)  # drawn in any case: commands shift no later noise
        if socket.dark:
            return abs(error) * 0.1
        if socket.use is None:
            return max(0.0, self._crosstalk_w + error * 0.15)
        return max(0.0, socket.power_w * (1 + METER_ERROR * error))

    def _refusal(self, command: Command) -> str:
        if command.command in {"report_now", "self_test"}:
            return ""
        if command.channel is None:
            return "channel missing: which socket?"
        socket = self.sockets.get(command.channel)
        if socket is None:
            return f"no socket {command.channel}"
        return "not now" if socket.switching is Switching.REFUSES else ""

    def _loses(self, command: Command) -> bool:
        socket = None if command.channel is None else self.sockets.get(command.channel)
        return socket is not None and socket.switching is Switching.LOSES

    def _carry_out(self, command: Command, now: datetime) -> None:
        if command.channel is not None and command.command in {"switch_on", "switch_off"}:
            socket = self.sockets[command.channel]
            socket.switch(now, on=command.command == "switch_on")
            self._plan(now + SETTLED_AFTER, self._report)
        self._report(now)
