"""What is laid down for a device before it acts: spans, faults, and what happens when."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from simulator.clocks import ClockFault
from simulator.links import Step


class Span(msgspec.Struct, frozen=True):
    """A time in which something is so: [since, until)."""

    since: datetime
    until: datetime | None = None
    """None: for ever."""

    def has(self, at: datetime) -> bool:
        return self.since <= at and (self.until is None or at < self.until)


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong with a device besides what it measures; each independent of the rest."""

    dies_at: datetime | None = None
    """From now on it says nothing, and nobody says so for it."""
    drops_at: datetime | None = None
    """Its connection breaks for good; the broker publishes its last will."""
    dark: tuple[Span, ...] = ()
    """The mains are away: it neither measures nor speaks, and starts anew afterwards."""
    reconnects_at: tuple[datetime, ...] = ()
    """It connects again, and says its birth and how things are."""
    willed_at: tuple[datetime, ...] = ()
    """The broker takes it for gone, though it lives, and publishes its last will."""
    clock: tuple[ClockFault, ...] = ()
    link: tuple[Step, ...] = ()
    """What happens to its messages on their way, in this order."""

    @property
    def ends_at(self) -> datetime | None:
        """Return from when on it says nothing any more; None: it lives."""
        ends = [at for at in (self.dies_at, self.drops_at) if at is not None]
        return min(ends, default=None)


class Plan(Protocol):
    """All that will happen to a device; each kind has its own."""

    @property
    def faults(self) -> Faults: ...


class Happening(NamedTuple):
    """Something that a plan lets its device do; `what` tells it from others of that moment."""

    at: datetime
    what: str
    deed: Callable[[datetime], None]
