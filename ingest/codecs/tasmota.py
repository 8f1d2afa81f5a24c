"""Tasmota: smart plugs and relays with energy metering, `tele/{plug}/SENSOR` and its kin.

One plug speaks on many topics, each with a part of the picture; only `LWT` is retained by
default. What a message does not mention has not changed. A message tells how many sockets
its device meters: several if any electrical value is a list, else one.
"""

import re
from collections.abc import Container
from functools import lru_cache
from typing import cast

import msgspec

from ingest.codecs.loose import (
    Gathered,
    moment,
    number,
    parsed_object,
    percentage,
    signal_of_dbm,
    word,
    words,
)
from ingest.wire import Ignored, Message, Profile, Refusal, Rejected, Said, Switch, bad_name
from rules.readings import Reading

ENERGY = {
    "Power": "power_w",
    "Current": "current_a",
    "Voltage": "voltage_v",
    "Total": "energy_kwh",
}
"""Keys of a meter. Period is Wh, and TotalStartTime the day of the last counter reset."""
CLAMP = {**ENERGY, "Energy": "energy_kwh"}
PER_SOCKET = (*ENERGY, "ApparentPower", "ReactivePower", "Factor", "Frequency")
"""A list in any of these shows a meter of several sockets."""

DEVICE_TEMPERATURES = (
    ("ANALOG", "Temperature"),
    ("ANALOG", "Temperature1"),
    ("ENERGY", "BL09XX", "Temperature"),
    ("ESP32", "Temperature"),
)
"""Inside the case, the best place first: a thermistor, the meter's chip, the processor."""
AMBIENT_SENSORS = frozenset(
    "AHT1X AHT2X AM2301 AM2320 BME280 BME680 BMP180 BMP280 DHT11 DHT22 "  # noqa: SIM905
    "DS18B20 DS18S20 HDC1080 HTU21 LM75AD MCP9808 SCD30 SCD40 SHT3X SHT4X SHTC3 SI7021".split()
)
"""Probes on a wire. A second one of a kind is called DS18B20-2 or SHT3X-0x45."""

READ = frozenset(
    {"LWT", "SENSOR", "STATE", "RESULT", "WARNING", "ENERGY", "STATUS8", "STATUS10", "STATUS11"}
    | {"INFO1", "STATUS2"}
)
DISCOVERY = "tasmota/discovery/"

_relay = re.compile(r"POWER([1-9]\d{0,2})?", re.ASCII)
_overpower = re.compile(r"MaxPowerReached(?:Retry|([1-9]\d{0,2}))?", re.ASCII)
_clamp = re.compile(r"CTEnergy([1-9]\d{0,2})?", re.ASCII)
_placeholder = re.compile(r"%(prefix|topic|hostname|id)%")


class Tasmota(msgspec.Struct, frozen=True):
    """The dialect with the settings FullTopic, Prefix1..3, StateText1..2 of its devices."""

    name: str = "tasmota"
    names_matter: bool = False
    full_topic: str = "%prefix%/%topic%/"
    prefixes: tuple[str, str, str] = ("cmnd", "stat", "tele")
    state_words: tuple[str, str] = ("OFF", "ON")
    presence_words: tuple[str, str] = ("Offline", "Online")
    urgent_filters: tuple[str, ...] = ()
    """None: a warning tells of a plug that has switched itself off already."""

    def __post_init__(self) -> None:
        if "%topic%" not in self.full_topic or set(self.full_topic) & set("+#"):
            raise ValueError(f"not a Tasmota FullTopic: {self.full_topic!r}")

    @property
    def filters(self) -> tuple[str, ...]:
        levels = f"{self.full_topic.rstrip('/')}/+".split("/")
        return tuple(
            dict.fromkeys(
                "/".join(
                    prefix if level == "%prefix%" else "+" if "%" in level else level
                    for level in levels
                )
                for prefix in self.prefixes[1:]
            )
        )

    def address(self, topic: str, known: Container[str]) -> str | Rejected | Ignored | None:  # noqa: ARG002
        if topic.startswith(DISCOVERY):
            return Ignored("discovery")
        match = _shape(self.full_topic, self.prefixes).fullmatch(topic)
        if match is None:
            return None
        found = match.groupdict()
        if found.get("prefix") == self.prefixes[0]:
            return Ignored("a command")
        if found["branch"] not in READ and not _relay.fullmatch(found["branch"]):
            # Without a prefix in it, the pattern fits the topics of others as well.
            return Ignored("nothing is read from it") if "prefix" in found else None
        if wrong := bad_name(found["topic"]):
            return Rejected(Refusal.BAD_NAME, wrong)
        return found["topic"]

    def decode(
        self,
        message: Message,
        name: str,  # noqa: ARG002
        profile: Profile,
    ) -> Said | Rejected | Ignored:
        if not message.payload:
            return Ignored("a retained message was deleted, or a command at the start")
        branch = message.topic.rpartition("/")[2]
        if branch == "LWT":
            return self._presence(message.payload)
        relay = _relay.fullmatch(branch)
        if relay and not message.payload.lstrip().startswith(b"{"):
            return self._switched(_number_in(relay), message.payload)
        body = parsed_object(message.payload)
        if isinstance(body, Rejected):
            return body
        block = _block(body, "StatusSNS") or _block(body, "StatusSTS") or body
        gathered = Gathered()
        match branch:
            case "SENSOR" | "STATUS8" | "STATUS10":
                _note_sensors(block, gathered)
            case "ENERGY":  # before firmware 5
                _note_meter(block, gathered)
            case "WARNING":
                _note_warning(block, gathered)
            case "INFO1" | "STATUS2":
                about = _block(body, "Info1") or _block(body, "StatusFWR") or body
                gathered.note(None, "firmware", words(about.get("Version")))
            case _:
                self._note_state(block, gathered)
        return Said(gathered.readings(), moment(block.get("Time"), profile.zone))

    def command(self, name: str, switch: Switch) -> tuple[str, bytes] | None:
        """Return cmnd/…/POWER<n>; it has no id and no reply, but the relay reports itself."""
        folder = self.full_topic.rstrip("/")
        topic = folder.replace("%prefix%", self.prefixes[0]).replace("%topic%", name)
        if "%" in topic or "%prefix%" not in folder:
            return None  # %hostname% and %id% are the device's own, and commands need a prefix
        return f"{topic}/POWER{switch.channel or 1}", b"ON" if switch.on else b"OFF"

    def _presence(self, payload: bytes) -> Said | Rejected:
        online = _which(payload, self.presence_words)
        if online is None:
            return Rejected(Refusal.WRONG_TYPE, f"none of {self.presence_words}")
        return Said((Reading(online=online),), presence_only=True)

    def _switched(self, channel: int, payload: bytes) -> Said | Rejected:
        relay_on = _which(payload, self.state_words)
        if relay_on is None:
            return Rejected(Refusal.WRONG_TYPE, f"none of {self.state_words}")
        gathered = Gathered()
        gathered.note(channel, "relay_on", relay_on)
        return Said(gathered.readings())

    def _note_state(self, block: dict[str, object], gathered: Gathered) -> None:
        for key, value in block.items():
            relay = _relay.fullmatch(key)
            if relay and isinstance(value, str):
                relay_on = _which(value.encode(errors="replace"), self.state_words)
                gathered.note(_number_in(relay), "relay_on", relay_on)
        gathered.note(None, "battery_pct", percentage(block.get("BatteryPercentage")))
        wifi = _block(block, "Wifi")
        gathered.note(None, "signal_pct", percentage(wifi.get("RSSI")))  # it means percent
        gathered.note(None, "signal_pct", signal_of_dbm(wifi.get("Signal")))


