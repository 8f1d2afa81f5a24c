"""Messages that nobody can read, that lie, or that nobody asked for."""

from datetime import datetime, timedelta
from random import Random
from typing import Annotated, ClassVar, Literal

import msgspec

from simulator.faults.fault import Fault, Target, late
from simulator.intruders import IntruderPlan
from simulator.link_faults import Breakage, Broken, Misnamed, Oversized, Scaled
from simulator.plans import Span
from simulator.scene import Scene, Subject
from simulator.words import Length, Share, length

UNITS: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "tenths": ({"power_w": 10.0, "voltage_v": 10.0, "energy_kwh": 100.0}, {}),
    "raw_temperature": ({"device_temperature_c": 1.0}, {"device_temperature_c": 65.0}),
}
"""AP3000: 0.1 W, 0.1 V, 0.01 kWh, and a temperature with 65 added (DOMAIN §2.1)."""
UNDECLARED_AFTER = timedelta(minutes=10)
"""A stranger who talks for longer is no try (docs/policy.md)."""


class Malformed(Fault, frozen=True, kw_only=True):
    """Among its messages a device sends some that nobody can read."""

    how: Breakage = "truncated"
    share: Share = 0.2
    lasts: Length = "1 h"
    at_most: Annotated[int, msgspec.Meta(ge=1)] | None = None
    kind: Literal["any", "pile", "sensor"] = "pile"
    target: ClassVar[Target] = "device"
    source: ClassVar[str] = "what no codec can read is refused and counted (docs/messages.md)"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = at + length(self.lasts)
        step = Broken(
            since=at, until=until, how=self.how, share=self.share, at_most=self.at_most
        )
        scene.on[subject.device].link.append(step)
        scene.refused += self.at_most or 0
        scene.trap(subject, "malformed", at, until, "silence")


class OversizedMessages(Fault, frozen=True, kw_only=True, tag="oversized"):
    """A device pads its reports to more than anybody takes; it cannot be heard that way."""

    lasts: Length = "5 min"
    kind: Literal["any", "pile", "sensor"] = "pile"
    target: ClassVar[Target] = "device"
    source: ClassVar[str] = "docs/architecture.md: 64 KiB a payload"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = at + length(self.lasts)
        scene.on[subject.device].link.append(Oversized(since=at, until=until))
        scene.trap(subject, "oversized", at, until, "silence")


class WrongUnit(Fault, frozen=True, kw_only=True):
    """After an update a pile speaks in other units: tenths, or a temperature with 65 added."""

    of: Literal["tenths", "raw_temperature"] = "tenths"
    lasts: Length = "2 h"
    target: ClassVar[Target] = "pile"
    source: ClassVar[str] = "AP3000: raw 0.1 W, and temperature = raw − 65"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = at + length(self.lasts)
        factors, offsets = UNITS[self.of]
        step = Scaled(since=at, until=until, factors=factors, offsets=offsets)
        scene.on[subject.device].link.append(step)
        impossible = self.of == "tenths"  # 2300 V is; 85 °C is not
        scene.happened(
            subject,
            "wrong_unit",
            severity="warning",
            begins=at,
            ends=until + late(subject),
            earliest=at,
            latest=at + timedelta(minutes=10) + 2 * late(subject),
            expected_rules=("impossible_value",) if impossible else (),
            must_not_rules=("overload", "pile_overload", "fire"),
        )


class CopiedName(Fault, frozen=True, kw_only=True):
    """A device says in its messages that it is another one: a copied configuration."""

    claims: Annotated[str, msgspec.Meta(max_length=100)] = "pile-99"
    lasts: Length = "5 min"
    target: ClassVar[Target] = "pile"
    source: ClassVar[str] = "docs/messages.md: `device`, if given, must be the topic's own"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = at + length(self.lasts)
        step = Misnamed(since=at, until=until, device=self.claims)
        scene.on[subject.device].link.append(step)
        scene.trap(subject, "copied_name", at, until, "silence")


class _Intrusion(Fault, frozen=True, kw_only=True):
    """Somebody who is no device of ours publishes."""

    lasts: Length = "30 min"
    every: Length = "20 s"
    target: ClassVar[Target] = "site"

    def _enters(
        self, scene: Scene, at: datetime, device: str, manner: str, claims: str = ""
    ) -> datetime:
        until, number = at + length(self.lasts), len(scene.intruders) + 1
        scene.intruders.append(
            msgspec.convert(
                {
                    "id": device,
                    "manner": manner,
                    "span": Span(at, until),
                    "every": length(self.every),
                    "claims": claims,
                    "number": number,
                },
                IntruderPlan,
                from_attributes=True,
            )
        )
        return until


class Stranger(_Intrusion, frozen=True, kw_only=True):
    """A device that nobody declared talks: somebody's own pile, or worse."""

    source: ClassVar[str] = (
        "docs/sites.md: a device that is not declared is watched with the defaults"
    )

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        device = f"{subject.site.id}/unknown-{chance.randrange(1000):03}"
        until = self._enters(scene, at, device, "stranger")
        knowable = until - at > UNDECLARED_AFTER
        scene.happened(
            Subject(subject.site, device),
            "stranger",
            severity="warning",
            begins=at,
            earliest=at,
            latest=at + UNDECLARED_AFTER + 2 * length(self.every) + timedelta(minutes=2),
            expected_rules=("undeclared_device",) if knowable else (),
        )


class Impostor(_Intrusion, frozen=True, kw_only=True):
    """Somebody publishes on a pile's topic, in the name of another: a spoofed identity."""

    source: ClassVar[str] = "docs/broker.md: a login for each device is what keeps them out"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        device = chance.choice(subject.site.pile_ids())
        until = self._enters(scene, at, device, "impostor", claims="pile-00")
        scene.trap(Subject(subject.site, device), "impostor", at, until, "silence")


class Flood(_Intrusion, frozen=True, kw_only=True):
    """A stranger says the same a hundred times a second."""

    lasts: Length = "1 min"
    every: Length = "0.01 s"
    source: ClassVar[str] = "emqx #2671 and others"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        device = f"{subject.site.id}/flood-{chance.randrange(1000):03}"
        until = self._enters(scene, at, device, "flood")
        must_not = ("monitoring_blind", "silence", "site_outage")
        scene.trap(Subject(subject.site, device), "flood", at, until, *must_not)


class Garbage(_Intrusion, frozen=True, kw_only=True):
    """Somebody sends random bytes on a pile's topic."""

    every: Length = "1 s"
    source: ClassVar[str] = "what no codec can read is refused and counted (docs/messages.md)"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        device = chance.choice(subject.site.pile_ids())
        until = self._enters(scene, at, device, "garbage")
        scene.trap(Subject(subject.site, device), "garbage", at, until, "silence", "fire")
