"""The scenario `village-evening`: 21:40 to 23:40, closing time at 22:00, five incidents.

    21:42:00  a second charger joins a bike on an adapter: overload, until 21:52:30
    21:49:30  a pile dies without a word: silence 8 min after its last message
    21:50:00  a sensor sees smoke, until 21:58:00
    21:54:00  a sensor's connection breaks: silence 2 min after its last will
    22:00:00  one bike goes on charging: after hours at 22:10

In between, and no reason for an alarm: an inrush above 1000 W (21:44), half a message
(21:46), a sensor's self-test (21:47), a message sent twice (21:48), a pile whose clock
shows 1970 until it is set at 22:15, retained births, and a full bike that stays over night.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from simulator.batteries import FAST_60V, LEAD_ACID_48V, LEAD_ACID_72V, NMC_48V
from simulator.charging import charge, joined
from simulator.devices import Faults, stream
from simulator.people import evening
from simulator.piles import PilePlan, Use
from simulator.smoke_sensors import SensorPlan, Smoke
from simulator.village import Area, Site, Truth, Village

NAME = "village-evening"
ZONE = "Asia/Shanghai"
SOCKETS = 10
SLOW = timedelta(minutes=2)
"""What a slow machine may take longer: 2 s of real time at 60-fold speed."""
BEAT = timedelta(seconds=31)
"""The longest pause between two reports of a pile."""

AREAS = (
    Area("beilun", "北仑", "Beilun"),
    Area("yinzhou", "鄞州", "Yinzhou"),
    Area("haishu", "海曙", "Haishu"),
    Area("jiangbei", "江北", "Jiangbei"),
)
SITES = (
    Site("beilun", "east-gate", "东门充电站", "East Gate", 2, 2, 29.8995, 121.8402),
    Site("beilun", "lotus-court", "荷花苑充电站", "Lotus Court", 1, 2, 29.9086, 121.8267),
    Site("beilun", "harbour-road", "港口路充电站", "Harbour Road", 2, 1, 29.9342, 121.8563),
    Site("yinzhou", "market-street", "集市街充电站", "Market Street", 2, 2, 29.8171, 121.5463),
    Site("yinzhou", "south-lake", "南湖充电站", "South Lake", 2, 1, 29.8034, 121.5628),
    Site("yinzhou", "mill-lane", "磨坊弄充电站", "Mill Lane", 1, 1, 29.8312, 121.5817),
    Site("haishu", "old-theatre", "老戏院充电站", "Old Theatre", 1, 1, 29.8711, 121.5476),
    Site("haishu", "bell-tower", "钟楼充电站", "Bell Tower", 1, 2, 29.8746, 121.5423),
    Site("haishu", "school-road", "学校路充电站", "School Road", 1, 1, 29.8583, 121.5241),
    Site("jiangbei", "riverside", "江滨充电站", "Riverside", 2, 1, 29.8897, 121.5588),
    Site("jiangbei", "rail-yard", "机务段充电站", "Rail Yard", 1, 1, 29.9032, 121.5405),
    Site("jiangbei", "stone-bridge", "石桥充电站", "Stone Bridge", 2, 1, 29.9154, 121.5672),
)

OVERLOADED = ("beilun/east-gate/pile-01", 4)
FORGOTTEN = ("haishu/old-theatre/pile-01", 7)
INRUSH = ("yinzhou/south-lake/pile-02", 2)
FULL = ("beilun/lotus-court/pile-01", 3)
DYING = "jiangbei/riverside/pile-02"
SMOKY = "yinzhou/market-street/smoke-01"
DROPPED = "beilun/lotus-court/smoke-01"
TESTED = "haishu/school-road/smoke-01"
LOST_IN_TIME = "haishu/bell-tower/pile-01"
REPEATING = "yinzhou/south-lake/pile-01"
GARBLING = "jiangbei/rail-yard/pile-01"


class Evening:
    """The moments of one such evening, in UTC."""

    def __init__(self, day: date) -> None:
        def at(hour: int, minute: int, second: int = 0) -> datetime:
            local = datetime.combine(day, time(hour, minute, second), ZoneInfo(ZONE))
            return local.astimezone(UTC)

        self.starts, self.closes = at(21, 40), at(22, 0)
        self.grace_ends = at(22, 10)
        self.joined_at, self.overload_ends = at(21, 42), at(21, 52, 30)
        self.inrush_at = at(21, 44)
        self.garbles_at = at(21, 46, 5)
        self.tested_at = at(21, 47)
        self.repeats_at = at(21, 48, 10)
        self.dies_at = at(21, 49, 30)
        self.smoke_begins, self.smoke_ends = at(21, 50), at(21, 58)
        self.drops_at = at(21, 54)
        self.clock_set_at = at(22, 15)


def village_evening(seed: int, day: date) -> Village:
    """Return the village in the evening of `day`; what people do depends on `seed`."""
    moments = Evening(day)
    special = _special_uses(moments)
    return Village(
        scenario=NAME,
        seed=seed,
        starts=moments.starts,
        lasts=timedelta(hours=2),
        zone=ZONE,
        areas=AREAS,
        sites=SITES,
        piles=tuple(
            _pile(seed, moments, name, special) for site in SITES for name in site.pile_ids()
        ),
        sensors=tuple(_sensor(moments, name) for site in SITES for name in site.sensor_ids()),
        truths=_truths(moments),
        expected_refused=1,
    )


def _pile(
    seed: int, moments: Evening, name: str, special: dict[tuple[str, int], Use]
) -> PilePlan:
    mine = tuple(use for (pile, _), use in special.items() if pile == name)
    free = sorted(set(range(1, SOCKETS + 1)) - {use.channel for use in mine})
    habits = stream(seed, name, "people")
    others = evening(habits, moments.starts, moments.closes, free)
    faults = {
        DYING: Faults(dies_at=moments.dies_at),
        LOST_IN_TIME: Faults(
            clock_behind=moments.starts - datetime(1970, 1, 1, tzinfo=UTC),
            clock_set_at=moments.clock_set_at,
        ),
        REPEATING: Faults(repeats_at=(moments.repeats_at,)),
        GARBLING: Faults(garbles_at=(moments.garbles_at,)),
    }.get(name, Faults())
    return PilePlan(id=name, sockets=SOCKETS, uses=(*mine, *others), faults=faults)


def _sensor(moments: Evening, name: str) -> SensorPlan:
    if name == SMOKY:
        return SensorPlan(id=name, smokes=(Smoke(moments.smoke_begins, moments.smoke_ends),))
    if name == TESTED:
        return SensorPlan(id=name, tests_at=(moments.tested_at,))
    if name == DROPPED:
        return SensorPlan(
            id=name, faults=Faults(drops_at=moments.drops_at), own_connection=True
        )
    return SensorPlan(id=name)


def _special_uses(moments: Evening) -> dict[tuple[str, int], Use]:
    early = moments.starts - timedelta(minutes=95)
    overload = joined(charge(LEAD_ACID_48V, 0.3), moments.joined_at - early, extra_w=1060)
    days = moments.closes + timedelta(days=2)
    return {
        OVERLOADED: Use(OVERLOADED[1], early, moments.overload_ends, overload),
        FORGOTTEN: Use(FORGOTTEN[1], early, days, charge(LEAD_ACID_72V, 0.2)),
        FULL: Use(FULL[1], early, days, charge(NMC_48V, 0.97)),
        INRUSH: Use(
            INRUSH[1],
            moments.inrush_at,
            moments.closes - timedelta(minutes=3),
            charge(FAST_60V, 0.3),
        ),
    }


def _truths(moments: Evening) -> tuple[Truth, ...]:
    truths = (*_truths_of_sockets(moments), *_truths_of_devices(moments))
    return tuple(sorted(truths, key=lambda truth: truth.earliest))


def _truths_of_sockets(moments: Evening) -> tuple[Truth, ...]:
    held_at = moments.joined_at + timedelta(seconds=30)
    return (
        Truth(
            rule="overload",
            device=OVERLOADED[0],
            channel=OVERLOADED[1],
            begins=moments.joined_at,
            ends=moments.overload_ends,
            earliest=held_at,
            latest=held_at + BEAT + SLOW,
        ),
        Truth(
            rule="after_hours",
            device=FORGOTTEN[0],
            channel=FORGOTTEN[1],
            begins=moments.closes,
            ends=None,
            earliest=moments.grace_ends,
            latest=moments.grace_ends + SLOW,
        ),
    )


def _truths_of_devices(moments: Evening) -> tuple[Truth, ...]:
    neighbours = timedelta(minutes=2)
    silent, after_will = timedelta(minutes=8), timedelta(minutes=2)
    return (
        Truth(
            rule="smoke",
            device=SMOKY,
            begins=moments.smoke_begins,
            ends=moments.smoke_ends,
            earliest=moments.smoke_begins,
            latest=moments.smoke_begins + SLOW,
        ),
        Truth(
            rule="silence",
            device=DROPPED,
            begins=moments.drops_at,
            ends=None,
            earliest=moments.drops_at,  # at once if its last message was 2 min ago by then
            latest=moments.drops_at + after_will + neighbours + SLOW,
        ),
        Truth(
            rule="silence",
            device=DYING,
            begins=moments.dies_at,
            ends=None,
            earliest=moments.dies_at - BEAT + silent + neighbours,
            latest=moments.dies_at + silent + neighbours + SLOW,
        ),
    )
