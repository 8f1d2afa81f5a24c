"""What all faults have in common: when, where, and whom they befall.

A fault is one class. Its fields are the keys of an `[[events]]` table, its docstring is its
explanation, `source` says where its figures come from. `happen` lays it down for one subject
at one moment: in the plans of devices, and in the truth. It decides by the chance that it is
given, and by nothing else.
"""

import re
from datetime import datetime, timedelta
from random import Random
from typing import Annotated, ClassVar, Literal, Self

import msgspec

from simulator.batteries import LEAD_ACID_60V
from simulator.charging import Curve, charge
from simulator.habits import BY_NAME
from simulator.hazards import SLACK
from simulator.scene import Scene, Subject
from simulator.sockets import Use
from simulator.words import Part, Share, When

Target = Literal["socket", "pile", "sensor", "device", "site", "carrier"]
OURS = "ours"

BatteryName = Annotated[
    str, msgspec.Meta(description="a name of simulator/batteries.py: " + "; ".join(BY_NAME))
]


def _tag(name: str) -> str:
    """Return the word for a fault: ContactHeating is contact_heating."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Fault(Part, frozen=True, kw_only=True, tag_field="fault", tag=_tag):
    """An event of a scenario: something goes wrong, or only looks so."""

    at: When
    where: str = "*"
    """Whom it may befall: "area/site", "area/site/device", "area/site/device#socket", with
    * for anything."""
    all: bool = False
    """It befalls all of them; if not, one of them, drawn by chance."""

    target: ClassVar[Target] = "socket"
    lasts_by: ClassVar[tuple[str, ...]] = ("lasts", "stays", "set_after")
    """The keys of which one, if a fault has it, says how long it goes on."""
    source: ClassVar[str] = OURS

    def lasting(self, how_long: timedelta) -> Self | None:
        """Return the same, over after so long; None: it takes the time that it takes."""
        key = next((key for key in self.lasts_by if key in self.__struct_fields__), None)
        if key is None:
            return None
        seconds = max(0.0, how_long.total_seconds())
        return msgspec.structs.replace(self, **{key: f"{seconds:.6f} s"})

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        """Lay it down."""
        raise NotImplementedError


class WithBike(Fault, frozen=True, kw_only=True):
    """A fault of a charge, which brings its own bike."""

    battery: BatteryName = LEAD_ACID_60V.name
    charge: Share = 0.3
    """How full the battery is when it comes."""
    health: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0

    def __post_init__(self) -> None:
        if self.battery not in BY_NAME:
            raise ValueError(f"no battery {self.battery!r}; there is {', '.join(BY_NAME)}")

    def curve(self) -> Curve:
        return charge(BY_NAME[self.battery], self.charge, self.health)

    def plug(  # noqa: PLR0913, PLR0917  (a plug has as many sides)
        self,
        scene: Scene,
        subject: Subject,
        since: datetime,
        until: datetime,
        curve: Curve,
        chance: Random,
    ) -> Subject:
        """Put the bike's plug in; return the socket that it has."""
        channel = scene.book(subject, since, until, chance)
        scene.on[subject.device].uses.append(Use(channel, since, until, curve))
        return subject._replace(channel=channel)


def late(subject: Subject) -> timedelta:
    """Return how much later than at once is in time: a report, and a slow machine."""
    return subject.figures + SLACK
