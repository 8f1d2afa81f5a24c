"""A village: its places and devices, all that will happen there, and what is true of it.

Everything here is data that is laid down before the first message, so it can be read,
compared and scored. Incidents are the side channel that the service never sees.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from rules.readings import Kind
from simulator.cadences import Seldom
from simulator.habits import Kind as SiteKind
from simulator.intruders import Intruder, IntruderPlan
from simulator.limits import Limits
from simulator.links import Linked, Speaker, Step
from simulator.orders import Obedience
from simulator.pile_plans import PilePlan
from simulator.piles import Pile
from simulator.plans import Faults
from simulator.skins import SensorSkinName, SkinName, skin_of
from simulator.skins.skin import Skin
from simulator.skins.zigbee2mqtt import BASE, Bridge
from simulator.smoke_sensors import SensorPlan, SmokeSensor
from simulator.truth import Incident, Ledger, Truth, alerts_of

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
    kind: SiteKind = "village"
    closed: tuple[str, ...] = CLOSED
    carrier: str = ""
    sockets: int = 10
    """Of each pile."""
    beat: timedelta = timedelta(seconds=30)
    """Between two reports of a pile ..."""
    sensor_beat: timedelta = timedelta(minutes=5)
    """... and of a sensor."""
    skin: SkinName = "native"
    """What its piles speak ..."""
    sensor_skin: SensorSkinName = "native"
    """... and its sensors."""
    figures: timedelta | None = None
    """Between two reports of what flows in a pile, where that is not in each."""
    obedience: Obedience = Obedience()
    """How its devices take their orders."""

    @property
    def id(self) -> str:
        return f"{self.area}/{self.slug}"

    def pile_ids(self) -> tuple[str, ...]:
        return tuple(f"{self.id}/pile-{n:02}" for n in range(1, self.piles + 1))

    def sensor_ids(self) -> tuple[str, ...]:
        return tuple(f"{self.id}/smoke-{n:02}" for n in range(1, self.sensors + 1))


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
    intruders: tuple[IntruderPlan, ...] = ()
    """Who speaks and is not declared."""
    limits: Limits = Limits()
    happens: tuple[Incident, ...] = ()
    """All that is true, by the moment it begins; every alarm about anything else is false."""
    laid_down: tuple[Incident, ...] = ()
    """What of it was laid down, and does not follow from what flows."""
    clocks_off: timedelta = timedelta(0)
    """How far off clocks are here, at most, with nothing the matter."""
    expected_refused: int = 0
    """Messages that nobody can read, where that is known beforehand."""

    @property
    def ends(self) -> datetime:
        return self.starts + self.lasts

    def truth(self) -> tuple[Truth, ...]:
        """Return the alerts that are due, by the earliest moment."""
        return tuple(alerts_of(self.happens, self.ends))

    def devices(self) -> tuple[Speaker, ...]:
        """Return the devices as they are at the start, fresh at each call."""
        return (*(self._linked(device) for device in self.own_devices()), *self.others())

    def own_devices(self) -> Iterator[Pile | SmokeSensor]:
        """Yield the devices themselves, without their links."""
        for pile in self.piles:
            device = Pile(pile, self.starts, self.seed)
            device.skin = _skin(pile, self.zone)
            yield device
        for sensor in self.sensors:
            detector = SmokeSensor(sensor, self.starts, self.seed)
            detector.skin = _skin(sensor, self.zone)
            yield detector

    def others(self) -> Iterator[Speaker]:
        """Yield who speaks besides: intruders, and a bridge."""
        yield from (Intruder(plan, self.starts, self.seed) for plan in self.intruders)
        skins = {plan.skin for plan in self.piles} | {plan.skin for plan in self.sensors}
        if BASE in skins:
            yield Bridge(self.starts)

    def steps(self, plan: PilePlan | SensorPlan) -> tuple[Step, ...]:
        """Return what happens to a device's messages on their way."""
        link = plan.faults.link
        if isinstance(plan, PilePlan) and plan.figures is not None:
            return Seldom(since=self.starts, status=plan.beat, figures=plan.figures), *link
        return link

    def through(self, step: Step) -> "Village":
        """Return the village with one more step in every device's link, the last."""

        def more(faults: Faults) -> Faults:
            return msgspec.structs.replace(faults, link=(*faults.link, step))

        return msgspec.structs.replace(
            self,
            piles=tuple(
                msgspec.structs.replace(plan, faults=more(plan.faults)) for plan in self.piles
            ),
            sensors=tuple(
                msgspec.structs.replace(plan, faults=more(plan.faults)) for plan in self.sensors
            ),
        )

    def _linked(self, device: Pile | SmokeSensor) -> Speaker:
        steps = self.steps(device.plan)
        return Linked(device, steps, self.seed) if steps else device


def _skin(plan: PilePlan | SensorPlan, zone: str) -> Skin | None:
    if isinstance(plan, PilePlan):
        return skin_of(plan.skin, plan.id, Kind.CHARGER, plan.sockets, zone)
    return skin_of(plan.skin, plan.id, Kind.SMOKE, 0, zone)


def ledger(village: Village) -> bytes:
    """Return the truth as indented JSON."""
    entries = Ledger(
        scenario=village.scenario,
        seed=village.seed,
        starts=village.starts,
        ends=village.ends,
        expected_refused=village.expected_refused,
        alerts=village.truth(),
    )
    return msgspec.json.format(msgspec.json.encode(entries), indent=2) + b"\n"


def incidents(village: Village) -> bytes:
    """Return the truth as JSON lines (docs/backtest.md)."""
    return msgspec.json.Encoder().encode_lines(village.happens)


def policy_toml(village: Village) -> str:
    """Return the limits that the village has agreed on, as the service's policy file."""
    return village.limits.policy_toml()


POLICY_TOML = """# The village lets people charge with fast chargers, which draw 860 W.
[default.overload]
warn_w = 900
"""


def sites_toml(village: Village) -> str:
    """Return the village as the service's register of areas, sites and devices.

    Slugs and names are our own, so plain templates do; a test reads it back.
    """
    areas = [
        f'[areas.{area.slug}]\nname = {{zh = "{area.zh}", en = "{area.en}"}}\n'
        for area in village.areas
    ]
    sites = [_site_toml(site, village.zone) for site in village.sites]
    chargers = [
        f'[[devices]]\nid = "{pile.id}"\nkind = "charger"\nsockets = {pile.sockets}\n'
        f"{_dialect_toml(pile, village.zone)}"
        for pile in village.piles
    ]
    sensors = [
        f'[[devices]]\nid = "{sensor.id}"\nkind = "smoke"\n'
        f"{_dialect_toml(sensor, village.zone)}"
        for sensor in village.sensors
    ]
    title = f"# The village of `{village.scenario}`, seed {village.seed}. Made by simulator.\n"
    return "\n".join((title, *areas, *sites, *chargers, *sensors))


def _dialect_toml(plan: PilePlan | SensorPlan, zone: str) -> str:
    skin = _skin(plan, zone)
    return "" if skin is None else f'dialect = "{skin.dialect}"\nname = "{skin.name}"\n'


def _site_toml(site: Site, zone: str) -> str:
    closed = ", ".join(f'"{window}"' for window in site.closed)
    carrier = f'carrier = "{site.carrier}"\n' if site.carrier else ""
    return (
        f'[sites."{site.id}"]\nname = {{zh = "{site.zh}", en = "{site.en}"}}\n'
        f'zone = "{zone}"\nclosed = [{closed}]\n{carrier}'
        f"location = {{latitude = {site.latitude}, longitude = {site.longitude}}}\n"
    )
