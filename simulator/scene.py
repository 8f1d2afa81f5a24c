"""The stage on which faults are laid down: who is there, what is booked, what becomes true."""

from collections import defaultdict
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from simulator.behaviour import Booked
from simulator.clocks import ClockFault
from simulator.devices import Faults, Span
from simulator.emissions import stream
from simulator.hours import Hours
from simulator.intruders import IntruderPlan
from simulator.limits import Limits
from simulator.links import Step
from simulator.piles import Heating, Mains, PilePlan, Rescan, Stop
from simulator.smoke_sensors import SensorPlan, Smoke, Telling
from simulator.sockets import Loosening, Switching, Use
from simulator.truth import TRAP, Incident
from simulator.village import Site


class NoRoom(Exception):
    """What was scheduled needs a socket that is taken."""


class Subject(NamedTuple):
    """Whom a fault befalls: a site, a device of it, or one socket of that."""

    site: Site
    device: str = ""
    channel: int | None = None

    @property
    def is_sensor(self) -> bool:
        return self.device in self.site.sensor_ids()

    @property
    def beat(self) -> timedelta:
        return self.site.sensor_beat if self.is_sensor else self.site.beat

    @property
    def figures(self) -> timedelta:
        """Return the time between two reports of what is measured."""
        return self.beat if self.is_sensor else max(self.beat, self.site.figures or self.beat)


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

    def faults(self) -> Faults:
        return Faults(
            dies_at=self.dies_at,
            drops_at=self.drops_at,
            dark=tuple(_apart(self.dark)),
            reconnects_at=tuple(self.reconnects_at),
            willed_at=tuple(self.willed_at),
            clock=tuple(self.clock),
            link=tuple(self.link),
        )

    def to_pile(self, plan: PilePlan) -> PilePlan:
        """Return the plan of a pile, with all of this in it."""
        return msgspec.structs.replace(
            plan,
            uses=(*self.uses, *plan.uses),
            rescans=tuple(self.rescans),
            stops=(*self.stops, *plan.stops),
            switching=self.switching,
            loosens=tuple(self.loosens),
            burns=tuple(self.burns),
            mains=tuple(self.mains),
            own_connection=self.own_connection,
            firmware=self.firmware or plan.firmware,
            faults=self.faults(),
        )

    def to_sensor(self, plan: SensorPlan) -> SensorPlan:
        return msgspec.structs.replace(
            plan,
            smokes=tuple(_one_at_a_time(self.smokes)),
            tests_at=(*plan.tests_at, *self.tests_at),
            tells=tuple(self.tells),
            battery_pct=self.battery_pct,
            battery_falls_pct=self.battery_falls_pct,
            own_connection=self.own_connection,
            firmware=self.firmware or plan.firmware,
            faults=self.faults(),
        )


class Scene:
    """One run in the making."""

    def __init__(  # noqa: PLR0913  (all that a run has in common)
        self,
        *,
        seed: int,
        starts: datetime,
        ends: datetime,
        zone: ZoneInfo,
        limits: Limits,
        sites: tuple[Site, ...],
        clocks_off: timedelta = timedelta(0),
    ) -> None:
        self.seed, self.starts, self.ends = seed, starts, ends
        self.zone, self.limits, self.sites = zone, limits, sites
        self.on: dict[str, Doing] = defaultdict(Doing)
        self.incidents: list[Incident] = []
        self.intruders: list[IntruderPlan] = []
        self.refused = 0
        self._clocks_off = clocks_off
        self._hours: dict[tuple[str, ...], Hours] = {}

    def clock_off(self, device: str) -> timedelta:
        """Return how far ahead a device's clock is, as ordinary ones are."""
        return self._clocks_off * stream(self.seed, device, "ordinary").uniform(-1, 1)

    def hours_of(self, site: Site) -> Hours:
        if site.closed not in self._hours:
            hours = Hours(site.closed, self.zone, self.starts, self.ends)
            self._hours[site.closed] = hours
        return self._hours[site.closed]

    def book(self, subject: Subject, since: datetime, until: datetime, chance: Random) -> int:
        """Return a socket that is free for all of this time, now taken; raises NoRoom.

        If the subject names one it is that one. People see that it is taken, and go elsewhere.
        """
        doing = self.on[subject.device]
        channels = list(range(1, subject.site.sockets + 1))
        chance.shuffle(channels)
        for channel in [subject.channel] if subject.channel else channels:
            if not any(
                channel == other.channel and since < other.until and other.since < until
                for other in doing.booked
            ):
                doing.booked.append(Booked(channel, since, until))
                return channel
        raise NoRoom(f"{subject.device}: no socket is free from {since} to {until}")

    def happened(self, subject: Subject, kind: str, **rest: object) -> Incident:
        """Write down what is true of a socket, a device, or (if it names none) a site."""
        site = None if subject.device else subject.site.id
        what = {"kind": kind, "site": site, "device": subject.device or None}
        incident = Incident(**{**what, "channel": subject.channel, **rest})  # type: ignore[arg-type]
        self.incidents.append(incident)
        return incident

    def trap(
        self, subject: Subject, kind: str, begins: datetime, ends: datetime, *must_not: str
    ) -> None:
        """Write down what looks like a danger and is none."""
        self.happened(
            subject,
            kind,
            severity=TRAP,
            begins=begins,
            ends=ends,
            earliest=begins,
            must_not_rules=must_not,
        )


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
