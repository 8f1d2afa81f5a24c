"""What somebody does to a village that runs: a fault of scenarios, at a moment of their choice.

It is laid down as a scenario's events are, on a stage of its own; what comes of that is put
into the plans of those whom it befalls, who go by them from then on. So everything that
follows is physics, and the truth is the one that a scenario would have had. Nobody else's
plan changes, nor the chances of anybody.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from simulator.behaviour import Booked
from simulator.doing import Doing
from simulator.emissions import stream
from simulator.faults.fault import Fault
from simulator.hazards import Physics
from simulator.pile_plans import PilePlan
from simulator.reckoning import true_of
from simulator.scene import Scene, Subject
from simulator.smoke_sensors import SensorPlan
from simulator.truth import TRAP, Incident
from simulator.village import Village
from simulator.words import length

SILENCES = frozenset({"silence", "site_outage", "carrier_outage"})
"""Each of them is told instead of another, when more or fewer are silent."""
HEARD_FOR = 100
"""Runs that a service goes on after the view has been left, as good as for ever."""


class Deed(msgspec.Struct, kw_only=True):
    """A fault that somebody let happen, to whom, when, and until when."""

    fault: Fault
    subject: Subject
    since: datetime
    number: int
    """Of those of a run, from 0 on: two of a kind take different chances."""
    village: Village
    ended_at: datetime | None = None
    scene: Scene
    """The stage on which it was laid down, alone."""
    due_at: datetime | None = None
    """When somebody could first know of it, if it goes on; None: never."""
    expected: tuple[str, ...] = ()
    """Rules of which one ought to fire if it goes on ..."""
    must_not: tuple[str, ...] = ()
    """... and those that must not."""

    @classmethod
    def of(
        cls, village: Village, fault: Fault, subject: Subject, since: datetime, number: int
    ) -> "Deed":
        deed = cls(
            fault=fault,
            subject=subject,
            since=since,
            number=number,
            village=village,
            scene=_stage(village),
        )
        deed._lay_down()
        incidents = [each for each in deed._due() if each.expected_rules]
        deed.due_at = min((each.earliest for each in incidents), default=None)
        due = [rule for each in incidents for rule in each.expected_rules]
        must_not = [rule for each in deed.scene.incidents for rule in each.must_not_rules]
        alike = SILENCES - {*must_not} if SILENCES & {*due} else frozenset()
        deed.expected = tuple(dict.fromkeys((*due, *sorted(alike))))
        deed.must_not = tuple(dict.fromkeys(must_not))
        return deed

    def end(self, now: datetime) -> None:
        """Let it be over: what was broken is replaced, whoever was away is back."""
        self.ended_at = now
        self._lay_down()

    @property
    def name(self) -> str:
        """The fault's word."""
        return str(type(self.fault).__struct_config__.tag)

    @property
    def sites(self) -> tuple[str, ...]:
        """Return the sites that it concerns; "" is what concerns several."""
        site = self.subject.site
        if self.fault.target != "carrier":
            return (site.id,)
        mine = (each.id for each in self.village.sites if each.carrier == site.carrier)
        return (*mine, "")

    @property
    def place(self) -> tuple[str, int | None]:
        """Return the device and the socket that it is about; "": all of the site."""
        found = self.scene.incidents
        first = next((each for each in found if each.severity != TRAP), next(iter(found), None))
        if first is not None:
            return first.device or "", first.channel
        doing = self.doing(self.subject.device)
        booked = doing.booked if doing is not None else []
        return self.subject.device, booked[0].channel if booked else self.subject.channel

    def doing(self, device: str) -> Doing | None:
        """Return what it does to a device, if anything."""
        return self.scene.on.get(device)

    def incidents(self) -> Iterator[Incident]:
        """Yield what is true because of it, besides what follows from what flows."""
        for incident in self.scene.incidents:
            lasts = self.fault.lasting(self.village.lasts) is not None
            if self.ended_at is None or lasts:
                yield incident
            elif incident.begins < self.ended_at:
                yield _cut_short(incident, self.ended_at)

    def _lay_down(self) -> None:
        """Lay it down, for the rest of the run or until it was ended."""
        fault, village = self.fault, self.village
        at = self.since + length(getattr(fault, "came_before", "0 s"))
        whole = fault.lasting((self.ended_at or village.ends) - at)
        self.scene = scene = _stage(village)
        name = self.subject.device or self.subject.site.id
        chance = stream(village.seed, name, f"deed/{self.number}")
        (whole or fault).happen(scene, at, self.subject, chance)
        scene.intruders = [  # its name is nobody else's
            msgspec.structs.replace(each, number=1000 + self.number) for each in scene.intruders
        ]
        if self.ended_at is not None:
            for doing in scene.on.values():
                doing.mended()
                if whole is None:
                    doing.stopped(self.ended_at)

    def _due(self) -> Iterator[Incident]:
        """Yield what is true if it goes on, and nothing else happens."""
        scene, site = self.scene, self.subject.site
        yield from scene.incidents
        physics = Physics(
            limits=scene.limits,
            hours=scene.hours_of(site),
            starts=self.since,
            ends=scene.ends,
        )
        for plan in self.village.piles:
            if (doing := self.doing(plan.id)) is not None:
                bare = msgspec.structs.replace(plan, uses=(), stops=(), rescans=())
                yield from physics.of_pile(doing.to_pile(bare))


