"""The scenario `quiet-month`: many sites, day after day, and nothing wrong anywhere.

Whoever raises an alarm here is mistaken. People plug in before and after work, when the
station is open, and fetch their bikes when they are full or when it closes. Meters are
noisy, chargers draw an inrush above 1000 W, batteries taper to their float; clocks are a
minute off, a message comes twice now and then, and smoke sensors are tested once a month.
Piles report every 3 minutes, as an AP3000 does, some oftener; sensors once a day.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from simulator.batteries import BATTERIES, HEALTHS, LESS_FAST_60V
from simulator.charging import charge
from simulator.devices import Faults, stream
from simulator.piles import PilePlan, Use
from simulator.smoke_sensors import SensorPlan
from simulator.village import Area, Site, Village

NAME = "quiet-month"
ZONE = "Asia/Shanghai"
SOCKETS = 10
SITES_PER_AREA = 10

CORNER, APART_DEG = (29.8, 121.5), 0.015
"""Where they are on the map: in rows and columns, some 1.5 km apart."""

BEATS = {
    timedelta(minutes=3): 80,
    timedelta(minutes=1): 15,
    timedelta(seconds=30): 5,
}
"""How often piles report, and how many of a hundred sites have such piles."""
TWO_PILES = 0.5
SENSOR_BEAT = timedelta(days=1)

MORNING, EVENING = 0.35, 0.55
"""Shares of the sockets that are used then, on any day."""
BATTERIES_HERE = (*BATTERIES[:-1], LESS_FAST_60V)
"""Not the one that draws more than 800 W: of that a manager is warned, and should be."""
AWAY_BY = timedelta(hours=7.5)
"""After this long everybody has fetched their bike."""
FOREVER_S = 1e6
CLOCK_OFF_S = 60.0
REPEATS_A_DAY = 0.1


def quiet_month(seed: int, first: date, days: int = 30, sites: int = 50) -> Village:
    """Return `days` days from midnight on; the same seed gives a site the same month."""
    areas = -(-sites // SITES_PER_AREA)
    places = tuple(_site(seed, number) for number in range(1, sites + 1))
    dates = tuple(first + timedelta(days=number) for number in range(days))
    return Village(
        scenario=NAME,
        seed=seed,
        starts=_at(first, 0),
        lasts=timedelta(days=days),
        zone=ZONE,
        areas=tuple(
            Area(f"quiet-{n}", f"{n} 号辖区", f"Quiet {n}") for n in range(1, 1 + areas)
        ),
        sites=places,
        piles=tuple(
            _pile(seed, site, name, dates) for site in places for name in site.pile_ids()
        ),
        sensors=tuple(_sensor(seed, name, dates) for s in places for name in s.sensor_ids()),
        truths=(),
        expected_refused=0,
    )


def _site(seed: int, number: int) -> Site:
    slug = f"site-{number:03}"
    made = stream(seed, slug, "made")
    piles = 2 if made.random() < TWO_PILES else 1
    row, column = divmod(number - 1, SITES_PER_AREA)
    return Site(
        area=f"quiet-{1 + row}",
        slug=slug,
        zh=f"{number} 号站",
        en=f"Site {number}",
        piles=piles,
        sensors=made.randint(1, 2),
        latitude=round(CORNER[0] + row * APART_DEG, 3),
        longitude=round(CORNER[1] + column * APART_DEG, 3),
    )


def _pile(seed: int, site: Site, name: str, dates: tuple[date, ...]) -> PilePlan:
    habits = stream(seed, name, "people")
    [beat] = stream(seed, site.id, "beat").choices(list(BEATS), list(BEATS.values()))
    uses = (
        use
        for channel in range(1, SOCKETS + 1)
        for day in dates
        for use in _uses(habits, channel, day)
    )
    plugs = tuple(uses)
    chance = stream(seed, name, "faults")
    repeats = (
        _at(day, chance.uniform(1, 24)) for day in dates if chance.random() < REPEATS_A_DAY
    )
    ordinary = Faults(clock_behind=_clock_off(chance), repeats_at=tuple(repeats))
    return PilePlan(id=name, sockets=SOCKETS, uses=plugs, faults=ordinary, beat=beat)


def _sensor(seed: int, name: str, dates: tuple[date, ...]) -> SensorPlan:
    chance = stream(seed, name, "people")
    tested_at = _at(chance.choice(dates), chance.uniform(9, 17))
    faults = Faults(clock_behind=_clock_off(chance))
    return SensorPlan(id=name, tests_at=(tested_at,), faults=faults, beat=SENSOR_BEAT)


def _clock_off(chance: Random) -> timedelta:
    return timedelta(seconds=chance.uniform(-CLOCK_OFF_S, CLOCK_OFF_S))


def _uses(chance: Random, channel: int, day: date) -> Iterator[Use]:
    """Yield who comes to one socket on one day. The station is open from 5 to 22."""
    if chance.random() < MORNING:
        yield _use(chance, channel, day, chance.triangular(5.2, 11, 8), latest=16.5)
    if chance.random() < EVENING:
        latest = chance.triangular(20.5, 21.95, 21.7)
        yield _use(chance, channel, day, chance.triangular(16.6, 20.4, 18), latest)


def _use(chance: Random, channel: int, day: date, hour: float, latest: float) -> Use:
    """Let a bike come at `hour`, and go when it is full, but by `latest` at the latest."""
    shares = [battery.share for battery in BATTERIES_HERE]
    [battery] = chance.choices(BATTERIES_HERE, shares)
    state_of_charge, health = round(chance.uniform(0.15, 0.85), 2), chance.choice(HEALTHS)
    plugged_at, curve = _at(day, hour), charge(battery, state_of_charge, health)
    seen_after = timedelta(minutes=chance.uniform(2, 40))
    full_at = plugged_at + timedelta(seconds=curve.full_s or FOREVER_S) + seen_after
    away_at = min(full_at, plugged_at + AWAY_BY, _at(day, latest))
    return Use(channel, plugged_at, away_at, curve)


def _at(day: date, hour: float) -> datetime:
    midnight = datetime.combine(day, time(0), ZoneInfo(ZONE)).astimezone(UTC)
    return midnight + timedelta(hours=hour)
