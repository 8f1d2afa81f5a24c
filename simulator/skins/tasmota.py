"""The skin of a power strip with Tasmota: tele/…/SENSOR, STATE and LWT, stat/…, cmnd/….

As Tasmota does by default: whole watts and volts, milliamperes, local time without a zone. Its
meter shows all figures socket by socket (SetOption129 and 150). It has no words for plugs,
sessions, what a socket is doing, or the warmth of one socket, and keeps nothing back.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import msgspec

from ingest.codecs.native import Command, Reply, Status, Telemetry
from rules.readings import Kind, Reading
from simulator.emissions import Emission
from simulator.skins.skin import again, meaningless, said

METER: dict[str, tuple[str, Callable[[float], float]]] = {
    "Total": ("energy_kwh", lambda kwh: round(kwh, 3)),
    "Power": ("power_w", round),
    "Voltage": ("voltage_v", round),
    "Current": ("current_a", lambda amperes: round(amperes, 3)),
}
"""Its keys, what they show, and how finely."""
LEVEL_BETWEEN, WORST_DBM = "_", -100
"""A Topic is one level; no part of our names has such a character."""
UNKNOWN = msgspec.json.encode({"Command": "Unknown"})
_relay = re.compile(r"POWER([1-9]\d?)?", re.ASCII)
SWITCHES = {b"ON": "switch_on", b"1": "switch_on", b"OFF": "switch_off", b"0": "switch_off"}
ASKS = frozenset({"STATE", "STATUS"})


class TasmotaSkin(msgspec.Struct, frozen=True):
    """One pile as a strip of so many relays."""

    device: str
    kind: Kind
    sockets: int
    zone: ZoneInfo

    dialect: ClassVar[str] = "tasmota"
    hears: ClassVar[tuple[str, ...]] = ("cmnd/+/+",)
    bridge: ClassVar[str] = ""

    @property
    def name(self) -> str:
        return self.device.replace("/", LEVEL_BETWEEN)

    def own_ears(self) -> tuple[str, ...]:
        return (f"cmnd/{self.name}/+",)

    @staticmethod
    def addressed(topic: str) -> str | None:
        match topic.split("/"):
            case ["cmnd", name, _]:
                return name.replace(LEVEL_BETWEEN, "/")
            case _:
                return None

    def order(self, topic: str, payload: bytes, number: int) -> bytes:
        what = topic.rpartition("/")[2].upper()
        relay, word = _relay.fullmatch(what), payload.strip().upper()
        if what in ASKS or (relay is not None and not word):
            return msgspec.json.encode(Command(f"{number}", "report_now"))
        if relay is None or word not in SWITCHES:
            return meaningless(number)
        switch, channel = SWITCHES[word], int(relay[1] or 1)
        command = Command(f"{number}/{switch}/{channel}", switch, channel)  # type: ignore[arg-type]
        return msgspec.json.encode(command)

    def worn(self, emission: Emission) -> Iterator[Emission]:
        match said(emission):
            case Telemetry() as telemetry if not telemetry.buffered:
                time = self._time(telemetry)
                state, sensor = (
                    self._state(telemetry.readings),
                    self._sensor(telemetry.readings),
                )
                yield again(emission, f"tele/{self.name}/STATE", _json(time | state))
                if sensor:
                    yield again(emission, f"tele/{self.name}/SENSOR", _json(time | sensor))
            case Status() as status:
                word = b"Online" if status.online else b"Offline"
                yield again(emission, f"tele/{self.name}/LWT", word, retain=True)
                if status.firmware:
                    info = {"Info1": {"Module": status.model, "Version": status.firmware}}
                    yield again(emission, f"tele/{self.name}/INFO1", _json(info))
            case Reply() as reply:
                yield from self._answered(emission, reply)
            case None:
                yield again(emission, f"tele/{self.name}/SENSOR", emission.payload)
            case _:
                pass  # nothing happens to a plug but what its next report shows

    def _answered(self, emission: Emission, reply: Reply) -> Iterator[Emission]:
        _, _, what = reply.id.partition("/")
        switch, _, channel = what.partition("/")
        if reply.ok and not switch:
            return  # it was asked, and its report is the answer
        result = f"stat/{self.name}/RESULT"
        if not reply.ok:
            yield again(emission, result, UNKNOWN)
            return
        relay, word = self._relay(int(channel)), "ON" if switch == "switch_on" else "OFF"
        yield again(emission, result, _json({relay: word}))
        yield again(emission, f"stat/{self.name}/{relay}", word.encode())

    def _relay(self, channel: int) -> str:
        return f"POWER{channel}" if self.sockets > 1 else "POWER"

    def _time(self, telemetry: Telemetry) -> dict[str, Any]:
        if telemetry.at is None:
            return {}
        return {"Time": f"{telemetry.at.astimezone(self.zone):%Y-%m-%dT%H:%M:%S}"}

    def _state(self, readings: Sequence[Reading]) -> dict[str, Any]:
        state: dict[str, Any] = {
            self._relay(each.channel): "ON" if each.relay_on else "OFF"
            for each in readings
            if each.channel is not None and each.relay_on is not None
        }
        for each in readings:
            if each.channel is None and each.signal_pct is not None:
                percent = round(each.signal_pct)
                state["Wifi"] = {"RSSI": percent, "Signal": WORST_DBM + percent // 2}
        return state

    def _sensor(self, readings: Sequence[Reading]) -> dict[str, Any]:
        by_channel = {each.channel: each for each in readings if each.channel is not None}
        energy: dict[str, Any] = {}
        for key, (quantity, shown) in METER.items():
            values = [
                None if value is None else shown(value)
                for channel in range(1, self.sockets + 1)
                for value in [getattr(by_channel.get(channel), quantity, None)]
            ]
            if any(value is not None for value in values):
                energy[key] = values if self.sockets > 1 else values[0]
        sensor: dict[str, Any] = {"ENERGY": energy} if energy else {}
        for each in readings:
            if each.channel is None and each.device_temperature_c is not None:
                sensor["ANALOG"] = {"Temperature": round(each.device_temperature_c, 1)}
                sensor["TempUnit"] = "C"
        return sensor


def _json(body: dict[str, Any]) -> bytes:
    return msgspec.json.encode(body)
