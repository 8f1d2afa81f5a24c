"""Habits: when people come to a kind of place, and when they fetch their bikes.

No public data set of arrivals at e-bike piles was found, so hours and shares are estimates
around what is known: people come home from work and plug in; chargers take 8 to 9 h for
lead-acid (DOMAIN §6.2); timers of 0.5 to 10 h are sold (§2.3); 3.7 % of the orders at a
Quzhou operator's car piles ended abnormally (§6.4). A scenario may change each of them.
"""

from typing import Annotated, Literal

import msgspec

from simulator.batteries import BATTERIES, LESS_FAST_60V, Battery
from simulator.words import Length, Part, Share

Kind = Literal["village", "dormitory", "residential"]
Weights = Annotated[tuple[float, ...], msgspec.Meta(min_length=24, max_length=24)]

BY_NAME: dict[str, Battery] = {each.name: each for each in (*BATTERIES, LESS_FAST_60V)}

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
