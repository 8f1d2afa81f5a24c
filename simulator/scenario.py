"""What a scenario file says, as types: the published schema is made of them.

docs/simulator.md explains the file, docs/schema/scenario.schema.json is its JSON Schema.
"""

from typing import Annotated, Any, Literal

import msgspec

from simulator.cadences import CadenceName, SensorCadenceName
from simulator.faults import AnyFault
from simulator.habits import USUAL, Habits, Kind
from simulator.limits import Limits
from simulator.skins import SensorSkinName, SkinName
from simulator.skins.zigbee2mqtt import SOCKETS_MAX
from simulator.words import Clock, Length, Part, Share, When, Window

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
SITE = r"^[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*$"
DATE = r"^\d{4}-\d{2}-\d{2}$"

Slug = Annotated[str, msgspec.Meta(pattern=SLUG, description="small letters, digits, -")]
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Date = Annotated[str, msgspec.Meta(pattern=DATE, description='a date: "2026-02-17"')]
Few = Annotated[int, msgspec.Meta(ge=0, le=50)]
Range = tuple[Few, Few]
Closed = tuple[Window, ...]


class Names(Part, frozen=True, kw_only=True):
    """What people call a place, in both languages."""

    zh: Words
    en: Words


class OrdersPart(Part, frozen=True, kw_only=True):
    """How devices take their orders, by chance."""

    half_within: Length = "0 s"
    """Half of the orders are obeyed no later than this ..."""
    most_within: Length | None = None
    """... and 95 of 100 no later than this; if not given: all take the same time."""
    loses: Share = 0.0
    """The share of orders that never arrive."""
    refuses: Share = 0.0
    """The share of orders that are refused."""


class DevicesPart(Part, frozen=True, kw_only=True):
    """How the devices of a station speak, and take their orders."""

    skin: SkinName = "native"
    """The dialect of its piles ..."""
    sensor_skin: SensorSkinName = "native"
    """... and of its sensors."""
    cadence: CadenceName = "beat"
    """How often its piles speak: as that make does, or as the beat says ..."""
    sensor_cadence: SensorCadenceName = "beat"
    """... and its sensors."""
    sockets: Annotated[int, msgspec.Meta(ge=1, le=20)] = 10
    """Of each pile."""
    orders: OrdersPart = OrdersPart()

    def __post_init__(self) -> None:
        if self.skin == "zigbee2mqtt" and self.sockets > SOCKETS_MAX:
            raise ValueError(f"a strip of Zigbee2MQTT has at most {SOCKETS_MAX} sockets")


class SitePart(DevicesPart, frozen=True, kw_only=True):
    """A station that is written down one by one: `[sites."area/site"]`."""

    zh: Words
    en: Words
    kind: Kind = "village"
    piles: Annotated[int, msgspec.Meta(ge=1, le=50)] = 1
    sensors: Few = 1
    closed: Closed = ("22:00-05:00",)
    carrier: Annotated[str, msgspec.Meta(max_length=40)] = ""
    beat: Length = "30 s"
    """Between two reports of a pile ..."""
    sensor_beat: Length = "5 min"
    """... and of a sensor."""
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)] = 29.87
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)] = 121.55


class PlacesPart(DevicesPart, frozen=True, kw_only=True):
    """Stations that are made, all of one kind: `[[places]]`."""

    kind: Kind = "village"
    count: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 1
    """How many; `--sites` scales it."""
    area: Slug = "made"
    """Areas are called by it and a number, with ten stations in each."""
    piles: Range = (1, 2)
    """From this many to that many at each."""
    sensors: Range = (1, 2)
    closed: Closed = ("22:00-05:00",)
    carriers: tuple[Annotated[str, msgspec.Meta(max_length=40)], ...] = ()
    """Whose networks they are on, in turn."""
    beats: dict[Length, Annotated[float, msgspec.Meta(gt=0)]] = msgspec.field(
        default_factory=lambda: {"3 min": 80.0, "1 min": 15.0, "30 s": 5.0}
    )
    """How often piles report, and how many of the stations have such piles: an AP3000 does
    so every 3 minutes."""
    sensor_beat: Length = "1 d"


class RainPart(Part, frozen=True, kw_only=True):
    at: When
    lasts: Length


class WeatherPart(Part, frozen=True, kw_only=True):
    """`[weather]`"""

    mean_c: tuple[float, float] = (16.0, 21.0)
    """Over a day, at the coolest and at the warmest of the places."""
    swing_c: Annotated[float, msgspec.Meta(ge=0, le=30)] = 4.0
    """Half of what lies between night and afternoon."""
    rain: tuple[RainPart, ...] = ()


class CalendarPart(Part, frozen=True, kw_only=True):
    """`[calendar]`: days that are not like others."""

    rest: tuple[Date, ...] = ()
    """Holidays."""
    work: tuple[Date, ...] = ()
    """Days at a weekend that are worked."""
    share: dict[Date, Annotated[float, msgspec.Meta(ge=0, le=10)]] = msgspec.field(
        default_factory=dict
    )
    """How many times as many bikes come on a day."""


class OrdinaryPart(Part, frozen=True, kw_only=True):
    """`[ordinary]`: what is never quite right, and nobody's fault."""

    clocks_off: Length = "1 min"
    """How far a clock is off at most."""
    repeats_a_day: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.5
    """How many messages of a pile come twice on a day."""
    tests_sensors: bool = True
    """Each sensor is tested once in 30 days, by day."""


class Scenario(Part, frozen=True, kw_only=True):
    """A scenario file."""

    text: Names
    """What it is for, in a line."""
    starts: Clock = "00:00"
    """Of the local clock."""
    lasts: Length = "1 d"
    """`--days` goes before it."""
    date: Date | None = None
    """The first day; if not given: today. `--date` goes before it."""
    zone: Literal["Asia/Shanghai", "UTC", "Europe/Berlin"] = "Asia/Shanghai"
    seed: int = 7
    limits: Limits = Limits()
    weather: WeatherPart = WeatherPart()
    calendar: CalendarPart = CalendarPart()
    ordinary: OrdinaryPart = OrdinaryPart()
    behaviour: dict[Kind, dict[str, Any]] = msgspec.field(default_factory=dict)
    """Habits that differ from what is usual at a kind of place."""
    areas: dict[Slug, Names] = msgspec.field(default_factory=dict)
    """Areas of `sites`."""
    sites: dict[Annotated[str, msgspec.Meta(pattern=SITE)], SitePart] = msgspec.field(
        default_factory=dict
    )
    places: tuple[PlacesPart, ...] = ()
    events: tuple[AnyFault, ...] = ()

    def __post_init__(self) -> None:
        if not self.sites and not self.places:
            raise ValueError("there is no station: write [[places]] or [sites]")
        for site in self.sites:
            if site.split("/")[0] not in self.areas:
                raise ValueError(f"the area of {site} is not in [areas]")

    def habits(self, kind: Kind) -> Habits:
        """Return what people do at a kind of place here."""
        said = self.behaviour.get(kind, {})
        usual = msgspec.to_builtins(USUAL[kind])
        return msgspec.convert(usual | said, Habits)


def schema() -> bytes:
    """Return the JSON Schema of a scenario file."""
    made = msgspec.json.schema(Scenario)
    (habits,), parts = msgspec.json.schema_components([Habits], ref_template="#/$defs/{name}")
    habit = parts["Habits"] | {"description": "what is left out is as usual at that kind"}
    made["$defs"] |= {"Habits": habit}
    made["$defs"]["Scenario"]["properties"]["behaviour"]["additionalProperties"] = habits
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "chargewatch/scenario",
        **made,
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"
