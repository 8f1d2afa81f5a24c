"""The mains of a station: away, low, high, or away for a blink."""

from datetime import datetime, timedelta
from random import Random
from typing import Annotated, ClassVar

import msgspec

from simulator.faults.clocks import restarted
from simulator.faults.devices import NEIGHBOURS, note_silence
from simulator.faults.fault import Fault, Target
from simulator.hazards import SLACK
from simulator.pile_plans import Mains
from simulator.plans import Span
from simulator.scene import Scene, Subject
from simulator.words import Length, length

LOW_V, HIGH_V = 187.0, 253.0
"""230 V and 10 %, 220 V less 15 % (docs/policy.md)."""


class PowerCut(Fault, frozen=True, kw_only=True):
    """A station's mains are away; its piles are dark, its battery detectors live."""

    lasts: Length = "40 min"
    clock_restarts: bool = False
    """The piles' clocks show 1970 afterwards, until they are set some minutes later."""
    target: ClassVar[Target] = "site"
    source: ClassVar[str] = "docs/policy.md: half of a station does not fail at once by itself"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        until = at + length(self.lasts)
        site = subject.site
        for pile in site.pile_ids():
            scene.on[pile].dark.append(Span(at, until))
            if self.clock_restarts:
                set_at = until + timedelta(minutes=5 + 10 * chance.random())
                scene.on[pile].clock.append(restarted(until, set_at))
        if site.piles == 1:
            note_silence(scene, Subject(site, site.pile_ids()[0]), "power_cut", at, until)
            return
        note_outage(scene, subject, "power_cut", at, until)


class BrownOut(Fault, frozen=True, kw_only=True):
    """The mains are low, or (a lost neutral) high."""

    volts: Annotated[float, msgspec.Meta(ge=60, le=420)] = 172.0
    lasts: Length = "20 min"
    target: ClassVar[Target] = "site"
    source: ClassVar[str] = "AP3000: over- and under-voltage at 270 and 100 V"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = at + length(self.lasts)
        wrong = not LOW_V <= self.volts <= HIGH_V
        for pile in subject.site.pile_ids():
            scene.on[pile].mains.append(Mains(Span(at, until), self.volts))
            place = Subject(subject.site, pile)
            scene.happened(
                place,
                "bad_voltage",
                severity="warning",
                begins=at,
                ends=until,
                earliest=at,
                latest=at + place.beat + timedelta(minutes=1) + SLACK,
                expected_rules=("voltage",) if wrong else (),
            )


class PowerDips(Fault, frozen=True, kw_only=True):
    """The mains dip for a second, as a lift or a pump starts: no matter to anybody."""

    volts: Annotated[float, msgspec.Meta(ge=60, le=260)] = 150.0
    times: Annotated[int, msgspec.Meta(ge=1, le=100)] = 6
    target: ClassVar[Target] = "site"
    source: ClassVar[str] = "docs/policy.md: a motor that starts next door makes a dip"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        last = at
        for number in range(self.times):
            last = at + timedelta(minutes=5 * number + 4 * chance.random())
            span = Span(last, last + timedelta(seconds=chance.uniform(1, 4)))
            for pile in subject.site.pile_ids():
                scene.on[pile].mains.append(Mains(span, self.volts))
        must_not = ("voltage", "site_outage", "abrupt_end", "fire")
        for pile in subject.site.pile_ids():
            ends = last + timedelta(minutes=1)
            scene.trap(Subject(subject.site, pile), "power_dips", at, ends, *must_not)


def note_outage(
    scene: Scene, subject: Subject, kind: str, since: datetime, until: datetime
) -> None:
    """Write down that all of a site is not heard."""
    beat, allowed = subject.site.beat, scene.limits.length("silent_pile")
    allowed = max(allowed, 2.5 * beat)
    if until - since < allowed:
        scene.trap(subject, kind, since, until + 2 * beat, "site_outage", "silence")
        return
    scene.happened(
        subject,
        kind,
        severity="critical",
        begins=since,
        ends=until + 2 * beat,
        onset=since,
        earliest=since + beat,
        latest=since + allowed + beat + NEIGHBOURS + SLACK,
        expected_rules=("site_outage",),
        must_not_rules=("carrier_outage", "monitoring_blind"),
    )
