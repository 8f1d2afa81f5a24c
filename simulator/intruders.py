"""Who speaks and is no device of ours: strangers, impostors, and those who flood a broker.

They are no devices: they measure nothing, and only say what they mean to say.
"""

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from ingest.codecs.native import ROOT, Telemetry
from rules.readings import Kind, Reading
from simulator.emissions import Emission, stream
from simulator.plans import Span

Manner = Literal["stranger", "impostor", "flood", "garbage"]


class IntruderPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that an intruder will say. `id` is area/site/device: whose topic it uses."""

    id: str
    manner: Manner
    span: Span
    every: timedelta
    claims: str = ""
    """The device that an impostor says to be."""
    number: int = 1
    """Of several at one topic."""


class Intruder:
    """Says its piece at every beat of its plan, and obeys nobody."""

    kind = Kind.UNKNOWN
    own_connection = False
    skin = None

    def __init__(self, plan: IntruderPlan, starts: datetime, seed: int) -> None:
        self.id = f"{plan.id}/intruder-{plan.number}"
        """Its own name among the speakers; it is never said."""
        self._plan = plan
        self._chance = stream(seed, plan.id, f"intruder/{plan.manner}/{plan.number}")
        self._next_at: datetime | None = max(starts, plan.span.since)
        self._topic = "/".join((*ROOT, plan.id, "telemetry"))
        self._count = 0

    def next_at(self) -> datetime | None:
        return self._next_at

    def act(self) -> list[Emission]:
        at = self._next_at
        if at is None:
            return []
        later = at + self._plan.every * self._chance.uniform(0.8, 1.2)
        self._next_at = later if self._plan.span.has(later) else None
        self._count += 1
        return [Emission(at, self.id, self._topic, self._payload(at))]

    def leave(self) -> None:
        """Say nothing more."""
        self._next_at = None

    def obey(self, payload: bytes, now: datetime) -> list[Emission]:  # noqa: ARG002
        return []

    def last_will(self, at: datetime) -> Emission:
        """Return word that nobody listens to: an intruder leaves no will."""
        return Emission(at, self.id, f"nobody/{self.id}", b"", last_will=True)

    def _payload(self, at: datetime) -> bytes:
        if self._plan.manner == "garbage":
            return self._chance.randbytes(self._chance.randrange(1, 200))
        power_w = round(self._chance.uniform(100, 200), 1)
        said = Telemetry(
            at=at.replace(microsecond=0),
            boot="intruder",
            seq=self._count,
            device=self._plan.claims or None,
            readings=(Reading(channel=1, power_w=power_w, relay_on=True),),
        )
        return msgspec.json.encode(said)
