"""The scenario `quiet-month`, for whoever wants it without a file name."""

from datetime import date

from simulator.building import built
from simulator.scenario_file import found, read
from simulator.village import Village

NAME = "quiet-month"


def quiet_month(seed: int, first: date, days: int = 30, sites: int = 50) -> Village:
    """Return `days` days from midnight on; the same seed gives a site the same month."""
    return built(NAME, read(found(NAME)), first, seed=seed, days=days, sites=sites)
