"""Clocks that are wrong."""

from datetime import datetime, timedelta
from random import Random
from typing import Annotated, ClassVar, Literal

import msgspec

from simulator.clocks import ClockFault
from simulator.faults.fault import Fault, Target, late
from simulator.scene import Scene, Subject
from simulator.words import Length, length

ZONE_OFF = timedelta(hours=8)
"""China's, which a device that sends local time as UTC is ahead by."""


class _WrongClock(Fault, frozen=True, kw_only=True):
    """The time in a device's messages is not the time."""

    set_after: Length | None = None
    """When somebody sets it right; if not given: never."""
    kind: Literal["any", "pile", "sensor"] = "pile"
    target: ClassVar[Target] = "device"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = None if self.set_after is None else at + length(self.set_after)
        scene.on[subject.device].clock.append(self._fault(at, until))
        limits, wrong_at = scene.limits, self._wrong_at(scene, at, subject)
        allowed = limits.length("clock_after")
        lasts = (until or scene.ends) - wrong_at
        if lasts <= allowed:
            scene.trap(subject, self._name, at, until or scene.ends, "clock_wrong", "silence")
            return
        scene.happened(
            subject,
            self._name,
            severity="warning",
            begins=at,
            ends=until,
            onset=at,
            earliest=wrong_at,
            latest=wrong_at + allowed + late(subject) + subject.beat,
            expected_rules=("clock_wrong",),
            must_not_rules=("silence",),
        )

    @property
    def _name(self) -> str:
        return str(type(self).__struct_config__.tag)

    def _fault(self, at: datetime, until: datetime | None) -> ClockFault:
        raise NotImplementedError

    def _wrong_at(self, scene: Scene, at: datetime, subject: Subject) -> datetime:  # noqa: ARG002
        """Return when it is further off than is allowed."""
        return at


class ClockRestarted(_WrongClock, frozen=True, kw_only=True):
    """A clock shows 1970 after a start, until it is set."""

    source: ClassVar[str] = "AP3000: 1970-01-01 08:00 after power-up until synced"

    def _fault(self, at: datetime, until: datetime | None) -> ClockFault:
        return ClockFault(since=at, until=until, restarts=True)


class ClockSkewed(_WrongClock, frozen=True, kw_only=True):
    """A clock is off by always the same."""

    minutes_ahead: Annotated[float, msgspec.Meta(ge=-100_000, le=100_000)] = 45.0
    """Negative: behind."""
    source: ClassVar[str] = "SentryGuard #210: 80 s were seen; 5 min is the tolerance"

    def _fault(self, at: datetime, until: datetime | None) -> ClockFault:
        return ClockFault(since=at, until=until, off=timedelta(minutes=self.minutes_ahead))

    def _wrong_at(self, scene: Scene, at: datetime, subject: Subject) -> datetime:
        off = timedelta(minutes=self.minutes_ahead) + scene.clock_off(subject.device)
        allowed = -scene.limits.length("clock_behind") <= off
        allowed = allowed and off <= scene.limits.length("clock_ahead")
        return scene.ends if allowed else at


class ClockDrifting(_WrongClock, frozen=True, kw_only=True):
    """A clock gains or loses more every day."""

    minutes_a_day: Annotated[float, msgspec.Meta(ge=-1440, le=1440)] = 4.0
    """Negative: it loses."""
    source: ClassVar[str] = "ours: a quartz drifts by seconds a day, a broken one by minutes"

    def _fault(self, at: datetime, until: datetime | None) -> ClockFault:
        return ClockFault(since=at, until=until, a_day=timedelta(minutes=self.minutes_a_day))

    def _wrong_at(self, scene: Scene, at: datetime, subject: Subject) -> datetime:
        off, a_day = scene.clock_off(subject.device), timedelta(minutes=self.minutes_a_day)
        gains = a_day > timedelta(0)
        limit = scene.limits.length("clock_ahead" if gains else "clock_behind")
        left = limit - off if gains else limit + off
        return at + timedelta(days=1) * (left / abs(a_day))


class ClockLocal(_WrongClock, frozen=True, kw_only=True):
    """A device sends local time, and says that it is UTC."""

    source: ClassVar[str] = "Tasmota: its time is local and says no zone"

    def _fault(self, at: datetime, until: datetime | None) -> ClockFault:
        return ClockFault(since=at, until=until, off=ZONE_OFF)


def restarted(since: datetime, until: datetime) -> ClockFault:
    """Return the fault of a clock that shows 1970 until it is set."""
    return ClockFault(since=since, until=until, restarts=True)
