"""Takes people and places out of messages, and leaves what the rules look at.

Nothing is let through because it looks harmless. A message is made anew from what is known
of its dialect: names become pseudonyms, numbers and times stay, words stay only if they are
words of ours, and everything else is not there any more.
"""

import re
from collections.abc import Callable, Mapping

import msgspec

from api.tape.pseudonyms import Pseudonyms
from api.tape.scrubbing import scrubbed
from api.tape.taken import Taken
from ingest.codecs import native, tasmota, zigbee2mqtt
from ingest.codecs.native import Command, Event, Native, Reply, Status, Telemetry
from ingest.codecs.tasmota import Tasmota
from ingest.codecs.zigbee2mqtt import Zigbee2Mqtt
from ingest.wire import Ignored, Rejected
from rules.catalog.device_fault import FAULTY
from rules.readings import Reading

PORT_STATES = FAULTY | {
    *("idle", "plugged", "unplugged", "charging", "finished", "cut", "available", "occupied")
}
FAULT, STOPPED = "fault", "stopped"
"""What stands for words that are not ours, where a rule asks whether there are any."""
UNREADABLE = "unreadable"
UNKNOWN_TOPIC = "a topic of no dialect"
NAMES_MAX = 100_000
"""Devices of Zigbee2MQTT that are remembered, to know their attributes' topics."""

_relay = re.compile(r"POWER([1-9]\d{0,2})?", re.ASCII)


class Anonymiser:
    """One key's view of messages. It remembers which Zigbee devices there are, and no more."""

    def __init__(self, key: bytes) -> None:
        self._names = Pseudonyms(key)
        self._known: set[str] = set()
        self._dialects: tuple[Callable[[Taken], Taken | str | None], ...] = (
            self._native,
            self._tasmota,
            self._zigbee,
        )

    def __call__(self, taken: Taken) -> Taken | str:
        """Return the message without names and places, or why nothing of it is left."""
        for dialect in self._dialects:
            found = dialect(taken)
            if found is not None:
                return found
        return UNKNOWN_TOPIC

    # --- our own format -----------------------------------------------------------------

    def _native(self, taken: Taken) -> Taken | str | None:
        levels = taken.topic.split("/")
        if tuple(levels[:2]) != native.ROOT:
            return None
        if len(levels) != native.LEVELS or levels[5] not in native.BRANCHES:
            return "a topic of no branch"
        if isinstance(Native().address(taken.topic, ()), Rejected):
            return "a name that is none"
        area, site, device, branch = levels[2:]
        hidden = self._names.device(area, site, device)
        topic = "/".join((*native.ROOT, *hidden, branch))
        if not taken.payload:
            return _anew(taken, topic, b"")
        try:
            body = msgspec.json.decode(taken.payload, type=native.BRANCHES[branch])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return UNREADABLE
        return _anew(taken, topic, msgspec.json.encode(self._body(body, (area, site, device))))

    def _body(self, body: object, who: tuple[str, str, str]) -> object:
        """Return the same of a body; its type says which fields there are."""
        match body:
            case Telemetry():
                readings = tuple(map(_reading, body.readings))
                return self._numbered(msgspec.structs.replace(body, readings=readings), who)
            case Event():
                detail = FAULT if body.detail else ""
                return self._numbered(msgspec.structs.replace(body, detail=detail), who)
            case Status():
                return self._numbered(msgspec.structs.replace(body, model="", firmware=""), who)
            case Command():
                return msgspec.structs.replace(body, id=self._names.of("order", body.id))
            case Reply():
                return Reply(self._names.of("order", body.id), body.ok)
            case _:
                raise TypeError(body)

    def _numbered(
        self, body: Telemetry | Event | Status, who: tuple[str, str, str]
    ) -> Telemetry | Event | Status:
        """Hide what a device says of itself: its name, and the name of its start."""
        area, site, _ = who
        said = body.device
        hidden = None if said is None else self._names.device(area, site, said)[2]
        boot = self._names.of("boot", "/".join((*who, body.boot))) if body.boot else ""
        return msgspec.structs.replace(body, boot=boot, device=hidden)

    # --- the others ---------------------------------------------------------------------

    def _tasmota(self, taken: Taken) -> Taken | str | None:
        codec = Tasmota()
        name = codec.address(taken.topic, ())
        if not isinstance(name, str):
            return _why(name)
        prefix, _, branch = taken.topic.partition("/")[0], "", taken.topic.rpartition("/")[2]
        if branch in {"INFO1", "STATUS2"} or not (
            branch in tasmota.READ or _relay.fullmatch(branch)
        ):
            return "nothing is read from it"
        payload = scrubbed(taken.payload, is_tasmota_key, TASMOTA_WORDS)
        if payload is None:
            return UNREADABLE
        return _anew(taken, f"{prefix}/{self._names.of('plug', name)}/{branch}", payload)

    def _zigbee(self, taken: Taken) -> Taken | str | None:
        codec = Zigbee2Mqtt()
        name = codec.address(taken.topic, self._known)
        if not isinstance(name, str):
            return _why(name)
        rest = taken.topic.removeprefix(f"{codec.base}/{name}").removeprefix("/")
        if rest and rest != "availability" and rest not in zigbee2mqtt.KEYS:
            return "nothing is read from it"
        if (
            not rest
            and taken.payload.lstrip().startswith(b"{")
            and len(self._known) < NAMES_MAX
        ):
            self._known.add(name)
        payload = scrubbed(taken.payload, is_zigbee_key, ZIGBEE_WORDS, INSTEAD)
        if payload is None:
            return UNREADABLE
        topic = f"{codec.base}/{self._names.of('device', name)}"
        return _anew(taken, f"{topic}/{rest}" if rest else topic, payload)


