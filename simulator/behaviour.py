"""Who plugs in when, and who fetches their bike: the people of one pile, day by day."""

import bisect
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import NamedTuple

from simulator.batteries import BATTERIES, HEALTHS
from simulator.charging import charge
from simulator.habits import BY_NAME, Habits
from simulator.hours import Hours
from simulator.mishaps import together
from simulator.pile_plans import Stop
from simulator.sockets import Use
from simulator.words import DAY, length

MINUTE = timedelta(minutes=1)
LAST_MINUTES = timedelta(minutes=30)
"""Before closing: who comes then plugs in for a few minutes, or for the night."""
AGAIN_AFTER = timedelta(minutes=2)
"""A socket that was left is not taken sooner."""
LEAD_AFTER = timedelta(minutes=5)
"""A second bike comes to a lead no sooner after the first."""


class Calendar(NamedTuple):
    """What each day is like."""

    rest: frozenset[date]
    """Holidays: days of rest besides the weekends."""
    work: frozenset[date]
    """Weekend days that are worked."""
    share: dict[date, float]
    """How many times as many come on days that are like no other."""

    def rests(self, day: date) -> bool:
        return day in self.rest or (day.isoweekday() > 5 and day not in self.work)  # noqa: PLR2004


class Booked(NamedTuple):
    """A time for which something that was scheduled needs a socket."""

    channel: int
    since: datetime
    until: datetime


class Lead(NamedTuple):
    """A second bike that hangs on the plug of the first, by an extension lead."""

    at: datetime
    use: Use
    """Of both."""


class Doings(NamedTuple):
    uses: list[Use]
    stops: list[Stop]
    leads: list[Lead]


class Crowd:
    """The people of one pile. Sockets that are booked are taken, as far as they can see."""

    def __init__(  # noqa: PLR0913  (all that people know when they come)
        self,
        *,
        habits: Habits,
        hours: Hours,
        calendar: Calendar,
        sockets: int,
        booked: list[Booked],
        rains: Callable[[datetime], bool],
    ) -> None:
        self._habits, self._hours, self._calendar = habits, hours, calendar
        self._booked, self._rains = booked, rains
        self._taken_until: dict[int, datetime] = {}
        self._alone: dict[int, int] = {}
        """Where in `uses` a bike is that has a socket for itself."""
        self._channels = range(1, sockets + 1)
        names = habits.batteries or {each.name: each.share for each in BATTERIES}
        self._batteries = [BY_NAME[name] for name in names]
        self._shares = list(accumulate(names.values()))
        self.done = Doings([], [], [])

    def live(self, chance: Random, day: date, midnight: datetime) -> None:
        """Let one day go by."""
        for at in self._arrivals(chance, day, midnight):
            self._comes(chance, at)

    def _arrivals(self, chance: Random, day: date, midnight: datetime) -> list[datetime]:
        habits, rests = self._habits, self._calendar.rests(day)
        mean = habits.per_socket * len(self._channels)
        mean *= (habits.rest_day if rests else 1.0) * self._calendar.share.get(day, 1.0)
        weights = list(accumulate(habits.rest_hours if rests else habits.hours))
        found = []
        for _ in range(poisson(chance, mean)):
            hour = bisect.bisect(weights, chance.random() * weights[-1])
            at = midnight + timedelta(hours=min(hour, 23) + chance.random())
            last = chance.random() < habits.last_minute
            closes = self._hours.closes_after(midnight + timedelta(hours=5)) if last else None
            if closes is not None and closes < midnight + DAY:
                at = closes - LAST_MINUTES * chance.random()
            stays_dry = chance.random() > habits.rain and self._rains(at)
            if not stays_dry:
                found.append(at)
        return sorted(found)

    def _comes(self, chance: Random, at: datetime) -> None:
        which = bisect.bisect(self._shares, chance.random() * self._shares[-1])
        battery = self._batteries[which]
        soc = chance.uniform(self._habits.charge_from, self._habits.charge_to)
        curve = charge(battery, round(soc, 2), chance.choice(HEALTHS))
        full_at = None if curve.full_s is None else at + timedelta(seconds=curve.full_s)
        away_at = self._fetched_at(chance, at, full_at)
        paid = timedelta(hours=chance.choice((2, 4, 6, 8, 10)))
        pays, dares, order = chance.random(), chance.random(), chance.random()
        free = [channel for channel in self._channels if self._is_free(channel, at, away_at)]
        if away_at - at < MINUTE:
            return
        if free:
            channel = free[int(order * len(free))]
            self._alone[channel] = len(self.done.uses)
            self._taken_until[channel] = away_at + AGAIN_AFTER
            self.done.uses.append(Use(channel, at, away_at, curve))
            if pays < self._habits.timer and at + paid < away_at:
                self.done.stops.append(Stop(channel, at + paid))
        elif dares < self._habits.lead:
            self._shares_socket(at, away_at, Use(0, at, away_at, curve), order)

    def _shares_socket(
        self, at: datetime, away_at: datetime, second: Use, order: float
    ) -> None:
        """Let a second bike hang on somebody's socket, if there is one that is used alone."""
        candidates = [
            channel
            for channel, number in self._alone.items()
            if (first := self.done.uses[number]).unplugged_at > at + LEAD_AFTER
            and first.plugged_at + LEAD_AFTER < at
            and self._is_free(channel, first.unplugged_at + AGAIN_AFTER, away_at)
        ]
        if not candidates:
            return
        channel = candidates[int(order * len(candidates))]
        number = self._alone.pop(channel)
        first = self.done.uses[number]
        leaves = first.unplugged_at - first.plugged_at
        until = max(first.unplugged_at, away_at)
        curve = together(
            first.curve,
            second.curve,
            joins=at - first.plugged_at,
            first_leaves=leaves if first.unplugged_at < until else None,
        )
        both = self.done.uses[number] = Use(channel, first.plugged_at, until, curve)
        self.done.leads.append(Lead(at, both))
        self._taken_until[channel] = until + AGAIN_AFTER

    def _fetched_at(self, chance: Random, at: datetime, full_at: datetime | None) -> datetime:
        """Return when somebody fetches the bike that came at `at`."""
        habits = self._habits
        after, fate, hour = chance.random(), chance.random(), chance.random()
        most = at + length(habits.stays) * (0.7 + 0.3 * hour)
        seen_at = most if full_at is None else full_at + MINUTE * (2 + 38 * after)
        night = self._hours.closed_at(at)
        closes = self._hours.closes_after(at)
        if fate < habits.forgets:
            return at + DAY * (1 + 2 * hour)
        fate = (fate - habits.forgets) / max(1e-9, 1 - habits.forgets)
        wanted = min(seen_at, most)
        if night is not None or closes is None or wanted < closes:
            return wanted
        if fate < habits.obeys:  # somebody comes down before it closes
            return closes - LAST_MINUTES * after**2 - timedelta(seconds=20)
        if fate < habits.obeys + (1 - habits.obeys) * habits.overnight:
            return closes + timedelta(hours=7.5 + 2.5 * hour)
        return wanted

    def _is_free(self, channel: int, at: datetime, away_at: datetime) -> bool:
        taken_until = self._taken_until.get(channel)
        if taken_until is not None and taken_until > at:
            return False
        return not any(
            booked.channel == channel
            and booked.since < away_at + AGAIN_AFTER
            and at < booked.until + AGAIN_AFTER
            for booked in self._booked
        )


def poisson(chance: Random, mean: float) -> int:
    """Return a draw from the Poisson distribution (Knuth's; means are tens at most)."""
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count
