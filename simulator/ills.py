"""What a tester can do to a device while it runs.

An ill changes what a device says on its way to the broker; the device itself goes on as if
nothing were the matter. So it fits any device of any scenario, it can be ended at any
moment, and what was scheduled goes on beneath it. Each names the alarms that ought to follow.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from ingest.codecs.native import Event, Telemetry
from rules.readings import Kind, Reading
from simulator.emissions import Emission

JOINED_W = 1060.0
"""A second bike on an adapter, with a large charger."""
STUCK_W = 240.0
"""What goes on flowing through a welded relay: a bike that charges."""
MAINS_V = 229.0
HEATS_K_PER_MIN, HOTTEST_K = 20.0, 75.0
"""A contact that is about to burn; a test need not take half an hour."""
LOW_PCT = 4.0
HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Said = list[Emission]


class Ill(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is the matter since `since`; `channel` is the socket, if it has one."""

    since: datetime
    channel: int | None = None

    @property
    def name(self) -> str:
        """The word for it, for people and in the table of keys."""
        return _NAMES[type(self)]

    def at_once(self, device: "Voice") -> Said:  # noqa: ARG002  (most say nothing)
        """Return what the device says because it begins."""
        return []

    def at_last(self, device: "Voice") -> Said:  # noqa: ARG002
        """Return what the device says because it is over."""
        return []

    def changes(self, emission: Emission) -> Said:
        """Return what becomes of a message while it lasts."""
        return [emission]


class Voice(msgspec.Struct, frozen=True):
    """How something is said in a device's name."""

    device: str
    kind: Kind
    now: datetime
    last_will: Emission

    def tell(self, event: Event) -> Emission:
        at = self.now.replace(microsecond=self.now.microsecond // 1000 * 1000)
        payload = msgspec.json.encode(msgspec.structs.replace(event, at=at))
        return Emission(self.now, self.device, f"chargewatch/v1/{self.device}/event", payload)


class Overload(Ill, frozen=True, kw_only=True):
    """Another bike joins on an adapter: the socket shows what both of them draw."""

    def changes(self, emission: Emission) -> Said:
        more_kwh = JOINED_W / 1000 * max(timedelta(0), emission.at - self.since) / HOUR

        def joined(reading: Reading) -> Reading:
            return msgspec.structs.replace(
                reading,
                power_w=round((reading.power_w or 0.0) + JOINED_W, 1),
                current_a=round((reading.current_a or 0.0) + JOINED_W / MAINS_V, 2),
                energy_kwh=_plus(reading.energy_kwh, more_kwh),
                relay_on=True,
                port_state="charging",
            )

        return [_at_socket(emission, self.channel, joined)]


class Welded(Ill, frozen=True, kw_only=True):
    """The socket says that it is off, and current flows all the same."""

    def changes(self, emission: Emission) -> Said:
        def stuck(reading: Reading) -> Reading:
            power_w = max(reading.power_w or 0.0, STUCK_W)
            return msgspec.structs.replace(
                reading,
                power_w=power_w,
                current_a=round(power_w / MAINS_V, 2),
                relay_on=False,
                port_state="cut",
            )

        return [_at_socket(emission, self.channel, stuck)]


class Heating(Ill, frozen=True, kw_only=True):
    """A contact gets hot, quickly."""

    def changes(self, emission: Emission) -> Said:
        minutes = max(0.0, (emission.at - self.since) / timedelta(minutes=1))
        more_k = min(HOTTEST_K, HEATS_K_PER_MIN * minutes)

        def hot(reading: Reading) -> Reading:
            warm_c = (reading.device_temperature_c or 20.0) + more_k
            return msgspec.structs.replace(reading, device_temperature_c=round(warm_c, 1))

        return [_at_socket(emission, self.channel, hot)]


class SmokeSeen(Ill, frozen=True, kw_only=True):
    """The detector sees smoke, and says so at once."""

    def at_once(self, device: Voice) -> Said:
        return [device.tell(Event(event="smoke", temperature_c=31.0))]

    def at_last(self, device: Voice) -> Said:
        return [device.tell(Event(event="smoke", active=False))]

    def changes(self, emission: Emission) -> Said:
        return [_everywhere(emission, lambda r: msgspec.structs.replace(r, smoke_alarm=True))]


class BatteryLow(Ill, frozen=True, kw_only=True):
    def changes(self, emission: Emission) -> Said:
        return [
            _everywhere(emission, lambda r: msgspec.structs.replace(r, battery_pct=LOW_PCT))
        ]


class Silent(Ill, frozen=True, kw_only=True):
    """Nothing that the device says gets through; the broker does not notice either."""

    def changes(self, emission: Emission) -> Said:  # noqa: ARG002
        return []


class CutOff(Silent, frozen=True, kw_only=True):
    """The mains of the whole site are away."""


class Dropped(Silent, frozen=True, kw_only=True):
    """Its connection breaks: the broker says its last will, and then there is silence."""

    def at_once(self, device: Voice) -> Said:
        return [msgspec.structs.replace(device.last_will, last_will=False)]


class ClockAt1970(Ill, frozen=True, kw_only=True):
    """Its clock has started anew, as after a power cut, and nobody has set it."""

    def changes(self, emission: Emission) -> Said:
        try:
            body = msgspec.json.decode(emission.payload, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [emission]
        if "at" not in body:
            return [emission]
        shown = (EPOCH + (emission.at - self.since)).replace(microsecond=0)
        body["at"] = msgspec.Raw(msgspec.json.encode(shown))
        return [msgspec.structs.replace(emission, payload=msgspec.json.encode(body))]


class Garbled(Ill, frozen=True, kw_only=True):
    """Half of every message is missing."""

    def changes(self, emission: Emission) -> Said:
        half = emission.payload[: len(emission.payload) // 2]
        return [msgspec.structs.replace(emission, payload=half)]


def _plus(value: float | None, more: float) -> float | None:
    return None if value is None else round(value + more, 3)


def _at_socket(
    emission: Emission, channel: int | None, change: Callable[[Reading], Reading]
) -> Emission:
    return _changed(
        emission,
        lambda readings: tuple(change(r) if r.channel == channel else r for r in readings),
    )


def _everywhere(emission: Emission, change: Callable[[Reading], Reading]) -> Emission:
    return _changed(emission, lambda readings: tuple(map(change, readings)))


def _changed(
    emission: Emission, change: Callable[[Iterable[Reading]], tuple[Reading, ...]]
) -> Emission:
    """Return telemetry with other readings; everything else, and other dialects, as it is."""
    if not emission.topic.endswith("/telemetry"):
        return emission
    try:
        said = _telemetry.decode(emission.payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return emission
    changed = msgspec.structs.replace(said, readings=change(said.readings))
    return msgspec.structs.replace(emission, payload=msgspec.json.encode(changed))


_telemetry = msgspec.json.Decoder(Telemetry)

_NAMES: dict[type[Ill], str] = {
    Overload: "overload",
    Welded: "welded",
    Heating: "heating",
    SmokeSeen: "smoke",
    BatteryLow: "battery",
    Silent: "silent",
    CutOff: "power_cut",
    Dropped: "dropped",
    ClockAt1970: "clock",
    Garbled: "garbled",
}
