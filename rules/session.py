"""What a charging session is: one bike on one socket, from its first power to its last.

Only rules/sessions.py changes one; to rules and to people it is read-only.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from rules.readings import DeviceId

METER_SLACK_KWH = 0.02
"""Two steps of a meter that counts hundredths."""


class Phase(StrEnum):
    """How far a charge is, as its power shows."""

    PLUGGED = "plugged"
    """In the socket; it draws nothing yet, or has only just begun to."""
    CHARGING = "charging"
    """On its plateau: constant current, and power rises slowly if at all."""
    TAPERING = "tapering"
    """Power has fallen below the plateau: constant voltage, nearly full."""
    FLOAT = "float"
    """A small remainder of the charging power."""
    FINISHED = "finished"
    """No charging power any more. The plug may well be in the socket yet."""


class Ending(StrEnum):
    """How a session ended, or (while `ended_at` is None) would end if nothing more came."""

    FINISHED = "finished"
    """Its power had tapered off before, or the device says that the battery is full."""
    UNPLUGGED = "unplugged"
    """The device says that nothing is plugged in any more."""
    CUT = "cut"
    """The relay is off."""
    STOPPED = "stopped"
    """The device gave a reason: `stop_reason`."""
    ABRUPT = "abrupt"
    """From charging power to nothing between two readings, and nobody says why. Mostly
    somebody pulled the plug; but a charger that trips on a burning battery looks the same."""
    LOST = "lost"
    """It was not heard how it ended."""


class Session(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One charge. Powers are active watts at the socket; moments are of our own clock."""

    began_at: datetime
    """The first charging power (for one that has had none yet: the plug)."""
    phase: Phase = Phase.PLUGGED
    since: datetime
    """When the present phase began."""
    at: datetime
    """The last reading of power ..."""
    power_w: float = 0.0
    """... and what it was."""
    level_w: float = 0.0
    """The power that is held: no single reading moves it out of its band."""
    charging_w: float = 0.0
    """The highest level so far, which is the plateau; 0: it has not charged yet."""
    peak_w: float = 0.0
    """The highest power of two readings in a row."""
    drawn_kwh: float = 0.0
    """Energy integrated from power; what flowed in long gaps is not in it."""
    counter_kwh: float | None = None
    """The device's own counter when last heard, if it has one ..."""
    counted_from_kwh: float = 0.0
    """... and where it stood when the session began (below 0 if it began anew since)."""
    held_w: float = 0.0
    """Since `held_since`, power has not fallen by a fifth of this; a float, by a third."""
    held_since: datetime
    leaving_w: float | None = None
    """What was read beside the level's band, always on one side, since `leaving_since`."""
    leaving_since: datetime | None = None
    leaving_seen: bool = False
    """It left from its level between two readings that were close to each other."""
    stepped_from_w: float | None = None
    """What was drawn before power rose above the plateau, at `stepped_at`, and stayed there:
    the level if the rise was seen, else the plateau."""
    stepped_at: datetime | None = None
    low_since: datetime | None = None
    """When power fell below any charging power; None while it charges."""
    felt_c: float | None = None
    """The socket's temperature, as last heard since then ..."""
    warm_c: float | None = None
    """... the lower of the last two, so that no single reading is warm ..."""
    coolest_c: float | None = None
    """... and the coolest that two in a row have shown."""
    ending: Ending | None = None
    stop_reason: str = ""
    """The device's own word, as it came."""
    ended_at: datetime | None = None
    """The last charging power was before this; None: the session goes on."""

    @property
    def is_open(self) -> bool:
        return self.ended_at is None

    @property
    def has_charged(self) -> bool:
        """Say whether it is more than a plug in a socket, or a single reading."""
        return self.charging_w > 0

    @property
    def duration(self) -> timedelta:
        return (self.ended_at or self.at) - self.began_at

    @property
    def energy_kwh(self) -> float:
        """What the device has counted if that can be true, else the integral of the power.

        A counter that restarts, or whose unit was taken wrong, is not believed.
        """
        if self.counter_kwh is None:
            return self.drawn_kwh
        counted = self.counter_kwh - self.counted_from_kwh
        hours = self.duration / timedelta(hours=1)
        most_kwh = self.peak_w * hours / 1000 + METER_SLACK_KWH
        if self.drawn_kwh / 2 - METER_SLACK_KWH <= counted <= most_kwh:
            return counted
        return self.drawn_kwh


class EndedSession(msgspec.Struct, frozen=True, kw_only=True):
    """One session for the record. The device, the socket and `began_at` name it."""

    device: DeviceId
    channel: int | None
    site: str
    began_at: datetime
    ended_at: datetime
    energy_kwh: float
    peak_w: float
    charging_w: float
    phase: Phase
    """The last one."""
    ending: Ending
    stop_reason: str
