"""Relays, plugs and contacts: what switches, and what should hold."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Annotated, ClassVar

import msgspec

from simulator.batteries import LEAD_ACID_72V, LEAD_ACID_LARGE
from simulator.charging import Curve, joined
from simulator.faults.fault import BatteryName, WithBike, late
from simulator.mishaps import bounced
from simulator.pile_plans import Rescan as Again
from simulator.pile_plans import Stop
from simulator.piles import CONTACT_OHM
from simulator.scene import Scene, Subject
from simulator.sockets import FINISHED_W, Loosening, Switching
from simulator.warmth import CONTACT_K_PER_W, CONTACT_LAG_S, lagged
from simulator.words import Length, Share, length

WARMER_K = 15.0
"""So much warmer than its neighbours, a contact is no matter of sun or load (DOMAIN §7)."""
OUTDOORS_C = 20.0
"""What a contact's rise is added to when it is said when it was hot."""
LOOK_EVERY_S = 30.0


class RelayWelded(WithBike, frozen=True, kw_only=True):
    """A relay's contacts weld: the pile switches off, and the current flows on."""

    battery: BatteryName = LEAD_ACID_72V.name
    charge: Share = 0.1
    came_before: Length = "2 h"
    lasts: Length = "1 h"
    """From switching off until somebody pulls the plug."""
    source: ClassVar[str] = "AP3000: port state 9, relay welded"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        before, until = length(self.came_before), at + length(self.lasts)
        curve = self.curve()
        place = self.plug(scene, subject, at - before, until, curve, chance)
        channel = place.channel or 1
        doing = scene.on[subject.device]
        doing.switching[channel] = Switching.WELDED
        doing.stops.append(Stop(channel, at))
        flows = curve.power_w(before) >= FINISHED_W
        scene.happened(
            place,
            "relay_welded",
            severity="critical",
            begins=at,
            ends=until,
            earliest=at,
            latest=at + late(subject) + timedelta(minutes=1),
            expected_rules=("relay_welded",) if flows else (),
        )


class PlugBounce(WithBike, frozen=True, kw_only=True):
    """A loose plug loses contact a few times, for seconds: a nuisance, no danger yet."""

    times: Annotated[int, msgspec.Meta(ge=1, le=20)] = 4
    gap: Length = "6 s"
    came_before: Length = "45 min"
    stays: Length = "3 h"
    source: ClassVar[str] = "X10P: the rule for pulled plugs was retuned ten times"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        since, until = at - length(self.came_before), at + length(self.stays)
        curve, last = self.curve(), at
        for number in range(self.times):
            last = at + timedelta(minutes=2 * number + chance.random())
            curve = bounced(curve, last - since, length(self.gap))
        place = self.plug(scene, subject, since, until, curve, chance)
        ends = min(until, last + timedelta(minutes=5))
        must_not = ("power_step", "abrupt_end", "overload", "relay_welded")
        scene.trap(place, "plug_bounce", at, ends, *must_not)


class Rescan(WithBike, frozen=True, kw_only=True):
    """The pile cuts an overload off by itself; minutes later its owner starts it again."""

    extra_w: float = 1060.0
    came_before: Length = "1 h"
    cut_after: Length = "13 min"
    rescanned_after: Length = "5 min"
    lasts: Length = "2 h"
    source: ClassVar[str] = "Wuhan, 4 Jan 2025: cut after 13 min, scanned again 5 min later"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        before, until = length(self.came_before), at + length(self.lasts)
        curve = joined(self.curve(), before, extra_w=self.extra_w)
        place = self.plug(scene, subject, at - before, until, curve, chance)
        channel, doing = place.channel or 1, scene.on[subject.device]
        cut_at = at + length(self.cut_after)
        doing.stops.append(Stop(channel, cut_at, "overload"))
        doing.rescans.append(Again(channel, cut_at + length(self.rescanned_after)))


class ContactHeating(WithBike, frozen=True, kw_only=True):
    """A contact wears out under load, and gets hot."""

    battery: BatteryName = LEAD_ACID_LARGE.name
    charge: Share = 0.1
    takes: Length = "40 min"
    """Until it is as bad as it gets."""
    ohm: Annotated[float, msgspec.Meta(gt=0, le=20)] = 0.8
    came_before: Length = "30 min"
    stays: Length = "4 h"
    source: ClassVar[str] = "X10P stopped at 65 °C, AP3000 alarms at 80 °C; the rise is ours"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        since, until = at - length(self.came_before), at + length(self.stays)
        curve = self.curve()
        place = self.plug(scene, subject, since, until, curve, chance)
        worse = Loosening(
            channel=place.channel or 1, since=at, takes=length(self.takes), ohm=self.ohm
        )
        scene.on[subject.device].loosens.append(worse)
        rises = list(_rises(curve, since, until, worse))
        warm_at = next((moment for moment, rise_k in rises if rise_k >= WARMER_K), None)
        hot_k = scene.limits.hot_c - OUTDOORS_C
        hot_at = next((moment for moment, rise_k in rises if rise_k >= hot_k), None)
        expected = () if warm_at is None else ("warm",) if hot_at is None else ("warm", "heat")
        scene.happened(
            place,
            "contact_heating",
            severity="critical" if hot_at else "warning",
            begins=at,
            ends=until + timedelta(minutes=30),  # it cools down
            onset=at,
            earliest=warm_at or until,
            expected_rules=expected,
        )


def _rises(
    curve: Curve, since: datetime, until: datetime, worse: Loosening
) -> Iterator[tuple[datetime, float]]:
    """Yield how much warmer than the cabinet the contact is, every half minute."""
    felt_a2, at_s, ends_s = 0.0, 0.0, (until - since).total_seconds()
    while at_s < ends_s:
        first, last = curve.at(at_s).square_a2, curve.at(at_s + LOOK_EVERY_S).square_a2
        felt_a2 = lagged(felt_a2, first, last, LOOK_EVERY_S, CONTACT_LAG_S)
        at_s += LOOK_EVERY_S
        now = since + timedelta(seconds=at_s)
        yield now, CONTACT_K_PER_W * worse.at(CONTACT_OHM[0], now) * felt_a2
