"""Charges that go wrong: too much at once, a wrong charger, a battery that gets no fuller."""

from datetime import datetime, timedelta
from random import Random
from typing import Annotated, ClassVar

import msgspec

from simulator.batteries import (
    FAST_60V,
    LEAD_ACID_48V,
    LEAD_ACID_LARGE,
    LEAD_ACID_SMALL,
    lead_acid_brick,
)
from simulator.charging import Curve, charge, joined
from simulator.faults.fault import BatteryName, WithBike
from simulator.habits import BY_NAME
from simulator.mains import INRUSH_S
from simulator.mishaps import tapers_s, together, untapered
from simulator.scene import Scene, Subject
from simulator.sockets import Use
from simulator.words import Length, Share, length

STEP_W = 80.0
"""A rise by so much is a step: AP3000's dynamic overload (DOMAIN §2.1)."""
ARMED_AFTER = timedelta(minutes=30)
"""A step sooner than this is how some chargers start up (same source)."""
INRUSH_OVER = timedelta(seconds=10)
STEPPED_AFTER = timedelta(seconds=30)
"""AP3000 averages over as much: what lasts for less is no step."""


class Bike(WithBike, frozen=True, kw_only=True):
    """A bike comes and stays; what is wrong with that, if anything, physics says."""

    stays: Length = "4 h"
    source: ClassVar[str] = "simulator/packs.py, held against PyBaMM"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        curve, until = self.curve(), at + length(self.stays)
        place = self.plug(scene, subject, at, until, curve, chance)
        _note_inrush(scene, place, at, curve)


class FastCharger(Bike, frozen=True, kw_only=True):
    """A charger that is too strong for the socket: a plateau above its limit."""

    battery: BatteryName = FAST_60V.name
    source: ClassVar[str] = "ours: 60 V at 10 A draws some 860 W"


class Forgotten(Bike, frozen=True, kw_only=True):
    """A full battery is left on its charger for days: a long float."""

    battery: BatteryName = LEAD_ACID_LARGE.name
    charge: Share = 0.6
    health: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8
    stays: Length = "2 d"
    source: ClassVar[str] = "X10P, AP3000: a charge ends after 45 to 60 min of float"


class LongCharge(Bike, frozen=True, kw_only=True):
    """A large battery that is nearly empty: the charge takes longer than is allowed."""

    battery: BatteryName = LEAD_ACID_LARGE.name
    charge: Share = 0.02
    stays: Length = "13 h"
    source: ClassVar[str] = "8 h: Beijing guide of 2021; 10 h: Shenzhen 2015"


class Overload(WithBike, frozen=True, kw_only=True):
    """Something strong joins a bike on an adapter: a heater, a second charger."""

    battery: BatteryName = LEAD_ACID_48V.name
    extra_w: Annotated[float, msgspec.Meta(gt=0, le=3500)] = 1060.0
    lasts: Length = "10 min"
    came_before: Length = "95 min"
    source: ClassVar[str] = "X10P limits a socket to 5.5 A, some 1.2 kW"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        before = length(self.came_before)
        curve = joined(self.curve(), before, extra_w=self.extra_w)
        until = at + length(self.lasts)
        place = self.plug(scene, subject, at - before, until, curve, chance)
        note_step(scene, place, at, Use(place.channel or 1, at - before, until, curve))


class ExtensionLead(WithBike, frozen=True, kw_only=True):
    """A second bike hangs on the same socket by an extension lead: a step in power."""

    battery: BatteryName = LEAD_ACID_48V.name
    second: BatteryName = LEAD_ACID_SMALL.name
    lasts: Length = "3 h"
    came_before: Length = "1 h"
    source: ClassVar[str] = "AP3000: dynamic overload, a rise of 80 W"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        before, until = length(self.came_before), at + length(self.lasts)
        second = charge(BY_NAME[self.second], self.charge)
        curve = together(self.curve(), second, joins=before)
        place = self.plug(scene, subject, at - before, until, curve, chance)
        note_step(scene, place, at, Use(place.channel or 1, at - before, until, curve))


class NoTaper(WithBike, frozen=True, kw_only=True):
    """A charger does not see that its battery is full, and overcharges it."""

    stays: Length = "11 h"
    source: ClassVar[str] = "ours: overcharge shows as power that does not taper"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        self._overcharges(scene, at, subject, chance, untapered(self.curve()))

    def _overcharges(
        self, scene: Scene, at: datetime, subject: Subject, chance: Random, curve: Curve
    ) -> None:
        until = at + length(self.stays)
        place = self.plug(scene, subject, at, until, curve, chance)
        full_at = at + timedelta(seconds=tapers_s(self.curve()))
        if full_at < until:
            scene.happened(
                place,
                "no_taper",
                severity="critical",
                begins=at,
                ends=until,
                onset=full_at,
                earliest=full_at,
                expected_rules=("no_taper",),
            )


class WrongCharger(NoTaper, frozen=True, kw_only=True):
    """Lead-acid on the charger of a higher voltage: it boils at full current for ever."""

    battery: BatteryName = LEAD_ACID_48V.name
    blocks: Annotated[int, msgspec.Meta(ge=2, le=7)] = 5
    """Blocks of 12 V that the charger is made for."""
    source: ClassVar[str] = "docs/simulator-physics.md: of a higher voltage, lead-acid boils"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        brick = lead_acid_brick(self.blocks, amps=2.8, turns_a=0.65)
        wrong = charge(BY_NAME[self.battery].on(brick), self.charge, self.health)
        self._overcharges(scene, at, subject, chance, wrong)


def note_step(
    scene: Scene, place: Subject, at: datetime, use: Use, *, off_at: datetime | None = None
) -> None:
    """Write down that two are on one socket. If that is too much, physics says so too.

    The pile may have switched the socket off at `off_at`, before there was anything to see.
    """
    before = at - use.plugged_at
    alone_w = use.curve.power_w(before)
    both_w = use.curve.power_w(before + timedelta(seconds=INRUSH_S + 1))
    is_step = both_w - alone_w >= STEP_W and before >= ARMED_AFTER
    over_at = min(use.unplugged_at, off_at or use.unplugged_at)
    is_seen = at + STEPPED_AFTER + place.figures < over_at
    knowable = is_step and is_seen and at >= scene.starts  # nobody sees one from before
    too_much = both_w > scene.limits.socket_w
    scene.happened(
        place,
        "two_on_one_socket",
        severity="warning",
        begins=at,
        ends=use.unplugged_at,
        earliest=at + STEPPED_AFTER,
        expected_rules=("power_step",) if knowable and not too_much else (),
        figures={
            "alone_w": round(alone_w, 1),
            "both_w": round(both_w, 1),
            "before_most_w": round(_most_w(use.curve, before), 1),
        },
    )


def _most_w(curve: Curve, before: timedelta) -> float:
    """Return the most that is drawn after the inrush and before a moment."""
    until_s, points = before.total_seconds(), zip(curve.times_s, curve.powers_w, strict=True)
    return max((power_w for at_s, power_w in points if INRUSH_S <= at_s < until_s), default=0.0)


def _note_inrush(scene: Scene, place: Subject, at: datetime, curve: Curve) -> None:
    """Write down an inrush above the limit whose charge stays below it: a trap."""
    limit_w = scene.limits.socket_w
    settled_w = max(curve.powers_w[2:], default=0.0)
    if curve.powers_w[0] > limit_w >= settled_w:
        scene.trap(place, "inrush", at, at + INRUSH_OVER, "overload", "power_step")
