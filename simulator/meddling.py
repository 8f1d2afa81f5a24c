"""The player of a village to which somebody does something while it runs.

What is done is done in virtual time, between two acts of the village, so that the stream is
in order; what follows of it at once is said at once.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

import msgspec

from simulator.doing import Doing
from simulator.emissions import Emission
from simulator.faults import FAULTS
from simulator.faults.charges import Overload
from simulator.faults.clocks import ClockRestarted
from simulator.faults.contacts import ContactHeating, RelayWelded
from simulator.faults.devices import BatteryLow, ConnectionLost, DeviceDead, MeterStuck
from simulator.faults.fault import Fault
from simulator.faults.fires import Smoke, ThermalRunaway
from simulator.faults.supply import BrownOut, PowerCut
from simulator.improvising import Deed, pile_with, sensor_with, taken, truth
from simulator.intruders import Intruder
from simulator.links import Linked
from simulator.pile_plans import PilePlan
from simulator.piles import Pile
from simulator.player import Player
from simulator.scene import Subject
from simulator.smoke_sensors import SmokeSensor
from simulator.truth import Incident
from simulator.village import Village

RATE_OVER = timedelta(seconds=30)
DEEDS_MAX = 500
"""Of one run; a tester's patience ends earlier."""
NOW = "00:00"
"""When a fault happens, for one that happens when somebody says so."""
SHORTLY = "5 s"
"""So long before it goes wrong a tester's bike comes: its inrush is over by then."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be done by a key of its own."""

    key: str
    fault: Fault


CHOICES = (
    Choice(key="o", fault=Overload(at=NOW, came_before=SHORTLY)),
    Choice(key="h", fault=ContactHeating(at=NOW, came_before=SHORTLY, takes="1 min")),
    Choice(key="w", fault=RelayWelded(at=NOW, came_before=SHORTLY)),
    Choice(key="m", fault=MeterStuck(at=NOW, came_before=SHORTLY)),
    Choice(key="f", fault=ThermalRunaway(at=NOW, came_before=SHORTLY)),
    Choice(key="s", fault=Smoke(at=NOW)),
    Choice(key="b", fault=BatteryLow(at=NOW, falls=100)),
    Choice(key="p", fault=PowerCut(at=NOW)),
    Choice(key="v", fault=BrownOut(at=NOW)),
    Choice(key="l", fault=ConnectionLost(at=NOW, kind="pile")),
    Choice(key="d", fault=DeviceDead(at=NOW)),
    Choice(key="c", fault=ClockRestarted(at=NOW)),
)


def at_hand() -> tuple[Fault, ...]:
    """Return every fault that there is, as it happens by hand."""
    mine = {type(choice.fault): choice.fault for choice in CHOICES}
    return tuple(mine.get(kind) or _shortly(kind) for kind in FAULTS.values())


def _shortly(kind: type[Fault]) -> Fault:
    waits = "came_before" in kind.__struct_fields__
    event = {"fault": kind.__struct_config__.tag, "at": NOW}
    return msgspec.convert(event | ({"came_before": SHORTLY} if waits else {}), kind)


class Changing:
    """A device of a village, its link, and what it was to do before anybody meddled."""

    def __init__(self, village: Village, device: Pile | SmokeSensor) -> None:
        self.device, self._village = device, village
        self.link = Linked(device, village.steps(device.plan), village.seed)
        self._go_by: Callable[[Iterable[Doing], datetime], None]
        if isinstance(device, Pile):
            pile, plan = device, device.plan
            self._go_by = lambda doings, now: pile.change(pile_with(plan, doings), now)
        else:
            sensor, quiet = device, device.plan
            self._go_by = lambda doings, now: sensor.change(sensor_with(quiet, doings), now)

    def suffer(self, doings: Iterable[Doing], now: datetime) -> None:
        """Go by the plan with all that was done to it, from now on."""
        self._go_by(doings, now)
        self.link.change(self._village.steps(self.device.plan))


