"""A charging pile: ten sockets behind one meter chip and one connection.

Its sockets obey, refuse, lose or only pretend to obey, as the plan says.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec

from ingest.codecs.native import Command, Event, Status
from rules.readings import Kind, Reading
from simulator.cadences import TICK
from simulator.devices import Device
from simulator.emissions import stream
from simulator.idle import NOISES, NORMAL, Idle
from simulator.meters import Meter
from simulator.pile_plans import Cut, Heating, PilePlan, Stop
from simulator.plans import Happening, Span
from simulator.sockets import Socket, Switching, Use

MAINS_V = 229.0
SAG_OHM = 0.12
"""Of the line to a station: some 2 V less at 20 A."""
MAINS_NOISE_V = 0.5
CONTACT_OHM = (0.006, 0.014)
"""Of plug and socket together, from new to worn (estimate)."""
SETTLED_AFTER = timedelta(seconds=10)
"""When the inrush is over, and a second report says so."""
encode = msgspec.json.encode


class Air(NamedTuple):
    """What all sockets of a pile share."""

    shown_v: float
    inside_c: float


class Pile(Device[PilePlan]):
    """Reports at each beat of its plan, and at once when a plug goes in or out."""

    kind = Kind.CHARGER

    def __init__(self, plan: PilePlan, starts: datetime, seed: int) -> None:
        super().__init__(plan.id, starts, seed, plan, own_connection=plan.own_connection)
        self.beat = plan.beat if plan.figures is None else TICK
        self.obedience = plan.obedience
        self._weather = plan.weather
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
        self._idle = Idle(self._meter, plan.sockets)
        self._powers_w = [0.0] * (plan.sockets + 2)
        """What flows in each socket, with nothing before the first and behind the last."""
        self._awake, self._asleep = dict(self.sockets), dict[int, bytes]()
        self._cuts: list[Cut] = []
        self._cut_since: dict[int, datetime] = {}
        for use in plan.uses:
            if use.plugged_at <= starts < use.unplugged_at:
                self._wake(use.channel).plug(use, starts)
        self._lay_down(starts)

    def lived(self) -> PilePlan:
        """Return its plan with the orders that it has carried out so far."""
        still = (Cut(channel, Span(since)) for channel, since in self._cut_since.items())
        return msgspec.structs.replace(self.plan, cuts=(*self._cuts, *still))

    def _happenings(self) -> Iterator[Happening]:
        plan = self.plan
        yield from super()._happenings()
        for use in plan.uses:
            if use.plugged_at > self._starts:
                plugged = partial(self._plugged, use)
                yield Happening(use.plugged_at, f"plug {use.channel}", plugged)
            if use.unplugged_at > self._starts:
                unplugged = partial(self._unplugged, use)
                yield Happening(use.unplugged_at, f"unplug {use.channel}", unplugged)
        for rescan in plan.rescans:
            again = partial(self._rescanned, rescan.channel)
            yield Happening(rescan.at, f"rescan {rescan.channel}", again)
        for stop in plan.stops:
            stopped = partial(self._stopped, stop)
            yield Happening(stop.at, f"stop {stop.channel}", stopped)

    def _adopt(self, plan: PilePlan, now: datetime) -> None:
        super()._adopt(plan, now)
        loosens = {each.channel: each for each in plan.loosens}
        for channel in self.sockets:
            switching = plan.switching.get(channel, Switching.OBEYS)
            self._wake(channel).alter(now, switching, loosens.get(channel))

    def _plugged(self, use: Use, now: datetime) -> None:
        self._wake(use.channel).plug(use, now)
        self._tell(Event(event="plugged", channel=use.channel), now)
        self._plan(now + timedelta(seconds=1), self._report)
        self._plan(now + SETTLED_AFTER, self._report)

    def _unplugged(self, use: Use, now: datetime) -> None:
        self._wake(use.channel).unplug(now)
        self._tell(Event(event="unplugged", channel=use.channel), now)
        self._plan(now + timedelta(seconds=1), self._report)

    def _rescanned(self, channel: int, now: datetime) -> None:
        self._wake(channel).switch(now, on=True)
        self._report(now)
        self._plan(now + SETTLED_AFTER, self._report)

    def _stopped(self, stop: Stop, now: datetime) -> None:
        self._wake(stop.channel).stop(now, stop.why)
        self._report(now)
        self._plan(now + SETTLED_AFTER, self._report)

    def _switch_mains(self, now: datetime, *, on: bool) -> None:
        for channel in self.sockets:
            self._wake(channel).switch_mains(now, on=on)

    def _status(self, now: datetime) -> Status:  # noqa: ARG002
        firmware = self.plan.firmware
        return Status(online=True, model="CW-P10", firmware=firmware, sockets=len(self.sockets))

    def _measured(self, now: datetime) -> list[bytes]:
        """Return its readings: that of the cabinet, and one of each socket, in order."""
        powers_w, burns = self._powers_w, self._burning(now)
        load_a = cabinet_k = 0.0
        for channel, socket in self._awake.items():
            socket.advance(now)
            powers_w[channel] = socket.power_w
            load_a += socket.square_a2**0.5
            cabinet_k += socket.cabinet_k
        first = int(self.chance.random() * (NOISES - len(powers_w)))
        sags_v = SAG_OHM * load_a - MAINS_NOISE_V * NORMAL[first]
        air = Air(
            round(self._mains_v(now) - sags_v, 1),
            self._weather.outdoors_c(self._mean_c, now) + cabinet_k,
        )
        said = [b""] * (len(powers_w) - 1)
        shown_c = round(air.inside_c, 1)
        signal_pct = self._received_pct()
        said[0] = encode(Reading(device_temperature_c=shown_c, signal_pct=signal_pct))
        self._idle.say(
            said, self._asleep, powers_w, first, shown_v=air.shown_v, shown_c=shown_c
        )
        for channel, socket in self._awake.items():
            hotter_k = sum(each.felt_k(channel, now) for each in burns) if burns else 0.0
            noise = NORMAL[first + channel]
            said[channel] = encode(self._read(channel, socket, air, noise, hotter_k))
        if self._awake:
            self._let_sleep()
        return said

    def _read(
        self, channel: int, socket: Socket, air: Air, noise: float, hotter_k: float
    ) -> Reading:
        """Return the reading of a socket that is used, was until a while ago, or is cut."""
        plugged, powers_w = socket.use is not None, self._powers_w
        if plugged or socket.dark:
            square_a2 = socket.square_a2
            shown = self._meter.shown(powers_w[channel], square_a2, air.shown_v, noise)
        else:
            beside_w = powers_w[channel - 1] + powers_w[channel + 1]
            shown = self._meter.shown_empty(beside_w, air.shown_v, noise)
        return Reading(
            channel=channel,
            power_w=shown.power_w,
            current_a=shown.current_a,
            voltage_v=air.shown_v,
            energy_kwh=round(socket.energy_wh / 1000, 3),
            relay_on=plugged and not socket.off,
            device_temperature_c=round(air.inside_c + socket.contact_k + hotter_k, 1),
            port_state=socket.state,
            session_energy_kwh=round(socket.session_wh / 1000, 3) if plugged else None,
            session_duration_s=round(socket.ran.total_seconds()) if plugged else None,
            stop_reason=socket.stopped_by or None,
        )

    def _wake(self, channel: int) -> Socket:
        """Return a socket with which something happens; from now on it is looked after."""
        socket = self._awake[channel] = self.sockets[channel]
        self._asleep.pop(channel, None)
        return socket

    def _let_sleep(self) -> None:
        """Leave those alone that are empty and cold: they say the same until they are woken."""
        for channel in [n for n, socket in self._awake.items() if socket.is_idle]:
            energy_wh = self._awake.pop(channel).energy_wh
            self._powers_w[channel] = 0.0
            self._asleep[channel] = encode(round(energy_wh / 1000, 3))

    def _mains_v(self, now: datetime) -> float:
        for each in self.plan.mains:
            if each.span.has(now):
                return each.volts
        return MAINS_V

    def _burning(self, now: datetime) -> tuple[Heating, ...]:
        burns = tuple(each for each in self.plan.burns if each.since <= now)
        if burns:
            for channel in self.sockets:
                self._wake(channel)
        return burns

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
            on = command.command == "switch_on"
            self._wake(command.channel).switch(now, on=on)
            self._note_order(command.channel, now, on=on)
            self._plan(now + SETTLED_AFTER, self._report)
        self._report(now)

    def _note_order(self, channel: int, now: datetime, *, on: bool) -> None:
        if not on:
            self._cut_since.setdefault(channel, now)
        elif (since := self._cut_since.pop(channel, None)) is not None:
            self._cuts.append(Cut(channel, Span(since, now)))
