"""The stations of a scenario: those that are written down, and those that are made."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from simulator.cadences import CADENCES, Cadence
from simulator.emissions import stream
from simulator.orders import Obedience
from simulator.scenario import PlacesPart, Scenario, SitePart
from simulator.village import Area, Site
from simulator.words import length

SITES_PER_AREA = 10
CORNER, APART_DEG = (29.8, 121.5), 0.015
"""Where they are on the map: in rows and columns, some 1.5 km apart."""


def placed(
    scenario: Scenario, seed: int, sites: int | None
) -> tuple[tuple[Area, ...], tuple[Site, ...]]:
    """Return areas and sites; `sites`: how many are made, if another number is wanted."""
    written = tuple(
        Site(
            area=name.split("/")[0],
            slug=name.split("/")[1],
            zh=part.zh,
            en=part.en,
            piles=part.piles,
            sensors=part.sensors,
            latitude=part.latitude,
            longitude=part.longitude,
            kind=part.kind,
            closed=part.closed,
            carrier=part.carrier,
            sockets=part.sockets,
            **_devices(part, length(part.beat)),
        )
        for name, part in scenario.sites.items()
    )
    made = tuple(_made(scenario.places, seed, sites))
    areas = [Area(slug, name.zh, name.en) for slug, name in scenario.areas.items()]
    for slug in dict.fromkeys(site.area for site in made):
        word, _, number = slug.rpartition("-")
        areas.append(Area(slug, f"{number} 号辖区", f"{word.capitalize()} {number}"))
    return tuple(areas), (*written, *made)


def _made(places: tuple[PlacesPart, ...], seed: int, wanted: int | None) -> Iterator[Site]:
    counts = [part.count for part in places]
    if wanted is not None and counts:
        counts = _shared_out(wanted, counts)
    number = 0
    for part, count in zip(places, counts, strict=True):
        for _ in range(count):
            number += 1
            yield _site(part, seed, number)


def _site(part: PlacesPart, seed: int, number: int) -> Site:
    slug = f"site-{number:03}"
    made = stream(seed, slug, "made")
    row, column = divmod(number - 1, SITES_PER_AREA)
    piles, sensors = made.randint(*sorted(part.piles)), made.randint(*sorted(part.sensors))
    beats = {length(beat): share for beat, share in part.beats.items()}
    area = f"{part.area}-{1 + row}"
    [beat] = stream(seed, f"{area}/{slug}", "beat").choices(list(beats), list(beats.values()))
    carriers = part.carriers or ("",)
    return Site(
        area=area,
        slug=slug,
        zh=f"{number} 号站",
        en=f"Site {number}",
        piles=max(1, piles),
        sensors=sensors,
        latitude=round(CORNER[0] + row * APART_DEG, 3),
        longitude=round(CORNER[1] + column * APART_DEG, 3),
        kind=part.kind,
        closed=part.closed,
        carrier=carriers[(number - 1) % len(carriers)],
        sockets=part.sockets,
        **_devices(part, beat),
    )


def _devices(part: SitePart | PlacesPart, beat: timedelta) -> dict[str, Any]:
    """Return how the devices of a station speak, and take their orders."""
    own = Cadence(beat=beat, source="")
    piles = CADENCES.get(part.cadence, own)
    sensors = CADENCES.get(part.sensor_cadence)
    orders = part.orders
    return {
        "beat": piles.beat,
        "figures": piles.figures,
        "sensor_beat": length(part.sensor_beat) if sensors is None else sensors.beat,
        "skin": part.skin,
        "sensor_skin": part.sensor_skin,
        "obedience": Obedience(
            half_within=length(orders.half_within),
            most_within=length(orders.most_within or orders.half_within),
            loses=orders.loses,
            refuses=orders.refuses,
        ),
    }


def _shared_out(wanted: int, counts: list[int]) -> list[int]:
    """Return so many, in the ratio of the counts; each kind at least once, if there is room."""
    total = sum(counts)
    shares = [max(1 if wanted >= len(counts) else 0, wanted * n // total) for n in counts]
    shares[0] += wanted - sum(shares)
    return shares
