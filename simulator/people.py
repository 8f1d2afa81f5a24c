"""Who plugs in when, and who leaves: the habits of a village in the evening.

Most come home from work and plug in; some come late; all fetch their bikes around closing
time, but for those whose bike is full: it may stay.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from random import Random

from simulator.batteries import BATTERIES, HEALTHS
from simulator.charging import Curve, charge
from simulator.piles import FINISHED_W, Use

AFTER_WORK = 0.5
LATE = 0.12
"""Shares of the sockets that are taken before the start, and while we look on."""
STAYS_IF_FULL = 0.5
FETCHED_FROM = timedelta(minutes=-15)
FETCHED_UNTIL = timedelta(minutes=6)
"""Around closing time; before the ten minutes of grace are over."""


def evening(
    chance: Random, starts: datetime, closes: datetime, channels: Collection[int]
) -> Iterator[Use]:
    """Yield at most one use for each of these sockets, all but the full ones fetched."""
    for channel in channels:
        taken = chance.random()
        if taken < AFTER_WORK:
            yield _after_work(chance, channel, starts, closes)
        elif taken < AFTER_WORK + LATE:
            plugged_at = starts + timedelta(minutes=chance.uniform(1, 13))
            fetched_at = closes + timedelta(minutes=chance.uniform(-5, 6))
            yield Use(channel, plugged_at, fetched_at, _bike(chance))


def _after_work(chance: Random, channel: int, starts: datetime, closes: datetime) -> Use:
    before = timedelta(hours=chance.triangular(0.1, 4.5, 2.5))
    curve = _bike(chance)
    fetched_at = closes + FETCHED_FROM + (FETCHED_UNTIL - FETCHED_FROM) * chance.random()
    stays = chance.random() < STAYS_IF_FULL
    plugged_at = starts - before
    if stays and curve.power_w(closes - plugged_at) < FINISHED_W:
        fetched_at = closes + timedelta(hours=9)
    return Use(channel, plugged_at, fetched_at, curve)


def _bike(chance: Random) -> Curve:
    battery = chance.choices(BATTERIES, [battery.share for battery in BATTERIES])[0]
    return charge(battery, round(chance.uniform(0.15, 0.85), 2), chance.choice(HEALTHS))
