"""Who plugs in when, and who fetches their bike: habits, by kind of place.

No public data set of arrivals at e-bike piles was found, so hours and shares are estimates
around what is known: people come home from work and plug in; chargers take 8 to 9 h for
lead-acid (DOMAIN §6.2); timers of 0.5 to 10 h are sold (§2.3); 3.7 % of the orders at a
Quzhou operator's car piles ended abnormally (§6.4). A scenario may change each of them.
"""

import bisect
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Annotated, Literal, NamedTuple

import msgspec

from simulator.batteries import BATTERIES, HEALTHS, LESS_FAST_60V, Battery
from simulator.charging import charge
from simulator.hours import Hours
from simulator.mishaps import together
from simulator.piles import Stop
from simulator.sockets import Use
from simulator.words import DAY, Length, Part, Share, length

Kind = Literal["village", "dormitory", "residential"]
Weights = Annotated[tuple[float, ...], msgspec.Meta(min_length=24, max_length=24)]

BY_NAME: dict[str, Battery] = {each.name: each for each in (*BATTERIES, LESS_FAST_60V)}
MINUTE = timedelta(minutes=1)
LAST_MINUTES = timedelta(minutes=30)
"""Before closing: who comes then plugs in for a few minutes, or for the night."""
AGAIN_AFTER = timedelta(minutes=2)
"""A socket that was left is not taken sooner."""
LEAD_AFTER = timedelta(minutes=5)
"""A second bike comes to a lead no sooner after the first."""

NEVER = (0.0,) * 5
AFTER_WORK = (*NEVER, 0.5, 1.5, 3, 3, 1.5, 1, 1.5, 1.5, 1, 1, 1, 2, 5, 7, 6, 4, 2, 0, 0)
AT_EASE = (*NEVER, 0.2, 0.5, 1, 2, 3, 3, 3, 2, 2, 2, 2, 3, 4, 5, 5, 3, 1, 0, 0)


class Habits(Part, frozen=True, kw_only=True):
    """What people do at one kind of place."""

    per_socket: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.9
    """Bikes that come on a workday, for each socket. More than there is room for go away."""
    rest_day: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.8
    """How many times as many come on a weekend or holiday."""
    rain: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.6
    """How many times as many come while it rains."""
    hours: Weights = AFTER_WORK
    """How many come in each hour of a workday, from midnight on; only their ratio counts."""
    rest_hours: Weights = AT_EASE
    """The same for a day of rest."""
    last_minute: Share = 0.04
    """Who comes in the last half hour before closing, of all."""
    obeys: Share = 1.0
    """Who fetches their bike by closing time though it is not full yet."""
    overnight: Share = 0.0
    """Who leaves it until the morning, of those who do not."""
    forgets: Share = 0.0
    """Who leaves it for days."""
    stays: Length = "12 h"
    """All others fetch it after so long, full or not."""
    timer: Share = 0.0
    """Who buys a time; when it is over the pile opens its relay."""
    lead: Share = 0.0
    """Who finds no socket, and hangs on another's with an extension lead."""
    charge_from: Share = 0.15
    charge_to: Share = 0.85
    """How full batteries are when they come: anything between the two."""
    batteries: dict[str, float] = msgspec.field(default_factory=dict)
    """How common each battery is, by name; empty: as in the street."""

    def __post_init__(self) -> None:
        if unknown := sorted(self.batteries.keys() - BY_NAME.keys()):
            raise ValueError(f"no battery {unknown[0]!r}; there is {', '.join(BY_NAME)}")
        if self.charge_from > self.charge_to:
            raise ValueError("charge_from must be at most charge_to")


USUAL: dict[Kind, Habits] = {
    "village": Habits(obeys=0.97, overnight=0.5, forgets=0.002, lead=0.02),
    "residential": Habits(
        per_socket=1.1,
        rest_day=1.0,
        obeys=0.95,
        overnight=0.7,
        forgets=0.004,
        timer=0.5,
        lead=0.01,
    ),
    "dormitory": Habits(
        per_socket=1.5,
        rest_day=0.9,
        hours=(1, 0.5, *(0,) * 5, 2, 5, 2, 0.5, 0.5, 3, 1, 0.5, 0.5, 1, 3, 4, 6, 8, 5, 3, 2),
        rest_hours=(1, 0.5, *(0,) * 6, 1, 2, 3, 3, 3, 2, 2, 2, 2, 3, 4, 4, 3, 3, 2, 1),
        obeys=0.8,
        overnight=0.8,
        forgets=0.01,
        lead=0.15,
    ),
}
"""A village's station is looked after; who sleeps beside it goes down when told to. In a
dormitory two shifts plug in, and there are too few sockets."""


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
