"""One outlet of a pile: its relay, its contact, and the bike that hangs on it."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from simulator.charging import Curve, Draw
from simulator.warmth import (
    CABINET_K_PER_W,
    CABINET_LAG_S,
    CONTACT_K_PER_W,
    CONTACT_LAG_S,
    lagged,
)

FINISHED_W = 15.0
"""Below this a pile says that a charge has finished."""
NOTHING = Draw(0, 0.0, 0.0, 0.0)
COLD_A2 = 0.1
"""What has warmed the cabinet by less than this, a thousandth of a degree, is forgotten."""


class Use(msgspec.Struct, frozen=True):
    """One bike on one socket (from 1), from its plug going in until it is pulled."""

    channel: int
    plugged_at: datetime
    unplugged_at: datetime
    curve: Curve


class Switching(StrEnum):
    """How a socket takes its orders."""

    OBEYS = "obeys"
    REFUSES = "refuses"
    LOSES = "loses"
    """The order never arrives, and nobody answers."""
    WELDED = "welded"
    """It says yes, and says that it is off; the current flows all the same."""


class Loosening(msgspec.Struct, frozen=True, kw_only=True):
    """A contact gets worse: its resistance rises from `since` on, straight, to `ohm`."""

    channel: int
    since: datetime
    takes: timedelta
    ohm: float

    def at(self, was_ohm: float, now: datetime) -> float:
        """Return the resistance of a contact that had `was_ohm` when it was well."""
        share = min(1.0, max(0.0, (now - self.since) / self.takes))
        return was_ohm + (self.ohm - was_ohm) * share


class Socket:
    """What one outlet carries. Its moments never go back."""

    def __init__(
        self,
        starts: datetime,
        energy_wh: float,
        contact_ohm: float,
        switching: Switching,
        loosens: Loosening | None = None,
    ) -> None:
        self.use: Use | None = None
        self.switching = switching
        self.cut = False
        """What its relay is said to be; only a welded one lies."""
        self.stopped_by = ""
        """Why the pile itself has opened the relay; it stays so until the plug is pulled."""
        self.powered = True
        """The mains are there."""
        self.energy_wh = energy_wh
        self.session_wh = 0.0
        self.ran = timedelta(0)
        """How long this plug has drawn current."""
        self._draw = NOTHING
        self._contact_ohm, self._loosens = contact_ohm, loosens
        self._contact_a2 = self._cabinet_a2 = 0.0
        """What contact and cabinet have felt of it so far."""
        self._now = starts

    @property
    def off(self) -> bool:
        """Whether the relay is said to be open though a plug is in."""
        return self.cut or bool(self.stopped_by)

    @property
    def dark(self) -> bool:
        """Whether something keeps the current from flowing."""
        if not self.powered:
            return True
        return self.off and self.switching is not Switching.WELDED

    @property
    def power_w(self) -> float:
        return self._draw.power_w

    @property
    def square_a2(self) -> float:
        """Return the current at 230 V, squared."""
        return self._draw.square_a2

    @property
    def contact_k(self) -> float:
        """How much warmer its contact is than the cabinet."""
        return CONTACT_K_PER_W * self._ohm * self._contact_a2

    @property
    def cabinet_k(self) -> float:
        """How much warmer it has made the cabinet."""
        return CABINET_K_PER_W * self._ohm * self._cabinet_a2

    @property
    def is_idle(self) -> bool:
        """Whether it is on and empty, and has been for so long that it is cold."""
        return self.use is None and not self._cabinet_a2 and not self.cut

    def advance(self, now: datetime) -> None:
        """Let time pass to `now`: energy flows, the contacts warm up or cool down."""
        if now < self._now:
            raise ValueError(f"time went back from {self._now} to {now}")
        if self.use is not None and not self.dark:
            self._charge(self.use.curve, now - self._now)
        elif self._cabinet_a2:
            self._cool((now - self._now).total_seconds())
        self._now = now

    def plug(self, use: Use, now: datetime) -> None:
        """Take the plug of `use`, which went in at `plugged_at`, now or some time ago."""
        self.advance(now)
        self.use, self.ran, self.session_wh = use, timedelta(0), 0.0
        self._draw = use.curve.at(0.0)
        if not self.dark:
            self._charge(use.curve, now - use.plugged_at)
        self._switched()

    def unplug(self, now: datetime) -> None:
        self.advance(now)
        self.use, self.ran, self.session_wh = None, timedelta(0), 0.0
        self.stopped_by = ""
        self._switched()

    def switch(self, now: datetime, *, on: bool) -> None:
        self.advance(now)
        self.cut = not on
        if on:
            self.stopped_by = ""
        self._switched()

    def alter(self, now: datetime, switching: Switching, loosens: Loosening | None) -> None:
        """Let its relay and its contact be others from now on."""
        self.advance(now)
        self.switching, self._loosens = switching, loosens
        self._switched()

    def stop(self, now: datetime, why: str) -> None:
        """Let the pile open the relay by itself, if there is anything to stop."""
        self.advance(now)
        self.stopped_by = why if self.use is not None else ""
        self._switched()

    def switch_mains(self, now: datetime, *, on: bool) -> None:
        self.advance(now)
        self.powered = on
        self._switched()

    def _charge(self, curve: Curve, passed: timedelta) -> None:
        since_s = self.ran.total_seconds()
        self.ran += passed
        since, until_s = self._draw, self.ran.total_seconds()
        self._draw = until = curve.at(until_s)
        if since.point == until.point:  # straight, as it mostly is
            self._follow(until_s - since_s, since.square_a2, until.square_a2)
        else:
            for passed_s, first, last in curve.stretches(since_s, since, until_s, until):
                self._follow(passed_s, first, last)
        self.energy_wh += max(0.0, until.energy_wh - self.session_wh)
        self.session_wh = until.energy_wh

    def _follow(self, passed_s: float, first: float, last: float) -> None:
        """Let the contacts warm up or cool down."""
        self._contact_a2 = lagged(self._contact_a2, first, last, passed_s, CONTACT_LAG_S)
        self._cabinet_a2 = lagged(self._cabinet_a2, first, last, passed_s, CABINET_LAG_S)

    def _cool(self, passed_s: float) -> None:
        if self._cabinet_a2 > COLD_A2:
            self._follow(passed_s, 0.0, 0.0)
        else:
            self._contact_a2 = self._cabinet_a2 = 0.0

    def _switched(self) -> None:
        """Note what flows now that a plug or a relay has moved."""
        if self.use is None or self.dark:
            self._draw = NOTHING
        else:
            self._draw = self.use.curve.at(self.ran.total_seconds())

    @property
    def _ohm(self) -> float:
        if self._loosens is None:
            return self._contact_ohm
        return self._loosens.at(self._contact_ohm, self._now)

    @property
    def state(self) -> str:
        if self.cut:
            return "cut"
        if self.use is None:
            return "idle"
        if self.stopped_by:
            return "stopped"
        return "charging" if self.power_w >= FINISHED_W else "finished"
