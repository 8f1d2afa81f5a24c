"""Devices that fail: dead, stuck, drifting, empty, tampered with, of another firmware."""

from datetime import datetime, timedelta
from random import Random
from typing import Annotated, ClassVar, Literal

import msgspec

from simulator.batteries import LEAD_ACID_LARGE
from simulator.faults.fault import BatteryName, Fault, Target, WithBike, late
from simulator.hazards import SLACK
from simulator.link_faults import Drifting, OldFirmware, Stuck
from simulator.scene import Scene, Subject
from simulator.smoke_sensors import Telling
from simulator.sockets import FINISHED_W
from simulator.words import Length, Share, length

NEIGHBOURS = timedelta(minutes=2)
"""Time for the others to be missed too: then it is the site, and not the device."""


class DeviceDead(Fault, frozen=True, kw_only=True):
    """A device dies without a word."""

    kind: Literal["any", "pile", "sensor"] = "pile"
    target: ClassVar[Target] = "device"
    source: ClassVar[str] = "ours: silent after 2.5 times its cadence"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        if scene.on[subject.device].dies_at is None:
            scene.on[subject.device].dies(at)
            note_silence(scene, subject, "device_dead", at, None)


class ConnectionLost(Fault, frozen=True, kw_only=True):
    """A device's connection breaks for good, and the broker says so by its last will."""

    kind: Literal["any", "pile", "sensor"] = "sensor"
    target: ClassVar[Target] = "device"
    source: ClassVar[str] = "MQTT: a last will is a hint, silence the proof"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        doing = scene.on[subject.device]
        doing.drops_at, doing.own_connection = at, True
        scene.happened(
            subject,
            "connection_lost",
            severity="warning",
            begins=at,
            earliest=at,
            latest=at + timedelta(minutes=2) + NEIGHBOURS + SLACK,
            expected_rules=("silence",),
        )


class MeterStuck(WithBike, frozen=True, kw_only=True):
    """A meter keeps showing the same figure, whatever flows."""

    battery: BatteryName = LEAD_ACID_LARGE.name
    charge: Share = 0.1
    came_before: Length = "1 h"
    stays: Length = "9 h"
    source: ClassVar[str] = "AP3000: port state 4, cannot meter"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        before, until = length(self.came_before), at + length(self.stays)
        curve = self.curve()
        place = self.plug(scene, subject, at - before, until, curve, chance)
        step = Stuck(since=at, until=until, channel=place.channel)
        scene.on[subject.device].link.append(step)
        charges = curve.power_w(before) >= FINISHED_W
        scene.happened(
            place,
            "meter_stuck",
            severity="warning",
            begins=at,
            ends=until,
            earliest=at + timedelta(minutes=5),
            expected_rules=("stuck_value",) if charges else (),
            must_not_rules=("overload",),
        )


class ThermometerDrift(Fault, frozen=True, kw_only=True):
    """A socket's thermometer shows ever more, though nothing gets warm."""

    an_hour: Annotated[float, msgspec.Meta(gt=0, le=200)] = 4.0
    """Kelvins."""
    lasts: Length = "8 h"
    target: ClassVar[Target] = "socket"
    source: ClassVar[str] = "X10P v029.6 took its stop at 65 °C out: false detection"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:
        channel = subject.channel or chance.randint(1, subject.site.sockets)
        until = at + length(self.lasts)
        step = Drifting(since=at, until=until, channel=channel, an_hour=self.an_hour)
        scene.on[subject.device].link.append(step)
        place = subject._replace(channel=channel)
        scene.trap(place, "thermometer_drift", at, until + timedelta(minutes=10), "fire")


class BatteryLow(Fault, frozen=True, kw_only=True):
    """A detector's battery runs empty."""

    falls: Annotated[float, msgspec.Meta(gt=0, le=100)] = 2.0
    """Per cent a day. It passes the limit at `at`."""
    target: ClassVar[Target] = "sensor"
    source: ClassVar[str] = "ours (docs/policy.md)"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        days = (at - scene.starts) / timedelta(days=1)
        doing, limit_pct = scene.on[subject.device], scene.limits.battery_pct
        doing.battery_falls_pct = min(self.falls, (100 - limit_pct) / max(days, 1e-3))
        doing.battery_pct = limit_pct + days * doing.battery_falls_pct
        scene.happened(
            subject,
            "battery_low",
            severity="warning",
            begins=at,
            earliest=at,
            latest=at + late(subject),
            expected_rules=("sensor_battery",),
        )


class Tampered(Fault, frozen=True, kw_only=True):
    """Somebody takes a detector off the ceiling."""

    lasts: Length = "30 min"
    target: ClassVar[Target] = "sensor"
    source: ClassVar[str] = "Tuya TS0601_smoke_5: tamper"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        until = at + length(self.lasts)
        scene.on[subject.device].tells.append(Telling("tamper", at, until))
        scene.happened(
            subject,
            "tampered",
            severity="warning",
            begins=at,
            ends=until,
            earliest=at,
            latest=at + late(subject),
            expected_rules=("tamper",),
        )


class OldFirmwareHere(Fault, frozen=True, kw_only=True, tag="old_firmware"):
    """A device runs a firmware that says less, without numbers or a time of its own."""

    version: Annotated[str, msgspec.Meta(max_length=40)] = "0.9.7"
    omits: tuple[str, ...] = (
        "relay_on",
        "port_state",
        "session_energy_kwh",
        "session_duration_s",
    )
    numbered: bool = False
    clocked: bool = True
    kind: Literal["any", "pile", "sensor"] = "pile"
    target: ClassVar[Target] = "device"
    source: ClassVar[str] = "AP3000: tail fields grow with the version"

    def happen(self, scene: Scene, at: datetime, subject: Subject, chance: Random) -> None:  # noqa: ARG002
        doing = scene.on[subject.device]
        doing.firmware = self.version
        doing.link.append(
            OldFirmware(
                since=at, omits=self.omits, numbered=self.numbered, clocked=self.clocked
            )
        )


def note_silence(
    scene: Scene, subject: Subject, kind: str, since: datetime, until: datetime | None
) -> None:
    """Write down that a device is not heard; shorter than was agreed on, it is a trap."""
    name = "silent_sensor" if subject.is_sensor else "silent_pile"
    allowed = max(scene.limits.length(name), 2.5 * subject.beat)
    knowable = since + subject.beat
    if until is not None and until - since < allowed:
        scene.trap(subject, kind, since, until, "silence")
        return
    scene.happened(
        subject,
        kind,
        severity="warning",
        begins=since,
        ends=until,
        earliest=knowable,
        latest=since + allowed + subject.beat + NEIGHBOURS + SLACK,
        expected_rules=("silence",),
    )
