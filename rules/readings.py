"""What devices tell us, in the words that every part of chargewatch uses.

The quantities and their units are those of the wire-format table in docs/messages.md; a
quantity that a message does not mention is None, which never means zero.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, NewType

import msgspec

DeviceId = NewType("DeviceId", str)


class Kind(StrEnum):
    """What a device is for; it decides which rules look at it."""

    CHARGER = "charger"
    SMOKE = "smoke"
    UNKNOWN = "unknown"


class Standing(StrEnum):
    """What a message may do: only a live one is a sign of life and can raise an alarm."""

    LIVE = "live"
    RETAINED = "retained"
    """The broker kept it; nobody knows since when."""
    LATE = "late"
    """Sent after the event, from a buffer. It goes to the history only."""


class ClockState(StrEnum):
    """Where the time of a message comes from."""

    DEVICE = "device"
    """The device's own clock, within tolerance of the arrival."""
    ARRIVAL = "arrival"
    """The device gave no time; its arrival stands in."""
    WRONG = "wrong"
    """The device gave a time that cannot be true; its arrival stands in."""


Text = Annotated[str, msgspec.Meta(max_length=200)]
Channel = Annotated[int, msgspec.Meta(ge=1, le=256)]
Measured = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
"""Wide enough for any meter: plausibility is a rule's business, infinity is nobody's."""


class Reading(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """What one message says about one socket, or (channel None) about the whole device.

    `channel` counts sockets from 1. This struct is also an element of the native wire
    format and of the journal: a quantity, once named, keeps its name and its unit.
    """

    channel: Channel | None = None
    power_w: Measured | None = None
    """Active power; negative when feeding back."""
    current_a: Measured | None = None
    voltage_v: Measured | None = None
    """Mains voltage, never that of a battery or a chip."""
    energy_kwh: Measured | None = None
    """A running counter, which may restart from 0."""
    relay_on: bool | None = None
    device_temperature_c: Measured | None = None
    ambient_temperature_c: Measured | None = None
    smoke_alarm: bool | None = None
    battery_pct: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    battery_low: bool | None = None
    tamper: bool | None = None
    self_test: bool | None = None
    """True while the device tests itself: its smoke is no fire."""
    muted: bool | None = None
    online: bool | None = None
    """Said by a birth or a last will; any other reading proves life as well."""
    overpower: bool | None = None
    overtemperature: bool | None = None
    fault: Text | None = None
    """The device's own code or words for what is wrong; an empty text: nothing is."""
    port_state: Text | None = None
    session_energy_kwh: Measured | None = None
    session_duration_s: Measured | None = None
    stop_reason: Text | None = None
    signal_pct: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    """How well the device is received: 0 not at all, 100 as well as can be."""
    firmware: Text | None = None


QUANTITIES = tuple(name for name in Reading.__struct_fields__ if name != "channel")
"""The canonical names, in the order in which they are stored and shown."""


class Report(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """One understood message of one device: everything it says, at one moment (UTC)."""

    device: DeviceId
    at: datetime
    received_at: datetime
    identity: str
    """Tells this message from every other of the device; its replay has the same."""
    readings: tuple[Reading, ...]
    standing: Standing = Standing.LIVE
    clock: ClockState = ClockState.DEVICE
    claimed_at: datetime | None = None
    """What the device's clock showed, believed or not."""
