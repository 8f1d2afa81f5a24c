"""The skin of a device behind Zigbee2MQTT: zigbee2mqtt/{name}, its availability, …/set.

A pile is a strip with an endpoint for each socket, a detector a smoke alarm. The bridge says
what has changed alone (`cache_state: false`), when it heard of it (`last_seen: ISO_8601`), and
whether a device is there. It has no words for plugs, sessions, what a socket is doing, or the
warmth of one socket; firmware it counts in its own way; and it keeps nothing back.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import msgspec

from ingest.codecs.native import Command, Event, Status, Telemetry
from rules.readings import Kind, Reading
from simulator.emissions import Emission
from simulator.skins.skin import again, meaningless, said

BASE = "zigbee2mqtt"
SOCKETS_MAX = 16
"""A strip's endpoints are called l1 to l16."""
LINK_QUALITY_MAX = 255
SOCKET = {
    "power": "power_w",
    "current": "current_a",
    "voltage": "voltage_v",
    "energy": "energy_kwh",
}
DETECTOR = {
    "smoke": "smoke_alarm",
    "test": "self_test",
    "battery": "battery_pct",
    "battery_low": "battery_low",
    "tamper": "tamper",
    "temperature": "ambient_temperature_c",
}


class Zigbee2MqttSkin(msgspec.Struct, frozen=True):
    """One device; its friendly name is our id."""

    device: str
    kind: Kind
    sockets: int
    zone: ZoneInfo

    dialect: ClassVar[str] = "zigbee2mqtt"
    hears: ClassVar[tuple[str, ...]] = (f"{BASE}/+/+/+/set", f"{BASE}/+/+/+/get")
    bridge: ClassVar[str] = BASE

    @property
    def name(self) -> str:
        return self.device

    def own_ears(self) -> tuple[str, ...]:
        return (f"{self._topic}/set", f"{self._topic}/get")

    @staticmethod
    def addressed(topic: str) -> str | None:
        match topic.split("/"):
            case [base, area, site, device, "set" | "get"] if base == BASE:
                return f"{area}/{site}/{device}"
            case _:
                return None

    def order(self, topic: str, payload: bytes, number: int) -> bytes:
        if topic.endswith("/get"):
            return msgspec.json.encode(Command(f"{number}", "report_now"))
        try:
            wanted = msgspec.json.decode(payload, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return meaningless(number)
        for channel in range(1, self.sockets + 1):
            word = str(wanted.get(self._key("state", channel))).upper()
            if word in {"ON", "OFF"}:
                order = "switch_on" if word == "ON" else "switch_off"
                return msgspec.json.encode(Command(f"{number}", order, channel))  # type: ignore[arg-type]
        return meaningless(number)

    def worn(self, emission: Emission) -> Iterator[Emission]:
        body: dict[str, Any] = {}
        match said(emission):
            case Telemetry() as telemetry if not telemetry.buffered:
                for reading in telemetry.readings:
                    body |= self._read(reading)
                yield from self._stated(emission, body, telemetry.at)
            case Event() as event if not event.buffered:
                yield from self._stated(emission, _happened(event), event.at)
            case Status() as status:
                there = {"state": "online" if status.online else "offline"}
                topic, payload = f"{self._topic}/availability", msgspec.json.encode(there)
                word = again(emission, topic, payload, retain=True)
                # The bridge says it, whose own connection stands: it is nobody's last will.
                yield msgspec.structs.replace(word, last_will=False)
            case None:
                yield again(emission, self._topic, emission.payload)
            case _:
                pass  # an order has no answer but the state that it leads to

    @property
    def _topic(self) -> str:
        return f"{BASE}/{self.name}"

    def _stated(
        self, emission: Emission, body: dict[str, Any], at: datetime | None
    ) -> Iterator[Emission]:
        if not body:
            return
        if at is not None:
            seen = at.astimezone(UTC).isoformat(timespec="milliseconds")
            body["last_seen"] = seen.replace("+00:00", "Z")
        yield again(emission, self._topic, msgspec.json.encode(body))

    def _key(self, base: str, channel: int) -> str:
        return f"{base}_l{channel}" if self.sockets > 1 else base

    def _read(self, reading: Reading) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if reading.channel is not None:
            if reading.relay_on is not None:
                state = "ON" if reading.relay_on else "OFF"
                found[self._key("state", reading.channel)] = state
            for key, quantity in SOCKET.items():
                value = getattr(reading, quantity)
                if value is not None:
                    found[self._key(key, reading.channel)] = value
            return found
        for key, quantity in DETECTOR.items() if self.kind is Kind.SMOKE else ():
            value = getattr(reading, quantity)
            if value is not None:
                found[key] = value
        if reading.device_temperature_c is not None:
            found["device_temperature"] = reading.device_temperature_c
        if reading.fault is not None:
            found["fault"] = reading.fault or False
        if reading.signal_pct is not None:
            found["linkquality"] = round(reading.signal_pct * LINK_QUALITY_MAX / 100)
        return found


def _happened(event: Event) -> dict[str, Any]:
    """Return what an event is among the states of a device; nothing, if there is no word."""
    match event.event:
        case "smoke":
            smoke: dict[str, Any] = {"smoke": event.active}
            if event.temperature_c is not None:
                smoke["temperature"] = event.temperature_c
            return smoke
        case "tamper":
            return {"tamper": event.active}
        case "self_test":
            return {"test": event.active}
        case "fault":
            return {"fault": (event.detail or "fault") if event.active else False}
        case _:
            return {}


class Bridge:
    """The bridge itself, which says that it is there."""

    kind = Kind.UNKNOWN
    own_connection = False
    skin = None
    id = BASE

    def __init__(self, starts: datetime) -> None:
        self._next_at: datetime | None = starts

    def next_at(self) -> datetime | None:
        return self._next_at

    def act(self) -> list[Emission]:
        at, self._next_at = self._next_at, None
        return [] if at is None else [self._state(at, "online")]

    def obey(self, payload: bytes, now: datetime) -> list[Emission]:  # noqa: ARG002
        return []

    def last_will(self, at: datetime) -> Emission:
        will = self._state(at, "offline")
        return msgspec.structs.replace(will, last_will=True)

    def _state(self, at: datetime, state: str) -> Emission:
        payload = msgspec.json.encode({"state": state})
        return Emission(at, self.id, f"{BASE}/bridge/state", payload, retain=True)
