"""The scenarios that come with the simulator, played in a size that one has time for."""

from datetime import date
from typing import NamedTuple

from simulator.building import built
from simulator.scenario_file import library, read
from simulator.village import Village
from simulator.words import DAY, length


class Size(NamedTuple):
    """How much of a scenario is played, at most."""

    days: int
    sites: int


def names() -> tuple[str, ...]:
    return tuple(library())


def village(name: str, seed: int, day: date, size: Size) -> Village:
    """Return a scenario of the library, cut down to a size.

    It begins on `day`, unless the scenario has a date of its own.
    """
    scenario = read(library()[name])
    first = day if scenario.date is None else date.fromisoformat(scenario.date)
    days = size.days if length(scenario.lasts) > size.days * DAY else None
    made = sum(part.count for part in scenario.places)
    sites = size.sites if made > size.sites else None
    return built(name, scenario, first, seed=seed, days=days, sites=sites)
