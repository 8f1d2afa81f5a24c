"""The scenario `village-evening` and who is special in it, for the demo and the tests."""

from datetime import date

from simulator.building import built
from simulator.scenario_file import found, read
from simulator.village import Village

NAME = "village-evening"
OVERLOADED = ("beilun/east-gate/pile-01", 4)
FORGOTTEN = ("haishu/old-theatre/pile-01", 7)
INRUSH = ("yinzhou/south-lake/pile-02", 2)
DYING = "jiangbei/riverside/pile-02"
SMOKY = "yinzhou/market-street/smoke-01"
DROPPED = "beilun/lotus-court/smoke-01"
TESTED = "haishu/school-road/smoke-01"
LOST_IN_TIME = "haishu/bell-tower/pile-01"


def village_evening(seed: int, day: date) -> Village:
    """Return the village in the evening of `day`; what people do depends on `seed`."""
    return built(NAME, read(found(NAME)), day, seed=seed)