def taken(deeds: Iterable[Deed], device: str, channel: int, now: datetime) -> bool:
    """Say whether something that was done has a socket at a moment."""
    return any(
        booked.channel == channel and booked.since <= now < booked.until
        for deed in deeds
        if (doing := deed.doing(device)) is not None
        for booked in doing.booked
    )


def pile_with(plan: PilePlan, doings: Iterable[Doing]) -> PilePlan:
    """Return the plan of a pile to which things were done. Who is in the way has to go."""
    for doing in doings:
        for booked in doing.booked:
            plan = _cleared(plan, booked)
        plan = doing.to_pile(plan)
    return msgspec.structs.replace(
        plan, uses=tuple(sorted(plan.uses, key=lambda use: use.plugged_at))
    )


def sensor_with(plan: SensorPlan, doings: Iterable[Doing]) -> SensorPlan:
    """Return the plan of a sensor to which things were done."""
    for doing in doings:
        plan = doing.to_sensor(plan)
    return plan


def truth(
    village: Village,
    lived: Iterable[PilePlan],
    deeds: Iterable[Deed],
    begins: datetime,
    ends: datetime,
) -> list[Incident]:
    """Return all that was true while somebody watched, done by hand or not.

    `lived` are the plans of the piles as they became. What is over when they leave is
    expected as if the run went on: the service does.
    """
    deeds = list(deeds)
    scene = _stage(msgspec.structs.replace(village, starts=begins, lasts=ends - begins))
    taken_from = [
        (name, booked)
        for deed in deeds
        for name, doing in deed.scene.on.items()
        for booked in doing.booked
    ]
    scene.incidents += _left_alone(village.laid_down, taken_from)
    scene.incidents += (incident for deed in deeds for incident in deed.incidents())
    return true_of(scene, lived, ends + HEARD_FOR * village.lasts)


def _stage(village: Village) -> Scene:
    return Scene(
        seed=village.seed,
        starts=village.starts,
        ends=village.ends,
        zone=ZoneInfo(village.zone),
        limits=village.limits,
        sites=village.sites,
        clocks_off=village.clocks_off,
    )


def _cleared(plan: PilePlan, booked: Booked) -> PilePlan:
    """Return the plan without what people would do to a socket while somebody has it."""

    def in_the_way(channel: int, at: datetime) -> bool:
        return channel == booked.channel and booked.since <= at < booked.until

    uses = [
        msgspec.structs.replace(use, unplugged_at=booked.since)
        if use.channel == booked.channel and use.plugged_at < booked.since < use.unplugged_at
        else use
        for use in plan.uses
        if not in_the_way(use.channel, use.plugged_at)
    ]
    return msgspec.structs.replace(
        plan,
        uses=tuple(uses),
        stops=tuple(each for each in plan.stops if not in_the_way(each.channel, each.at)),
        rescans=tuple(each for each in plan.rescans if not in_the_way(each.channel, each.at)),
    )


def _left_alone(
    incidents: Iterable[Incident], taken_from: Iterable[tuple[str, Booked]]
) -> Iterator[Incident]:
    """Yield what was scheduled, over where somebody has taken the socket that it needs."""
    taken_from = list(taken_from)
    for incident in incidents:
        for device, booked in taken_from:
            if (incident.device, incident.channel) != (device, booked.channel):
                continue
            if booked.since <= incident.begins < booked.until:
                break
            if incident.begins < booked.since < (incident.ends or booked.until):
                incident = _cut_short(incident, booked.since)  # noqa: PLW2901
        else:
            yield incident


def _cut_short(incident: Incident, at: datetime) -> Incident:
    """Return an incident that is over at a moment; nobody need know of it who had no time."""
    in_time = (incident.latest or incident.earliest) < at
    return msgspec.structs.replace(
        incident,
        ends=at if incident.ends is None else min(incident.ends, at),
        expected_rules=incident.expected_rules if in_time else (),
    )