def _reading(reading: Reading) -> Reading:
    """Return a reading without a device's own words."""
    fault, port, stop = reading.fault, reading.port_state, reading.stop_reason
    return msgspec.structs.replace(
        reading,
        fault=fault if not fault or fault in FAULTY else FAULT,
        port_state=port if port in PORT_STATES else None,
        stop_reason=STOPPED if stop else stop,
        firmware=None,
    )


def _anew(taken: Taken, topic: str, payload: bytes) -> Taken:
    """Return the message with nothing of the old one but its times and flags."""
    return Taken(
        topic,
        payload,
        taken.received_at,
        taken.retained,
        taken.again,
        taken.qos,
        taken.retain,
    )


def _why(found: Ignored | Rejected | None) -> str | None:
    if found is None:
        return None
    return found.why if isinstance(found, Ignored) else "a name that is none"


# --- what is known of the other dialects ------------------------------------------------

TASMOTA_KEYS = frozenset(
    {*tasmota.PER_SOCKET, *tasmota.CLAMP, "Yesterday", "Today", "Period"}
    | {"ENERGY", "ANALOG", "BL09XX", "ESP32", "Temperature", "Temperature1", "TempUnit"}
    | {"Time", "StatusSNS", "StatusSTS", "BatteryPercentage", "Wifi", "RSSI", "Signal"}
)
TASMOTA_WORDS: Mapping[str, str] = {
    word.casefold(): word for word in ("ON", "OFF", "Online", "Offline", "C", "F")
}
_numbered_key = re.compile(
    r"(POWER|MaxPowerReached|CTEnergy)[1-9]\d{0,2}|POWER|CTEnergy|MaxPowerReached(Retry)?",
    re.ASCII,
)
_probe = re.compile(r"([A-Z0-9]{4,7})([-_](\d{1,2}|0x[0-9A-F]{2}))?", re.ASCII)


def is_tasmota_key(key: str) -> bool:
    """Say whether a key is Tasmota's own, and no name that somebody gave."""
    probe = _probe.fullmatch(key)
    return (
        key in TASMOTA_KEYS
        or _numbered_key.fullmatch(key) is not None
        or (probe is not None and probe[1] in tasmota.AMBIENT_SENSORS)
    )


INSTEAD: Mapping[str, str] = {
    **dict.fromkeys((*zigbee2mqtt.FAULTS, *zigbee2mqtt.BREAKER_FAULTS), FAULT),
    **dict.fromkeys(("test", "self_test", "selftest"), "idle"),
}
"""Keys where any word says something (what is wrong, that no test runs): what stands for it."""
ZIGBEE_WORDS: Mapping[str, str] = {
    word: word
    for word in (
        *("on", "off", "true", "false", "online", "offline", "checking", "unknown", "none"),
        *zigbee2mqtt.SMOKE_STATES,
        *zigbee2mqtt.BATTERY_STATES,
        *zigbee2mqtt.FINE,
    )
}


def is_zigbee_key(key: str) -> bool:
    return key in zigbee2mqtt.READ or key == "last_seen"