def _note_sensors(block: dict[str, object], gathered: Gathered) -> None:
    _note_meter(_block(block, "ENERGY"), gathered)
    for key, value in _block(block, "ANALOG").items():
        clamp = _clamp.fullmatch(key)
        if clamp and isinstance(value, dict):
            for inner, quantity in CLAMP.items():
                gathered.note(_number_in(clamp), quantity, number(value.get(inner)))
    fahrenheit = word(block.get("TempUnit")) == "f"
    for *path, key in DEVICE_TEMPERATURES:
        inside = block
        for step in path:
            inside = _block(inside, step)
        gathered.note(None, "device_temperature_c", _celsius(inside.get(key), fahrenheit))
    for key in block:
        if re.split("[-_]", key, maxsplit=1)[0] in AMBIENT_SENSORS:
            ambient = _celsius(_block(block, key).get("Temperature"), fahrenheit)
            gathered.note(None, "ambient_temperature_c", ambient)


def _note_meter(energy: dict[str, object], gathered: Gathered) -> None:
    """Book lists socket by socket; beside a list, what is no list is shared or a sum."""
    several = any(_length(energy.get(key)) > 1 for key in PER_SOCKET)
    for key, quantity in ENERGY.items():
        value = energy.get(key)
        if isinstance(value, list):
            for channel, element in enumerate(value, start=1):
                gathered.note(channel, quantity, number(element))
        else:
            gathered.note(None if several else 1, quantity, number(value))


def _note_warning(block: dict[str, object], gathered: Gathered) -> None:
    for key, value in block.items():
        overpower = _overpower.fullmatch(key)
        if overpower and value is not None:  # watts, or OFF when it has given up trying again
            gathered.note(_number_in(overpower), "overpower", True)


def _block(block: dict[str, object], key: str) -> dict[str, object]:
    inner = block.get(key)
    return cast("dict[str, object]", inner) if isinstance(inner, dict) else {}


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _number_in(match: re.Match[str]) -> int:
    """Return the socket in a key like POWER2; a key without number is of a single one."""
    return int(match[1] or 1)


def _which(payload: bytes, no_and_yes: tuple[str, str]) -> bool | None:
    """Compare without regard to case: LWT and StateText are typed in by people."""
    said = payload.decode(errors="replace").strip().casefold()
    no, yes = (known.casefold() for known in no_and_yes)
    return said == yes if said in {no, yes} else None


def _celsius(value: object, fahrenheit: bool) -> float | None:
    temperature = number(value)
    if temperature is None or not fahrenheit:
        return temperature
    return round((temperature - 32) / 1.8, 2)


@lru_cache(maxsize=32)
def _shape(full_topic: str, prefixes: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of the topics that FullTopic and the branch after it make."""
    named: set[str] = set()

    def group(match: re.Match[str]) -> str:
        placeholder = match[1]
        if placeholder in named:
            return f"(?P={placeholder})"
        named.add(placeholder)
        any_of = "|".join(map(re.escape, prefixes)) if placeholder == "prefix" else "[^/]+"
        return f"(?P<{placeholder}>{any_of})"

    pattern = _placeholder.sub(group, re.escape(full_topic.rstrip("/")))
    return re.compile(f"{pattern}/(?P<branch>[^/]+)")
