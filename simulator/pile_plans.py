"""All that will happen at a charging pile, as data that is laid down before it acts."""

from datetime import datetime, timedelta

import msgspec

from simulator.orders import Obedience
from simulator.plans import Faults, Span
from simulator.skins import SkinName
from simulator.sockets import Loosening, Switching, Use
from simulator.weather import FAIR, Weather

HOTTEST_K = 400.0
"""What a burning bike adds at most: beyond it there is no sensor left to say so."""


class Rescan(msgspec.Struct, frozen=True):
    """The owner starts the session again from the phone: the pile closes its relay."""

    channel: int
    at: datetime


class Stop(msgspec.Struct, frozen=True):
    """The pile opens its relay by itself."""

    channel: int
    at: datetime
    why: str = "max_time"
    """As in `stop_reason`: the time that was paid for is over, or a protection acted."""


class Cut(msgspec.Struct, frozen=True):
    """A socket was switched off by an order; nothing flows in it whoever comes."""

    channel: int
    span: Span


class Heating(msgspec.Struct, frozen=True):
    """Something burns beside a socket; the others feel a part of it."""

    channel: int
    since: datetime
    k_a_minute: float

    def felt_k(self, channel: int, now: datetime) -> float:
        minutes = (now - self.since) / timedelta(minutes=1)
        if minutes <= 0:
            return 0.0
        return min(HOTTEST_K, self.k_a_minute * minutes) / (1 + abs(channel - self.channel))


class Mains(msgspec.Struct, frozen=True):
    """The mains at a station are not what they should be."""

    span: Span
    volts: float


class PilePlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that will happen at one pile. `id` is area/site/device."""

    id: str
    sockets: int = 10
    uses: tuple[Use, ...] = ()
    """Those of one socket must not overlap."""
    rescans: tuple[Rescan, ...] = ()
    stops: tuple[Stop, ...] = ()
    switching: dict[int, Switching] = {}
    """By socket; one that is not named obeys."""
    cuts: tuple[Cut, ...] = ()
    """Orders that it was given: of a plan that was lived, and of no other."""
    loosens: tuple[Loosening, ...] = ()
    """At most one for each socket."""
    burns: tuple[Heating, ...] = ()
    mains: tuple[Mains, ...] = ()
    faults: Faults = Faults()
    own_connection: bool = False
    """It has a connection, and so a last will, of its own."""
    beat: timedelta = timedelta(seconds=30)
    """The time between two reports."""
    figures: timedelta | None = None
    """The time between two reports of what flows, where that is not in each."""
    firmware: str = "1.4.2"
    weather: Weather = FAIR
    skin: SkinName = "native"
    obedience: Obedience = Obedience()
