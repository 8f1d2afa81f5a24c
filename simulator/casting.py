"""Who is befallen by the events of a scenario, and when.

An event that is drawn falls on whoever has the lowest number in a lottery in which each has
a number of its own: one more candidate takes part of the events, and moves none of the rest.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase

from ingest.errors import ChargewatchError
from simulator.behaviour import poisson
from simulator.emissions import stream
from simulator.faults.fault import Fault
from simulator.scene import NoRoom, Scene, Subject
from simulator.words import DAY, Rate, moments, rate


class EventImpossible(ChargewatchError):
    """An event of a scenario befalls nobody, or needs what another has."""


def cast(events: tuple[Fault, ...], scene: Scene, name: str, *, cut_down: bool = False) -> None:
    """Let all events happen; raises EventImpossible.

    `cut_down`: there are fewer stations than the scenario speaks of; what befalls those that
    are missing is left out.
    """
    for number, fault in enumerate(events):
        tag = str(type(fault).__struct_config__.tag)
        called = f"{name}: events[{number + 1}] ({tag})"
        candidates = list(_candidates(fault, scene))
        if not candidates and cut_down:
            continue
        if not candidates:
            raise EventImpossible(f"{called}: where = {fault.where!r} is nobody here")
        often = rate(fault.at)
        if often is not None:
            for at, subject in _drawn(fault, f"{number}/{tag}", often, candidates, scene):
                _try(fault, scene, at, subject, f"{number}/{tag}")
            continue
        for at in moments(fault.at, scene.starts, scene.ends, scene.zone):
            lot = f"{scene.seed}/{number}/{at.isoformat()}"
            for subject in candidates if fault.all else [_lowest(lot, candidates)]:
                if not _try(fault, scene, at, subject, f"{number}/{tag}"):
                    raise EventImpossible(
                        f"{called}: at {fault.at}, no socket of {_name(subject)} is free"
                    )


def _try(fault: Fault, scene: Scene, at: datetime, subject: Subject, purpose: str) -> bool:
    """Let it happen; False: there is no room for it."""
    chance = stream(scene.seed, _name(subject), f"event/{purpose}/{at.isoformat()}")
    try:
        fault.happen(scene, at, subject, chance)
    except NoRoom:
        return False
    return True


def _drawn(
    fault: Fault, purpose: str, often: Rate, candidates: list[Subject], scene: Scene
) -> Iterator[tuple[datetime, Subject]]:
    """Yield what happens at random, day by day: one day more moves nothing of the others."""
    groups: dict[str, list[Subject]] = {}
    for subject in candidates:
        group = subject.site.id if often.per == "site" else _name(subject)
        groups.setdefault(group, []).append(subject)
    mean = often.count * (DAY / often.every)
    for group, members in groups.items():
        for day in range((scene.ends - scene.starts) // DAY + 1):
            chance = stream(scene.seed, group, f"events/{purpose}/{day}")
            for _ in range(poisson(chance, mean)):
                at = scene.starts + DAY * (day + chance.random())
                if at < scene.ends:
                    lot = f"{scene.seed}/{purpose}/{at.isoformat()}"
                    yield from ((at, each) for each in _chosen(fault, lot, members))


def _chosen(fault: Fault, lot: str, members: list[Subject]) -> list[Subject]:
    return members if fault.all else [_lowest(lot, members)]


def _lowest(lot: str, candidates: list[Subject]) -> Subject:
    def number(subject: Subject) -> bytes:
        return hashlib.sha256(f"{lot}/{_name(subject)}".encode()).digest()

    return min(candidates, key=number)


def _candidates(fault: Fault, scene: Scene) -> Iterator[Subject]:
    """Yield whom an event may befall."""
    pattern, _, socket = fault.where.partition("#")
    channel = int(socket) if socket.isdigit() else None
    carriers: set[str] = set()
    for site in scene.sites:
        if fault.target == "site":
            if fnmatchcase(site.id, pattern):
                yield Subject(site)
        elif fault.target == "carrier":
            if site.carrier and site.carrier not in carriers:
                carriers.add(site.carrier)
                if fnmatchcase(site.carrier, pattern):
                    yield Subject(site)
        else:
            kind = getattr(fault, "kind", "any") if fault.target == "device" else fault.target
            piles = () if kind == "sensor" else site.pile_ids()
            sensors = site.sensor_ids() if kind in {"sensor", "any"} else ()
            for name in (*piles, *sensors):
                if fnmatchcase(name, pattern) or fnmatchcase(site.id, pattern):
                    yield Subject(site, name, channel)


def _name(subject: Subject) -> str:
    return subject.device or subject.site.id
