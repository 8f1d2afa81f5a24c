"""A charging pile: ten sockets behind one meter chip and one connection.

Its sockets obey, refuse, lose or only pretend to obey, as the plan says.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

import msgspec

from ingest.codecs.native import Command, Event, Status, Telemetry
from rules.readings import Kind, Reading
from simulator.charging import Curve, Draw
from simulator.devices import Device, Faults, stream
from simulator.meters import Meter
from simulator.warmth import (
    CABINET_K_PER_W,
    CABINET_LAG_S,
    CONTACT_K_PER_W,
    CONTACT_LAG_S,
    lagged,
)
from simulator.weather import outdoors_c

MAINS_V = 229.0
SAG_OHM = 0.12
"""Of the line to a station: some 2 V less at 20 A."""
CONTACT_OHM = (0.006, 0.014)
"""Of plug and socket together, from new to worn (estimate)."""
FINISHED_W = 15.0
SETTLED_AFTER = timedelta(seconds=10)
"""When the inrush is over, and a second report says so."""
NOTHING = Draw(0, 0.0, 0.0, 0.0)
COLD_A2 = 1e-4
"""What has warmed a contact by less than this has been forgotten."""


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
        self, starts: datetime, energy_wh: float, contact_ohm: float, switching: Switching
    ) -> None:
        self.use: Use | None = None
        self.switching = switching
        self.cut = False
        """What its relay is said to be; only a welded one lies."""
        self.energy_wh = energy_wh
        self.session_wh = 0.0
        self.ran = timedelta(0)
        """How long this plug has drawn current."""
        self._draw = NOTHING
        self._contact_ohm = contact_ohm
        self._contact_a2 = self._cabinet_a2 = 0.0
        """What contact and cabinet have felt of it so far."""
        self._now = starts

    @property
    def dark(self) -> bool:
        """Whether the relay keeps the current from flowing."""
        return self.cut and self.switching is not Switching.WELDED

    @property
    def power_w(self) -> float:
        return self._draw.power_w

    @property
    def square_a2(self) -> float:
        """Return the current at 230 V, squared."""
        return self._draw.square_a2

    @property
    def contact_k(self) -> float:
        """How much warmer its contact is than the cabinet."""
        return CONTACT_K_PER_W * self._contact_ohm * self._contact_a2

    @property
    def cabinet_k(self) -> float:
        """How much warmer it has made the cabinet."""
        return CABINET_K_PER_W * self._contact_ohm * self._cabinet_a2

    def advance(self, now: datetime) -> None:
        """Let time pass to `now`: energy flows, the contacts warm up or cool down."""
        passed = now - self._now
        if passed < timedelta(0):
            raise ValueError(f"time went back from {self._now} to {now}")
        self._now = now
        if self.use is None or self.dark:
            self._cool(passed.total_seconds())
        else:
            self._charge(self.use.curve, passed)

    def plug(self, use: Use, now: datetime) -> None:
        """Take the plug of `use`, which went in at `plugged_at`, now or some time ago."""
        self.advance(now)
        self.use, self.ran, self.session_wh = use, timedelta(0), 0.0
        self._charge(use.curve, now - use.plugged_at)
        self._switched()

    def unplug(self, now: datetime) -> None:
        self.advance(now)
        self.use, self.ran, self.session_wh = None, timedelta(0), 0.0
        self._switched()

    def switch(self, now: datetime, *, on: bool) -> None:
        self.advance(now)
        self.cut = not on
        self._switched()

    def _charge(self, curve: Curve, passed: timedelta) -> None:
        since_s = self.ran.total_seconds()
        self.ran += passed
        since, until_s = curve.at(since_s), self.ran.total_seconds()
        self._draw = until = curve.at(until_s)
        for passed_s, first, last in curve.stretches(since_s, since, until_s, until):
            self._follow(passed_s, first, last)
        self.energy_wh += max(0.0, until.energy_wh - self.session_wh)
        self.session_wh = until.energy_wh

    def _follow(self, passed_s: float, first: float, last: float) -> None:
        """Let the contacts warm up or cool down."""
        self._contact_a2 = lagged(self._contact_a2, first, last, passed_s, CONTACT_LAG_S)
        self._cabinet_a2 = lagged(self._cabinet_a2, first, last, passed_s, CABINET_LAG_S)

    def _cool(self, passed_s: float) -> None:
        if self._cabinet_a2 > COLD_A2:
            self._follow(passed_s, 0.0, 0.0)
        else:
            self._contact_a2 = self._cabinet_a2 = 0.0

    def _switched(self) -> None:
        """Note what flows now that a plug or the relay has moved."""
        if self.use is None or self.dark:
            self._draw = NOTHING
        else:
            self._draw = self.use.curve.at(self.ran.total_seconds())

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
        contacts = stream(seed, plan.id, "contacts")
        self._meter = Meter.made(stream(seed, plan.id, "meter"))
        self.sockets = {
            channel: Socket(
                starts,
                made.uniform(50e3, 900e3),
                contacts.uniform(*CONTACT_OHM),
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
        sockets = self.sockets.values()
        load_a = sum(socket.square_a2**0.5 for socket in sockets)
        powers_w = [0.0, *(socket.power_w for socket in sockets), 0.0]
        voltage_v = MAINS_V - SAG_OHM * load_a + self.chance.gauss(0, 0.5)
        inside_c = outdoors_c(self._mean_c, now) + sum(each.cabinet_k for each in sockets)
        shown_v = round(voltage_v, 1)
        cabinet = Reading(
            device_temperature_c=round(inside_c, 1), signal_pct=self._received_pct()
        )
        parts = (
            self._read(
                channel,
                socket,
                shown_v,
                inside_c,
                powers_w[channel - 1] + powers_w[channel + 1],
            )
            for channel, socket in self.sockets.items()
        )
        return Telemetry(readings=(cabinet, *parts))

    def _read(
        self, channel: int, socket: Socket, shown_v: float, inside_c: float, beside_w: float
    ) -> Reading:
        plugged, noise = socket.use is not None, self.chance.gauss(0, 1)
        if plugged or socket.dark:
            shown = self._meter.shown(socket.power_w, socket.square_a2, shown_v, noise)
        else:
            shown = self._meter.shown_empty(beside_w, shown_v, noise)
        return Reading(
            channel=channel,
            power_w=shown.power_w,
            current_a=shown.current_a,
            voltage_v=shown_v,
            energy_kwh=round(socket.energy_wh / 1000, 3),
            relay_on=plugged and not socket.cut,
            device_temperature_c=round(inside_c + socket.contact_k, 1),
            port_state=socket.state,
            session_energy_kwh=round(socket.session_wh / 1000, 3) if plugged else None,
            session_duration_s=round(socket.ran.total_seconds()) if plugged else None,
        )

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
