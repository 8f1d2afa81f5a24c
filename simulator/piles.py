"""A charging pile: ten sockets behind one meter chip and one connection.

Its sockets obey, refuse, lose or only pretend to obey, as the plan says.
"""

from datetime import datetime, timedelta
from functools import partial
from random import Random

import msgspec

from ingest.codecs.native import Command, Event, Status, Telemetry
from rules.readings import Kind, Reading
from simulator.devices import Device, Faults, Span
from simulator.emissions import stream
from simulator.orders import Obedience
from simulator.meters import Meter, Shown
from simulator.skins import SkinName
from simulator.sockets import Loosening, Socket, Switching, Use
from simulator.weather import FAIR, Weather

MAINS_V = 229.0
SAG_OHM = 0.12
"""Of the line to a station: some 2 V less at 20 A."""
MAINS_NOISE_V = 0.5
CONTACT_OHM = (0.006, 0.014)
"""Of plug and socket together, from new to worn (estimate)."""
SETTLED_AFTER = timedelta(seconds=10)
"""When the inrush is over, and a second report says so."""
HOTTEST_K = 400.0
"""What a burning bike adds at most: beyond it there is no sensor left to say so."""
NOISES = 4096
_made = Random("noise")  # noqa: S311
NORMAL = tuple(_made.gauss(0, 1) for _ in range(NOISES))
"""Draws from the normal distribution, to begin anywhere in: ten times as fast as drawing."""


class Rescan(msgspec.Struct, frozen=True):
    """The owner starts the session again from the phone: the pile closes its relay."""

    channel: int
    at: datetime


class Stop(msgspec.Struct, frozen=True):
    """The pile opens its relay by itself."""

    channel: int
    at: datetime
    why: str = "max_time"
    """As in `stop_reason`: the time that was paid for is over, or a protection acted."""


class Heating(msgspec.Struct, frozen=True):
    """Something burns beside a socket; the others feel a part of it."""

    channel: int
    since: datetime
    k_a_minute: float

    def felt_k(self, channel: int, now: datetime) -> float:
        minutes = (now - self.since) / timedelta(minutes=1)
        if minutes <= 0:
            return 0.0
        return min(HOTTEST_K, self.k_a_minute * minutes) / (1 + abs(channel - self.channel))


class Mains(msgspec.Struct, frozen=True):
    """The mains at a station are not what they should be."""

    span: Span
    volts: float


class PilePlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that will happen at one pile. `id` is area/site/device."""

    id: str
    sockets: int = 10
    uses: tuple[Use, ...] = ()
    """Those of one socket must not overlap."""
    rescans: tuple[Rescan, ...] = ()
    stops: tuple[Stop, ...] = ()
    switching: dict[int, Switching] = {}
    """By socket; one that is not named obeys."""
    loosens: tuple[Loosening, ...] = ()
    """At most one for each socket."""
    burns: tuple[Heating, ...] = ()
    mains: tuple[Mains, ...] = ()
    faults: Faults = Faults()
    own_connection: bool = False
    """It has a connection, and so a last will, of its own."""
    beat: timedelta = timedelta(seconds=30)
    """The time between two reports."""
    firmware: str = "1.4.2"
    weather: Weather = FAIR
    skin: SkinName = "native"
    obedience: Obedience = Obedience()


class Pile(Device):
    """Reports at each beat of its plan, and at once when a plug goes in or out."""

    kind = Kind.CHARGER

    def __init__(self, plan: PilePlan, starts: datetime, seed: int) -> None:
        super().__init__(plan.id, starts, seed, plan.faults, own_connection=plan.own_connection)
        self.beat, self.obedience = plan.beat, plan.obedience
        self._plan_of, self._weather = plan, plan.weather
        made = stream(seed, plan.id, "made")
        self._mean_c = made.uniform(*plan.weather.mean_c)
        contacts = stream(seed, plan.id, "contacts")
        self._meter = Meter.made(stream(seed, plan.id, "meter"))
        loosens = {each.channel: each for each in plan.loosens}
        self.sockets = {
            channel: Socket(
                starts,
                made.uniform(50e3, 900e3),
                contacts.uniform(*CONTACT_OHM),
                plan.switching.get(channel, Switching.OBEYS),
                loosens.get(channel),
            )
            for channel in range(1, plan.sockets + 1)
        }
        self._outlets = tuple(self.sockets.values())
        self._noises = plan.sockets + 1
        for use in plan.uses:
            self._expect(use, starts)
        for rescan in plan.rescans:
            self._plan(rescan.at, partial(self._rescanned, rescan.channel))
        for stop in plan.stops:
            self._plan(stop.at, partial(self._stopped, stop))

    def _expect(self, use: Use, starts: datetime) -> None:
        if use.plugged_at <= starts:
            if use.unplugged_at > starts:
                self.sockets[use.channel].plug(use, starts)
                self._plan(use.unplugged_at, partial(self._unplugged, use))
            return
        self._plan(use.plugged_at, partial(self._plugged, use))
        self._plan(use.unplugged_at, partial(self._unplugged, use))

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

    def _stopped(self, stop: Stop, now: datetime) -> None:
        self.sockets[stop.channel].stop(now, stop.why)
        self._report(now)
        self._plan(now + SETTLED_AFTER, self._report)

    def _switch_mains(self, now: datetime, *, on: bool) -> None:
        for socket in self.sockets.values():
            socket.switch_mains(now, on=on)

    def _status(self, now: datetime) -> Status:  # noqa: ARG002
        firmware = self._plan_of.firmware
        return Status(online=True, model="CW-P10", firmware=firmware, sockets=len(self.sockets))

    def _measure(self, now: datetime) -> Telemetry:
        sockets = self._outlets
        load_a = cabinet_k = 0.0
        for socket in sockets:
            socket.advance(now)
            if not socket.is_idle:
                load_a += socket.square_a2**0.5
                cabinet_k += socket.cabinet_k
        first = int(self.chance.random() * (NOISES - self._noises))
        noises = NORMAL[first : first + self._noises]
        shown_v = round(self._mains_v(now) - SAG_OHM * load_a + MAINS_NOISE_V * noises[0], 1)
        inside_c = self._weather.outdoors_c(self._mean_c, now) + cabinet_k
        shown_c = round(inside_c, 1)
        readings = [Reading(device_temperature_c=shown_c, signal_pct=self._received_pct())]
        powers_w = [0.0, *[socket.power_w for socket in sockets], 0.0]
        meter, burns = self._meter, self._burning(now)
        for channel, socket in self.sockets.items():
            if socket.use is None and not socket.dark:
                beside_w = powers_w[channel - 1] + powers_w[channel + 1]
                shown = meter.shown_empty(beside_w, shown_v, noises[channel])
            else:
                square_a2 = socket.square_a2
                shown = meter.shown(powers_w[channel], square_a2, shown_v, noises[channel])
            if socket.is_idle and not burns:
                readings.append(
                    Reading(
                        channel=channel,
                        power_w=shown[0],
                        current_a=shown[1],
                        voltage_v=shown_v,
                        energy_kwh=round(socket.energy_wh / 1000, 3),
                        relay_on=False,
                        device_temperature_c=shown_c,
                        port_state="cut" if socket.cut else "idle",
                    )
                )
            else:
                warm_c = inside_c + socket.contact_k
                warm_c += sum(each.felt_k(channel, now) for each in burns)
                readings.append(_used(channel, socket, shown, shown_v, warm_c))
        return Telemetry(readings=tuple(readings))

    def _mains_v(self, now: datetime) -> float:
        for each in self._plan_of.mains:
            if each.span.has(now):
                return each.volts
        return MAINS_V

    def _burning(self, now: datetime) -> tuple[Heating, ...]:
        burns = self._plan_of.burns
        return tuple(each for each in burns if each.since <= now) if burns else ()

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


def _used(channel: int, socket: Socket, shown: Shown, shown_v: float, warm_c: float) -> Reading:
    """Return the reading of a socket that is used, was until a while ago, or is cut."""
    plugged = socket.use is not None
    return Reading(
        channel=channel,
        power_w=shown.power_w,
        current_a=shown.current_a,
        voltage_v=shown_v,
        energy_kwh=round(socket.energy_wh / 1000, 3),
        relay_on=plugged and not socket.off,
        device_temperature_c=round(warm_c, 1),
        port_state=socket.state,
        session_energy_kwh=round(socket.session_wh / 1000, 3) if plugged else None,
        session_duration_s=round(socket.ran.total_seconds()) if plugged else None,
        stop_reason=socket.stopped_by or None,
    )