class MeddledPlayer(Player):
    """Plays a village, and lets somebody interfere."""

    def __init__(self, village: Village) -> None:
        self.village = village
        self._own = {each.id: Changing(village, each) for each in village.own_devices()}
        links = [each.link for each in self._own.values()]
        super().__init__((*links, *village.others()))
        self.deeds: list[Deed] = []
        self.said = 0
        self.last: dict[str, Emission] = {}
        """The last telemetry of each device, before it was dressed in a dialect."""
        self._recent: deque[datetime] = deque(maxlen=10_000)
        self._intruders: dict[int, list[Intruder]] = {}

    def step(self) -> list[Emission]:
        return self._noted(super().step())

    def obey(self, topic: str, payload: bytes, now: datetime) -> list[Emission]:
        said = list(self.play(now))  # noted as it is played
        return said + self._noted(super().obey(topic, payload, now))

    def dressed(self, said: Iterable[Emission]) -> list[Emission]:
        said = list(said)
        for emission in said:
            if emission.topic.endswith("/telemetry"):
                self.last[emission.device] = emission
        return super().dressed(said)

    @property
    def is_tired(self) -> bool:
        """Whether so much was done that no more is taken."""
        return len(self.deeds) >= DEEDS_MAX

    def is_taken(self, subject: Subject, now: datetime) -> bool:
        """Say whether the socket that is named is one to which something was done."""
        channel = subject.channel
        return channel is not None and taken(self.deeds, subject.device, channel, now)

    def do(self, fault: Fault, subject: Subject, now: datetime) -> list[Emission]:
        """Let a fault happen to somebody at `now`; it goes on until it is ended.

        Nothing is done to a socket to which something is, nor when it is too much.
        """
        said = list(self.play(now))
        if not self.is_tired and not self.is_taken(subject, now):
            deed = Deed.of(self.village, fault, subject, now, len(self.deeds))
            self.deeds.append(deed)
            self._follow(deed, now)
            self._intruders[deed.number] = [
                Intruder(plan, now, self.village.seed) for plan in deed.scene.intruders
            ]
            for intruder in self._intruders[deed.number]:
                self.enter(intruder)
        return said + list(self.play(now))

    def end(self, deed: Deed, now: datetime) -> list[Emission]:
        """End what was done: whoever was befallen is as well as can be from now on."""
        said = list(self.play(now))
        if deed.ended_at is None:
            deed.end(now)
            self._follow(deed, now)
            for intruder in self._intruders[deed.number]:
                intruder.leave()
        return said + list(self.play(now))

    def next_of(self, device: str) -> datetime | None:
        """Return when a device acts next."""
        return self._own[device].link.next_at()

    def open_deeds(self) -> Iterator[Deed]:
        return (deed for deed in self.deeds if deed.ended_at is None)

    def rate(self, now: datetime) -> float:
        """Return messages a second, of late."""
        while self._recent and now - self._recent[0] > RATE_OVER:
            self._recent.popleft()
        return len(self._recent) / RATE_OVER.total_seconds()

    def lived(self) -> Iterator[PilePlan]:
        """Yield the plans of the piles as they have become, orders and all."""
        for each in self._own.values():
            if isinstance(each.device, Pile):
                yield each.device.lived()

    def truth(self, begins: datetime, ends: datetime) -> list[Incident]:
        """Return what was true in a part of the run, done by hand or not."""
        return truth(self.village, self.lived(), self.deeds, begins, ends)

    def _follow(self, deed: Deed, now: datetime) -> None:
        """Let those to whom it was done go by what they now have before them."""
        for name in deed.scene.on:
            mine = (each.doing(name) for each in self.deeds)
            self._own[name].suffer([each for each in mine if each is not None], now)
            self.turn(name)

    def _noted(self, said: list[Emission]) -> list[Emission]:
        for emission in said:
            self.said += 1
            self._recent.append(emission.at)
        return said
