"""A village: its places and devices, all that will happen there, and what is true of it.

Everything here is data that is laid down before the first message, so it can be read,
compared and scored. `Truth` is the side channel that the service never sees.
"""

from datetime import datetime, timedelta

import msgspec

from simulator.devices import Device
from simulator.piles import Pile, PilePlan
from simulator.smoke_sensors import SensorPlan, SmokeSensor

CLOSED = ("22:00-05:00",)


class Area(msgspec.Struct, frozen=True):
    """An area of responsibility. `slug` is its level in a topic."""

    slug: str
    zh: str
    en: str


class Site(msgspec.Struct, frozen=True):
    """A charging station. `slug` is its level in a topic, below that of its area."""

    area: str
    slug: str
    zh: str
    en: str
    piles: int
    sensors: int
    latitude: float
    longitude: float

    @property
    def id(self) -> str:
        return f"{self.area}/{self.slug}"

    def pile_ids(self) -> tuple[str, ...]:
        return tuple(f"{self.id}/pile-{n:02}" for n in range(1, self.piles + 1))

    def sensor_ids(self) -> tuple[str, ...]:
        return tuple(f"{self.id}/smoke-{n:02}" for n in range(1, self.sensors + 1))


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """One alert that a good service raises, once, and people should hear of."""

    rule: str
    device: str
    """area/site/device."""
    channel: int | None = None
    begins: datetime
    ends: datetime | None
    """When its cause begins and ends; None: it lasts longer than we look."""
    earliest: datetime
    """Firing before this would be a guess."""
    latest: datetime
    """Firing after this is too late, with the latency of a slow machine allowed for."""


class Village(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one scenario with one seed."""

    scenario: str
    seed: int
    starts: datetime
    lasts: timedelta
    zone: str
    areas: tuple[Area, ...]
    sites: tuple[Site, ...]
    piles: tuple[PilePlan, ...]
    sensors: tuple[SensorPlan, ...]
    truths: tuple[Truth, ...]
    """All alerts that are right, by the earliest moment; every other one is false."""
    expected_refused: int
    """Messages that nobody can read."""

    @property
    def ends(self) -> datetime:
        return self.starts + self.lasts

    def truth(self) -> tuple[Truth, ...]:
        return self.truths

    def devices(self) -> tuple[Device, ...]:
        """Return the devices as they are at the start, fresh at each call."""
        piles = (Pile(plan, self.starts, self.seed) for plan in self.piles)
        sensors = (SmokeSensor(plan, self.starts, self.seed) for plan in self.sensors)
        return (*piles, *sensors)


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The truth as a file: what to expect of one run, in virtual time."""

    scenario: str
    seed: int
    starts: datetime
    ends: datetime
    expected_refused: int
    alerts: tuple[Truth, ...]


def ledger(village: Village) -> bytes:
    """Return the truth as indented JSON."""
    entries = Ledger(
        scenario=village.scenario,
        seed=village.seed,
        starts=village.starts,
        ends=village.ends,
        expected_refused=village.expected_refused,
        alerts=village.truths,
    )
    return msgspec.json.format(msgspec.json.encode(entries), indent=2) + b"\n"


POLICY_TOML = """# The village lets people charge with fast chargers, which draw 860 W.
[default.overload]
warn_w = 900
"""
"""The policy file of every village: it is so that a charger of its own kind is no alarm."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """A truth as a line for the scorer (docs/backtest.md)."""

    kind: str = msgspec.field(name="class")
    device: str
    channel: int | None
    begins: datetime
    ends: datetime | None
    earliest: datetime
    latest: datetime
    expected_rules: tuple[str, ...]


def incidents(village: Village) -> bytes:
    """Return the truth as JSON lines."""
    return msgspec.json.Encoder().encode_lines(
        Incident(
            kind=truth.rule,
            device=truth.device,
            channel=truth.channel,
            begins=truth.begins,
            ends=truth.ends,
            earliest=truth.earliest,
            latest=truth.latest,
            expected_rules=(truth.rule,),
        )
        for truth in village.truths
    )


def sites_toml(village: Village) -> str:
    """Return the village as the service's register of areas, sites and devices.

    Slugs and names are our own, so plain templates do; a test reads it back.
    """
    areas = [
        f'[areas.{area.slug}]\nname = {{zh = "{area.zh}", en = "{area.en}"}}\n'
        for area in village.areas
    ]
    closed = ", ".join(f'"{window}"' for window in CLOSED)
    sites = [
        f'[sites."{site.id}"]\nname = {{zh = "{site.zh}", en = "{site.en}"}}\n'
        f'zone = "{village.zone}"\nclosed = [{closed}]\n'
        f"location = {{latitude = {site.latitude}, longitude = {site.longitude}}}\n"
        for site in village.sites
    ]
    chargers = [
        f'[[devices]]\nid = "{pile.id}"\nkind = "charger"\nsockets = {pile.sockets}\n'
        for pile in village.piles
    ]
    sensors = [
        f'[[devices]]\nid = "{sensor.id}"\nkind = "smoke"\n' for sensor in village.sensors
    ]
    title = f"# The village of `{village.scenario}`, seed {village.seed}. Made by simulator.\n"
    return "\n".join((title, *areas, *sites, *chargers, *sensors))
