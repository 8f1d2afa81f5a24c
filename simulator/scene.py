"""The stage on which faults are laid down: who is there, what is booked, what becomes true."""

from collections import defaultdict
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from simulator.behaviour import Booked
from simulator.doing import Doing
from simulator.emissions import stream
from simulator.hours import Hours
from simulator.intruders import IntruderPlan
from simulator.limits import Limits
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
