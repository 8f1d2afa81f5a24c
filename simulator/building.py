"""Makes a village of a scenario: places, people, faults, and the truth that follows.

Whatever is drawn by chance has a stream of its own, named after the device and the purpose
(and for people, the day): one device more, or one day more, moves nothing else.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from simulator.behaviour import Calendar, Crowd
from simulator.casting import cast
from simulator.clocks import ClockFault
from simulator.emissions import stream
from simulator.faults.charges import note_step
from simulator.link_faults import Doubled
from simulator.pile_plans import PilePlan
from simulator.placing import placed
from simulator.reckoning import true_of
from simulator.scenario import Scenario
from simulator.scene import Scene, Subject
from simulator.smoke_sensors import SensorPlan
from simulator.village import Site, Village
from simulator.weather import Weather
from simulator.words import DAY, clock, length, local, moments

TEST_CYCLE = 30
"""Days in which each sensor is tested once."""
BY_DAY_H = 9.0, 17.0
TESTED_FOR = timedelta(seconds=30)


def built(  # noqa: PLR0913
    name: str,
    scenario: Scenario,
    first: date,
    *,
    seed: int | None = None,
    days: int | None = None,
    sites: int | None = None,
) -> Village:
    """Return the village; `days` and `sites` go before what the scenario says.

    Raises ScenarioWrong if what it schedules cannot be.
    """
    seed = scenario.seed if seed is None else seed
    zone = ZoneInfo(scenario.zone)
    starts = local(first, clock(scenario.starts), zone)
    lasts = length(scenario.lasts) if days is None else days * DAY
    areas, places = placed(scenario, seed, sites)
    scene = Scene(
        seed=seed,
        starts=starts,
        ends=starts + lasts,
        zone=zone,
        limits=scenario.limits,
        sites=places,
        clocks_off=length(scenario.ordinary.clocks_off),
    )
    cast(scenario.events, scene, name, cut_down=sites is not None)
    maker = _Maker(scenario, scene)
    piles = tuple(maker.pile(site, pile) for site in places for pile in site.pile_ids())
    sensors = tuple(maker.sensor(site, s) for site in places for s in site.sensor_ids())
    return Village(
        scenario=name,
        seed=seed,
        starts=starts,
        lasts=lasts,
        zone=scenario.zone,
        areas=areas,
        sites=places,
        piles=piles,
        sensors=sensors,
        intruders=tuple(scene.intruders),
        limits=scenario.limits,
        happens=tuple(true_of(scene, piles)),
        laid_down=tuple(scene.incidents),
        clocks_off=length(scenario.ordinary.clocks_off),
        expected_refused=scene.refused,
    )


class _Maker:
    """Makes the plans of devices."""

    def __init__(self, scenario: Scenario, scene: Scene) -> None:
        self._scenario, self._scene = scenario, scene
        self._weather = _weather(scenario, scene)
        self._calendar = _calendar(scenario)
        self._habits = {site.kind: scenario.habits(site.kind) for site in scene.sites}

    def pile(self, site: Site, name: str) -> PilePlan:
        scene, doing = self._scene, self._scene.on[name]
        crowd = Crowd(
            habits=self._habits[site.kind],
            hours=scene.hours_of(site),
            calendar=self._calendar,
            sockets=site.sockets,
            booked=doing.booked,
            rains=self._weather.rains,
        )
        first = scene.starts.astimezone(scene.zone).date()
        for number in range(-1, (scene.ends - scene.starts) // DAY + 1):
            day = first + number * DAY
            midnight = local(day, clock("00:00"), scene.zone)
            crowd.live(stream(scene.seed, name, f"people/{number}"), day, midnight)
        for at, use in crowd.done.leads:
            place = Subject(site, name, use.channel)
            stops = (stop.at for stop in crowd.done.stops if stop.channel == use.channel)
            off_at = min((off for off in stops if off >= use.plugged_at), default=None)
            note_step(scene, place, at, use, off_at=off_at)
        self._wear(name)
        share = self._scenario.ordinary.repeats_a_day * (site.beat / DAY)
        if share:
            doing.link.append(Doubled(since=scene.starts, share=share))
        plan = PilePlan(
            id=name,
            sockets=site.sockets,
            uses=tuple(
                use
                for use in crowd.done.uses
                if use.unplugged_at > scene.starts and use.plugged_at < scene.ends
            ),
            stops=tuple(stop for stop in crowd.done.stops if stop.at > scene.starts),
            beat=site.beat,
            figures=site.figures,
            skin=site.skin,
            obedience=site.obedience,
            weather=self._weather,
        )
        return doing.to_pile(plan)

    def sensor(self, site: Site, name: str) -> SensorPlan:
        self._wear(name)
        tests_at = tuple(self._tests(name)) if self._scenario.ordinary.tests_sensors else ()
        for at in tests_at:
            place = Subject(site, name)
            self._scene.trap(place, "self_test", at, at + TESTED_FOR, "smoke", "fire")
        plan = SensorPlan(
            id=name,
            beat=site.sensor_beat,
            tests_at=tests_at,
            weather=self._weather,
            skin=site.sensor_skin,
            obedience=site.obedience,
        )
        return self._scene.on[name].to_sensor(plan)

    def _tests(self, name: str) -> Iterator[datetime]:
        chance, scene = stream(self._scene.seed, name, "tests"), self._scene
        day = chance.randrange(TEST_CYCLE)
        while (at := scene.starts + day * DAY) < scene.ends:
            midnight = local(at.astimezone(scene.zone).date(), clock("00:00"), scene.zone)
            at = midnight + timedelta(hours=chance.uniform(*BY_DAY_H))
            if scene.starts <= at < scene.ends:
                yield at
            day += TEST_CYCLE

    def _wear(self, name: str) -> None:
        """Let a clock be off by a little: ordinary ones are."""
        off = self._scene.clock_off(name)
        if off:
            fault = ClockFault(since=self._scene.starts, off=off)
            self._scene.on[name].clock.insert(0, fault)


def _weather(scenario: Scenario, scene: Scene) -> Weather:
    part = scenario.weather
    spells = partial(moments, starts=scene.starts, ends=scene.ends, zone=scene.zone)
    return Weather(
        mean_c=part.mean_c,
        swing_c=part.swing_c,
        rain=tuple(
            (at, at + length(rain.lasts)) for rain in part.rain for at in spells(rain.at)
        ),
    )


def _calendar(scenario: Scenario) -> Calendar:
    part = scenario.calendar
    return Calendar(
        rest=frozenset(map(date.fromisoformat, part.rest)),
        work=frozenset(map(date.fromisoformat, part.work)),
        share={date.fromisoformat(day): share for day, share in part.share.items()},
    )
