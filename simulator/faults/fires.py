"""What burns, and what only looks like it."""

from datetime import datetime, timedelta
from random import Random
from typing import Annotated, ClassVar

import msgspec

from simulator.faults.fault import Fault, Target, WithBike, late
from simulator.mishaps import tripped
from simulator.pile_plans import Heating
from simulator.scene import Scene, Subject
from simulator.smoke_sensors import Smoke as Seen
from simulator.smoke_sensors import Telling
from simulator.words import Length, length

SMOKES_AFTER, FLAMES_AFTER = timedelta(minutes=3), timedelta(minutes=6)
SPREADS_AFTER = timedelta(minutes=1)
"""After swelling; the neighbour burns a minute after the flames. The fire brigade's test in
Jiyuan: swelling at 1 min, white smoke 3, explosion 6, the neighbour 1 min later (§0)."""
REACHES_WITHIN = timedelta(seconds=40)
"""Smoke under a canopy takes so long to a detector, at most (estimate)."""
MELTS_AFTER = timedelta(minutes=3)
"""After the flames a pile says nothing more (Yuhang's test: 900 °C in 18 s, §6.3)."""
K_A_MINUTE = 90.0
BURNS_FOR = timedelta(minutes=30)


class ThermalRunaway(WithBike, frozen=True, kw_only=True):
    """A battery swells, smokes, flames; the next bike catches fire; the charger trips."""

    came_before: Length = "3 h"
    trips_after: Length = "4 min"
    """From swelling on: then the charger gives nothing any more, which looks like "done"."""
    parked: bool = False
    """It stands beside the socket and is not charged: most bikes that burn are."""
    source: ClassVar[str] = "fire brigade's overcharge test, Jiyuan"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        smokes_at, flames_at = at + SMOKES_AFTER, at + FLAMES_AFTER
        channel, pile = subject.channel or 1, scene.on[subject.device]
        if not self.parked:
            before = length(self.came_before)
            curve = tripped(self.curve(), before + length(self.trips_after))
            until = max(scene.ends, at + BURNS_FOR)
            place = self.plug(scene, subject, at - before, until, curve, chance)
            channel = place.channel or 1
        pile.burns.append(Heating(channel, flames_at, K_A_MINUTE))
        beside = channel + 1 if channel < subject.site.sockets else channel - 1
        pile.burns.append(Heating(beside, flames_at + SPREADS_AFTER, K_A_MINUTE))
        pile.dies(flames_at + MELTS_AFTER)
        seen_at = flames_at
        for sensor in subject.site.sensor_ids():
            reached_at = smokes_at + REACHES_WITHIN * chance.random()
            seen_at = min(seen_at, reached_at)
            scene.on[sensor].smokes.append(Seen(reached_at, at + BURNS_FOR, warmer_c=30.0))
        detected = subject.site.sensors > 0
        scene.happened(
            Subject(subject.site),
            "thermal_runaway",
            severity="emergency",
            begins=at,
            onset=at,
            earliest=seen_at,
            latest=flames_at,
            expected_rules=("smoke", "fire") if detected else ("heat",),
        )


class Smoke(Fault, frozen=True, kw_only=True):
    """Smoke that is smoke: cardboard beside the bikes smoulders."""

    lasts: Length = "8 min"
    warmer_c: float = 6.0
    target: ClassVar[Target] = "sensor"
    source: ClassVar[str] = "GB 20517: what a detector is for"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = at + length(self.lasts)
        scene.on[subject.device].smokes.append(Seen(at, until, self.warmer_c))
        scene.happened(
            subject,
            "smoke",
            severity="critical",
            begins=at,
            ends=until,
            earliest=at,
            latest=at + timedelta(minutes=2),
            expected_rules=("smoke",),
        )


class _Nuisance(Fault, frozen=True, kw_only=True):
    """A detector sees something that is no fire. It says "smoke": that may be told."""

    lasts: Length = "3 min"
    times: Annotated[int, msgspec.Meta(ge=1, le=50)] = 1
    target: ClassVar[Target] = "sensor"
    lasts_by: ClassVar[tuple[str, ...]] = ()

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        begins = at
        for _ in range(self.times):
            ends = begins + length(self.lasts) * chance.uniform(0.5, 1.5)
            scene.on[subject.device].smokes.append(Seen(begins, ends, warmer_c=1.0))
            kind = type(self).__struct_config__.tag
            scene.trap(subject, str(kind), begins, ends + timedelta(minutes=1), "fire")
            begins = ends + timedelta(minutes=20 + 60 * chance.random())


class Fryer(_Nuisance, frozen=True, kw_only=True):
    """A snack stall fries beside the station."""

    source: ClassVar[str] = "Cixi: some 5,700 warnings for each real fire"


class Insect(_Nuisance, frozen=True, kw_only=True):
    """A spider walks through a detector's chamber."""

    lasts: Length = "12 s"
    source: ClassVar[str] = "ours; GB 4715-2024 on what a detector must not see"


class Dust(_Nuisance, frozen=True, kw_only=True):
    """Dust has gathered in a detector: it says that it is dirty, and sees smoke in it."""

    times: Annotated[int, msgspec.Meta(ge=1, le=50)] = 5
    lasts: Length = "30 s"
    says_so: bool = True
    """It has a warning for that, as new ones must."""
    source: ClassVar[str] = "GB 20517-2025, GB 4715-2024: contamination warning"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        super().happen(scene, at, subject, chance)
        if self.says_so:
            dirty_at = at + timedelta(minutes=1) * chance.random()
            telling = Telling("fault", dirty_at, detail="contaminated")
            scene.on[subject.device].tells.append(telling)
            scene.happened(
                subject,
                "dirty_sensor",
                severity="warning",
                begins=dirty_at,
                earliest=dirty_at,
                latest=dirty_at + late(subject),
                expected_rules=("device_fault",),
                must_not_rules=("fire",),
            )


class SensorDrift(_Nuisance, frozen=True, kw_only=True):
    """A detector has aged: in damp mornings it sees smoke where there is none."""

    times: Annotated[int, msgspec.Meta(ge=1, le=50)] = 3
    lasts: Length = "90 s"
    source: ClassVar[str] = "GB 20517-2025 wants a drift of the threshold to be compensated"


class SelfTest(Fault, frozen=True, kw_only=True):
    """Somebody presses a detector's test button."""

    target: ClassVar[Target] = "sensor"
    source: ClassVar[str] = "docs/messages.md: smoke during a self-test is no fire"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        scene.on[subject.device].tests_at.append(at)
        over_at = at + timedelta(seconds=30)
        scene.trap(subject, "self_test", at, over_at, "smoke", "fire", "device_fault")
