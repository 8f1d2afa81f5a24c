"""What happens to one device besides what its people do, as faults lay it down."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TypeVar

import msgspec

from simulator.behaviour import Booked
from simulator.clocks import ClockFault
from simulator.links import Step
from simulator.pile_plans import Heating, Mains, PilePlan, Rescan, Stop
from simulator.plans import Faults, Span
from simulator.smoke_sensors import SensorPlan, Smoke, Telling
from simulator.sockets import Loosening, Switching, Use

T = TypeVar("T", bound=msgspec.Struct)


class Doing:
    """What happens to one device besides what its people do."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self.booked: list[Booked] = []
        self.rescans: list[Rescan] = []
        self.stops: list[Stop] = []
        self.switching: dict[int, Switching] = {}
        self.loosens: list[Loosening] = []
        self.burns: list[Heating] = []
        self.mains: list[Mains] = []
        self.smokes: list[Smoke] = []
        self.tests_at: list[datetime] = []
        self.tells: list[Telling] = []
        self.battery_pct: float | None = None
        self.battery_falls_pct = 0.0
        self.own_connection = False
        self.firmware = ""
        self.dies_at: datetime | None = None
        self.drops_at: datetime | None = None
        self.dark: list[Span] = []
        self.reconnects_at: list[datetime] = []
        self.willed_at: list[datetime] = []
        self.clock: list[ClockFault] = []
        self.link: list[Step] = []

    def dies(self, at: datetime) -> None:
        self.dies_at = at if self.dies_at is None else min(at, self.dies_at)

    def faults(self, before: Faults) -> Faults:
        """Return faults with these behind them."""
        return Faults(
            dies_at=_sooner(before.dies_at, self.dies_at),
            drops_at=_sooner(before.drops_at, self.drops_at),
            dark=tuple(_apart([*before.dark, *self.dark])),
            reconnects_at=(*before.reconnects_at, *self.reconnects_at),
            willed_at=(*before.willed_at, *self.willed_at),
            clock=(*before.clock, *self.clock),
            link=(*before.link, *self.link),
        )

    def to_pile(self, plan: PilePlan) -> PilePlan:
        """Return the plan of a pile, with all of this in it."""
        return msgspec.structs.replace(
            plan,
            uses=(*self.uses, *plan.uses),
            rescans=(*self.rescans, *plan.rescans),
            stops=(*self.stops, *plan.stops),
            switching=plan.switching | self.switching,
            loosens=(*plan.loosens, *self.loosens),
            burns=(*plan.burns, *self.burns),
            mains=(*self.mains, *plan.mains),
            own_connection=plan.own_connection or self.own_connection,
            firmware=self.firmware or plan.firmware,
            faults=self.faults(plan.faults),
        )

    def to_sensor(self, plan: SensorPlan) -> SensorPlan:
        low = self.battery_pct is not None
        return msgspec.structs.replace(
            plan,
            smokes=tuple(_one_at_a_time([*plan.smokes, *self.smokes])),
            tests_at=(*plan.tests_at, *self.tests_at),
            tells=(*plan.tells, *self.tells),
            battery_pct=self.battery_pct if low else plan.battery_pct,
            battery_falls_pct=self.battery_falls_pct if low else plan.battery_falls_pct,
            own_connection=plan.own_connection or self.own_connection,
            firmware=self.firmware or plan.firmware,
            faults=self.faults(plan.faults),
        )

    def mended(self) -> None:
        """Forget what has no end of its own: somebody has replaced what was broken."""
        self.switching, self.loosens, self.burns = {}, [], []
        self.battery_pct, self.battery_falls_pct, self.firmware = None, 0.0, ""

    def stopped(self, at: datetime) -> None:
        """Let all of it be over at a moment: nothing of it happens any more."""
        ended = self.dies_at or self.drops_at
        if ended is not None and ended <= at:
            self.dark.append(Span(ended, at))
        self.dies_at = self.drops_at = None
        self.uses = list(_until(self.uses, at, "plugged_at", "unplugged_at"))
        self.booked = [
            each._replace(until=min(each.until, at)) for each in self.booked if each.since < at
        ]
        self.smokes = list(_until(self.smokes, at, "begins", "ends"))
        self.tells = list(_until(self.tells, at, "begins", "ends"))
        self.dark = list(_until(self.dark, at))
        self.clock, self.link = list(_until(self.clock, at)), list(_until(self.link, at))
        self.mains = [
            msgspec.structs.replace(each, span=span)
            for each in self.mains
            for span in _until([each.span], at)
        ]
        self.stops = [each for each in self.stops if each.at < at]
        self.rescans = [each for each in self.rescans if each.at < at]
        for moments in (self.tests_at, self.reconnects_at, self.willed_at):
            moments[:] = [each for each in moments if each < at]


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _until(
    things: Iterable[T], at: datetime, begins: str = "since", ends: str = "until"
) -> Iterator[T]:
    """Yield what began before a moment, none of it longer than until then."""
    for thing in things:
        if getattr(thing, begins) < at:
            until = _sooner(getattr(thing, ends), at)
            yield msgspec.structs.replace(thing, **{ends: until})


def _apart(spans: list[Span]) -> list[Span]:
    """Return spans that do not overlap: where two do, they are one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda each: each.since):
        last = found[-1] if found else None
        if last is None or (last.until is not None and last.until < span.since):
            found.append(span)
        elif last.until is not None:
            longer = None if span.until is None else max(last.until, span.until)
            found[-1] = Span(last.since, longer)
    return found


def _one_at_a_time(smokes: list[Smoke]) -> list[Smoke]:
    """Leave out smoke that begins while there is smoke: a detector sees it once."""
    found: list[Smoke] = []
    for smoke in sorted(smokes, key=lambda each: each.begins):
        if not found or found[-1].ends < smoke.begins:
            found.append(smoke)
    return found
