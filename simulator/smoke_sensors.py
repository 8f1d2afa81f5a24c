"""A smoke detector: quiet for years, and at once when it sees something."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

import msgspec

from ingest.codecs.native import Command, Event, EventName, Status
from rules.readings import Kind, Reading
from simulator.devices import Device
from simulator.emissions import stream
from simulator.orders import Obedience
from simulator.plans import Faults, Happening
from simulator.skins import SensorSkinName
from simulator.weather import FAIR, Weather

TEST_LASTS = timedelta(seconds=10)


class Smoke(msgspec.Struct, frozen=True):
    """A time in which the sensor sees smoke, [begins, ends)."""

    begins: datetime
    ends: datetime
    warmer_c: float = 6.0


class Telling(msgspec.Struct, frozen=True):
    """A device says something of itself, in [begins, ends)."""

    event: EventName
    begins: datetime
    ends: datetime | None = None
    detail: str = ""


class SensorPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that will happen to one smoke sensor. `id` is area/site/device."""

    id: str
    smokes: tuple[Smoke, ...] = ()
    tests_at: tuple[datetime, ...] = ()
    """Somebody presses its test button."""
    faults: Faults = Faults()
    own_connection: bool = False
    """It has a connection, and so a last will, of its own."""
    battery_pct: float | None = None
    """At the start; None: nearly full."""
    battery_falls_pct: float = 0.0
    """In a day."""
    beat: timedelta = timedelta(minutes=5)
    """The time between two reports: 5 min for one on the mains."""
    tells: tuple[Telling, ...] = ()
    firmware: str = "2.0.1"
    weather: Weather = FAIR
    skin: SensorSkinName = "native"
    obedience: Obedience = Obedience()


class SmokeSensor(Device[SensorPlan]):
    """Reports at each beat of its plan, events at once.

    A test says "smoke" as a real alarm would; what tells them apart is `self_test`, which
    is in the same message, so that no order of arrival can make a fire of it.
    """

    kind = Kind.SMOKE

    def __init__(self, plan: SensorPlan, starts: datetime, seed: int) -> None:
        super().__init__(plan.id, starts, seed, plan, own_connection=plan.own_connection)
        self.beat, self.obedience = plan.beat, plan.obedience
        made = stream(seed, plan.id, "made")
        self._full_pct = made.uniform(71, 99)
        self._ambient_c = made.uniform(*plan.weather.mean_c)
        self._smoke: Smoke | None = None
        self._testing = False
        self._faulty: dict[str, str] = {}
        self._lay_down(starts)

    def _happenings(self) -> Iterator[Happening]:
        yield from super()._happenings()
        for smoke in self.plan.smokes:
            yield Happening(smoke.begins, "smoke", partial(self._see, smoke))
            yield Happening(smoke.ends, "no smoke", partial(self._see, None))
        for at in self.plan.tests_at:
            yield Happening(at, "test", self._test)
        for telling in self.plan.tells:
            begins, ends = (partial(self._says, telling, active=on) for on in (True, False))
            yield Happening(telling.begins, f"says {telling.event}", begins)
            if telling.ends is not None:
                yield Happening(telling.ends, f"unsays {telling.event}", ends)

    def _see(self, smoke: Smoke | None, now: datetime) -> None:
        self._smoke = smoke
        temperature_c = self._temperature_c()
        active = smoke is not None
        self._tell(Event(event="smoke", active=active, temperature_c=temperature_c), now)
        self._plan(now + timedelta(seconds=2), self._report)

    def _says(self, telling: Telling, now: datetime, *, active: bool) -> None:
        what, detail = telling.event, telling.detail
        if active:
            self._faulty[what] = detail
        else:
            self._faulty.pop(what, None)
        self._tell(Event(event=what, active=active, detail=detail), now)

    def _test(self, now: datetime) -> None:
        self._testing = True
        self._tell(Event(event="self_test", detail="button"), now)
        self._report(now)
        self._plan(now + TEST_LASTS, self._tested)

    def _tested(self, now: datetime) -> None:
        self._testing = False
        self._report(now)
        self._tell(Event(event="self_test", active=False), now)

    def _temperature_c(self) -> float:
        warmer_c = self._smoke.warmer_c if self._smoke else 0.0
        return round(self._ambient_c + warmer_c + self.chance.gauss(0, 0.2), 1)

    def _left_pct(self, now: datetime) -> float:
        days, plan = (now - self._starts) / timedelta(days=1), self.plan
        first_pct = self._full_pct if plan.battery_pct is None else plan.battery_pct
        return max(0.0, first_pct - days * plan.battery_falls_pct)

    def _status(self, now: datetime) -> Status:  # noqa: ARG002
        return Status(online=True, model="CW-S2", firmware=self.plan.firmware)

    def _measured(self, now: datetime) -> list[bytes]:
        reading = Reading(
            smoke_alarm=self._smoke is not None or self._testing,
            self_test=self._testing,
            battery_pct=round(self._left_pct(now), 1),
            ambient_temperature_c=self._temperature_c(),
            signal_pct=self._received_pct(),
            fault=self._faulty.get("fault"),
            tamper=True if "tamper" in self._faulty else None,
        )
        return [msgspec.json.encode(reading)]

    def _refusal(self, command: Command) -> str:
        known = command.command in {"report_now", "self_test"}
        return "" if known else "a smoke sensor has nothing to switch"

    def _carry_out(self, command: Command, now: datetime) -> None:
        if command.command == "self_test":
            self._test(now)
        else:
            self._report(now)
