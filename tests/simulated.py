"""Small scenarios, and what is said in them."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import msgspec

from ingest.codecs.native import Native, Telemetry
from ingest.wire import Message, Profile, Rejected, Said
from rules.readings import Reading
from simulator.building import built
from simulator.emissions import Emission
from simulator.pile_plans import PilePlan
from simulator.player import Player
from simulator.scenario_file import parsed
from simulator.skins import SensorSkinName, SkinName
from simulator.smoke_sensors import SensorPlan
from simulator.truth import Incident
from simulator.village import Area, Site, Village

DAY = date(2026, 5, 12)
NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
MIDNIGHT = datetime(2026, 5, 11, 16, tzinfo=UTC)
"""Of that day, in Shanghai."""
PLACE = """
[text]
zh = "试"
en = "A trial"
[ordinary]
clocks_off = "0 s"
repeats_a_day = 0
tests_sensors = false
[behaviour.village]
per_socket = 0
[areas]
town = { zh = "镇", en = "Town" }
[sites]
"town/north" = { zh = "北", en = "N", piles = 2, sensors = 2, carrier = "radio", closed = [] }
"town/south" = { zh = "南", en = "S", piles = 2, sensors = 1, carrier = "radio", closed = [] }
"""
"""Two stations where nobody comes, and nothing is ever wrong."""
NORTH, SOUTH = "town/north", "town/south"
PILE, SENSOR = "town/north/pile-01", "town/north/smoke-01"
CODEC = Native()


def village(text: str, seed: int = 7, *, place: str = PLACE) -> Village:
    """Return the village of the usual place, with more in it; keys of the file come first."""
    head, mark, tables = text.partition("[[")
    return built("trial", parsed(head + place + mark + tables, "trial.toml"), DAY, seed=seed)


def quiet(
    *sites: Site, skin: SkinName = "native", sensor_skin: SensorSkinName = "native"
) -> Village:
    """Return a village for four hours of a noon, at whose sites nobody charges."""
    piles = (PilePlan(id=name, skin=skin) for each in sites for name in each.pile_ids())
    sensors = (
        SensorPlan(id=name, skin=sensor_skin) for each in sites for name in each.sensor_ids()
    )
    return Village(
        scenario="a quiet one",
        seed=7,
        starts=NOON,
        lasts=timedelta(hours=4),
        zone="Asia/Shanghai",
        areas=(Area("town", "镇", "Town"),),
        sites=sites,
        piles=tuple(piles),
        sensors=tuple(sensors),
    )


def with_fault(words: str, lasts: str = "1 d") -> Village:
    return village(f'lasts = "{lasts}"\n[[events]]\n{words}\n')


def at(hour: float) -> datetime:
    """Return an hour of the local clock of the first day."""
    return MIDNIGHT + timedelta(hours=hour)


def played(here: Village, until: datetime | None = None) -> list[Emission]:
    return list(Player(here.devices()).play(until or here.ends))


def readings(said: Iterable[Emission], device: str, channel: int | None) -> list[Reading]:
    """Return what the telemetry of a device says of one socket, or of the whole."""
    return [
        reading
        for emission in said
        if emission.topic.endswith(f"{device}/telemetry")
        for reading in msgspec.json.decode(emission.payload, type=Telemetry).readings
        if reading.channel == channel
    ]


def understood(emission: Emission) -> Said | Rejected | None:
    """Return what a message says; None: it says nothing of a device."""
    name = CODEC.address(emission.topic, ())
    if not isinstance(name, str):
        return name if isinstance(name, Rejected) else None
    message = Message(emission.topic, emission.payload, emission.at)
    heard = CODEC.decode(message, name, Profile())
    return heard if isinstance(heard, Said | Rejected) else None


def of_kind(here: Village, kind: str) -> list[Incident]:
    return [incident for incident in here.happens if incident.kind == kind]
