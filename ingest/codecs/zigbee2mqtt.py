"""Zigbee2MQTT: plugs, strips, breakers and smoke detectors behind one bridge.

`{base}/{friendly name}` carries a JSON object of everything known, or of what changed; with
`output: attribute` there is a topic for each key as well, or instead, with a bare value.
The bridge repeats what it remembers: `last_seen` alone tells how old a state is.
"""

from collections.abc import Callable, Container, Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from ingest.codecs import loose
from ingest.codecs.loose import Gathered, flag, number, word
from ingest.wire import Ignored, Message, Profile, Refusal, Rejected, Said, Switch, bad_name
from rules.readings import Kind, Reading

METERED: dict[str, tuple[str, Callable[[object], float | None]]] = {
    "state": ("relay_on", flag),
    "power": ("power_w", number),
    "current": ("current_a", number),
    "voltage": ("voltage_v", number),
    "energy": ("energy_kwh", number),
}
"""What a socket may have. A strip has each with an endpoint's name: power_l2, state_left."""
LAST = 0
"""Stands for the last of two or three sockets."""
ENDPOINTS = (
    {f"l{n}": n for n in range(1, 17)}
    | {str(n): n for n in range(1, 17)}
    | {"left": 1, "center": 2, "right": LAST, "top": 1, "bottom": 2}
    | {"phase_a": 1, "phase_b": 2, "phase_c": 3}
)
AT_ENDPOINT = {
    f"{base}_{endpoint}": (base, channel)
    for base in METERED
    for endpoint, channel in ENDPOINTS.items()
}
USB = "state_usb"
"""No socket for a charger, but it shows that the plain `state` is not one socket's."""

SENSOR_SIGNS = frozenset({"battery", "battery_low", "battery_state", "smoke", "smoke_state"})
"""Keys of devices without mains, whose `voltage` is their battery's, in millivolts."""
MAINS_SIGNS = frozenset(
    key for key in (*METERED, *AT_ENDPOINT) if not key.startswith("voltage")
)
MAINS_V_MAX = 1000.0
"""Any more is millivolts."""
BATTERY_NEVER_V = 50.0
"""No battery that can still send shows this much in volts, or this little in millivolts."""

LINK_QUALITY_MAX = 255
FILE_VERSION_MAX = 2**32 - 1
"""Of a firmware in Zigbee's own count; the bridge says -1 or null for one it does not know."""

SMOKE_STATES = {"alarm": True, "normal": False}
BATTERY_STATES = {"low": True, "middle": False, "medium": False, "high": False}
FAULTS = ("fault", "fault_alarm", "trouble")
"""Truth values or words."""
BREAKER_FAULTS = ("alarm", "over_current_breaker")
"""Words; ON and OFF are settings here. On a detector `alarm` is a command to its siren."""
FINE = frozenset({"normal", "clear", "ok", "no_fault", "no_alarm", "no fault", "no alarm"})

READ = frozenset(
    {*METERED, *AT_ENDPOINT, *SENSOR_SIGNS, *FAULTS, *BREAKER_FAULTS}
    | {"consumption", "device_temperature", "temperature", "battery_level", "tamper"}
    | {"test", "self_test", "selftest", "linkquality"}
)
KEYS = READ | frozenset(
    "ac_connected ac_status action auto_off buzzer child_lock contact countdown "  # noqa: SIM905
    "enrolled heartbeat_indicator humidity illuminance indicator_mode last_seen "
    "linkage_alarm linkage_alarm_state occupancy overload_protection "
    "power_apparent power_factor power_on_behavior power_outage_count power_outage_memory "
    "power_reactive power_type pressure produced_energy reliability restore_reports silence "
    "smoke_concentration smoke_density smoke_density_dbm state_usb supervision_reports "
    "update update_available zone_id".split()
)
"""All that may end a known device's topic. Anything else is a device that is not known yet:
to take a new detector for another one's attribute would be to lose its alarm."""


class Zigbee2Mqtt(msgspec.Struct, frozen=True):
    name: str = "zigbee2mqtt"
    names_matter: bool = True
    base: str = "zigbee2mqtt"
    urgent_filters: tuple[str, ...] = ()
    """None: a detector's alarm comes on the same topic as its battery level."""

    def __post_init__(self) -> None:
        if "" in self.base.split("/") or set(self.base) & set("+#"):
            raise ValueError(f"not a base topic: {self.base!r}")

    @property
    def filters(self) -> tuple[str, ...]:
        return (f"{self.base}/#",)  # names hold slashes, as many as people like

    def address(self, topic: str, known: Container[str]) -> str | Rejected | Ignored | None:
        if not topic.startswith(f"{self.base}/"):
            return None
        name = topic[len(self.base) + 1 :]
        levels = name.split("/")
        if levels[0] == "bridge":
            return Ignored("the bridge itself")
        if name in known:
            return name
        if not {"set", "get"}.isdisjoint(levels[1:]):
            return Ignored("a command")
        device, _, last = name.rpartition("/")
        if device and (last == "availability" or (last in KEYS and device in known)):
            name = device
        wrong = bad_name(name) or ("has an empty level" if "" in levels else None)
        return Rejected(Refusal.BAD_NAME, wrong) if wrong else name

    def decode(
        self, message: Message, name: str, profile: Profile
    ) -> Said | Rejected | Ignored:
        if not message.payload:
            return Ignored("a retained message was deleted, or a value is not known")
        attribute = message.topic.removeprefix(f"{self.base}/{name}").removeprefix("/")
        if attribute == "availability":
            return _presence(message.payload)
        if attribute:
            return _attribute(attribute, message.payload, profile.kind)
        body = loose.parsed_object(message.payload)
        if isinstance(body, Rejected):
            return body
        readings = _readings(body, mains=_is_mains(body, profile.kind))
        return Said(readings, _last_seen(body.get("last_seen"), profile.zone))

    def command(self, name: str, switch: Switch) -> tuple[str, bytes] | None:
        """Return …/set; the bridge answers with the new state. Strips count their sockets."""
        key = "state" if switch.sockets <= 1 else f"state_l{switch.channel or 1}"
        payload = msgspec.json.encode({key: "ON" if switch.on else "OFF"})
        return f"{self.base}/{name}/set", payload


def _presence(payload: bytes) -> Said | Rejected:
    """Understand both forms: `online`, and `{"state": "online"}` since version 2."""
    said: object = payload.decode(errors="replace").strip('" \r\n\t')
    if payload.lstrip().startswith(b"{"):
        body = loose.parsed_object(payload)
        if isinstance(body, Rejected):
            return body
        said = body.get("state")
    if word(said) not in {"online", "offline"}:
        return Rejected(Refusal.WRONG_TYPE, "neither online nor offline")
    return Said((Reading(online=word(said) == "online"),), presence_only=True)


def _attribute(key: str, payload: bytes, kind: Kind) -> Said | Rejected | Ignored:
    if payload.lstrip().startswith(b"{"):
        # Attributes are never objects: this is a device whose name ends like a key.
        return Rejected(Refusal.UNKNOWN_TOPIC, f"a device called …/{key}? register its name")
    if key not in READ:
        return Ignored("nothing is read from it")
    try:
        value = payload.decode()
    except UnicodeDecodeError as error:
        return Rejected(Refusal.NOT_UTF8, str(error))
    body: dict[str, object] = {key: value}
    mains = _is_mains(body, kind)
    if key == "voltage" and kind is Kind.UNKNOWN:
        mains = (number(value) or 0) >= BATTERY_NEVER_V
    return Said(_readings(body, mains=mains))


def _is_mains(body: dict[str, object], kind: Kind) -> bool:
    """Say whether the device hangs on the mains; in doubt, the registry's kind decides."""
    if kind is Kind.SMOKE or not SENSOR_SIGNS.isdisjoint(body):
        return False
    if kind is Kind.CHARGER:
        return True
    return not MAINS_SIGNS.isdisjoint(body)


def _readings(body: dict[str, object], *, mains: bool) -> tuple[Reading, ...]:
    gathered = Gathered()
    _note_sockets(body, gathered, mains=mains)
    _note_detector(body, gathered)
    gathered.note(None, "device_temperature_c", number(body.get("device_temperature")))
    where = "device_temperature_c" if mains else "ambient_temperature_c"
    gathered.note(None, where, number(body.get("temperature")))
    gathered.note(None, "fault", _fault(body, mains=mains))
    gathered.note(None, "signal_pct", _signal_pct(body.get("linkquality")))
    gathered.note(None, "firmware", _firmware(body.get("update")))
    return gathered.readings()


def _note_sockets(body: dict[str, object], gathered: Gathered, *, mains: bool) -> None:
    """Book values at endpoints by socket; beside those, a plain value is shared or a sum."""
    at_endpoints = {key: AT_ENDPOINT[key] for key in body if key in AT_ENDPOINT}
    last = 3 if any(f"{base}_center" in body for base in METERED) else 2
    for key, (base, channel) in at_endpoints.items():
        _note_value(gathered, channel or last, base, body[key], mains=mains)
    relays = USB in body or any(base == "state" for base, _ in at_endpoints.values())
    plain = None if at_endpoints or USB in body else 1
    for base in METERED:
        if base in body and not (base == "state" and relays):
            _note_value(gathered, plain, base, body[base], mains=mains)
    # Aqara's second name for it, noted after the first, which holds.
    _note_value(gathered, plain, "energy", body.get("consumption"), mains=mains)


def _note_value(
    gathered: Gathered, channel: int | None, base: str, value: object, *, mains: bool
) -> None:
    quantity, reader = METERED[base]
    measured = reader(value)
    if base == "voltage" and (not mains or (measured or 0) > MAINS_V_MAX):
        return
    gathered.note(channel, quantity, measured)


def _note_detector(body: dict[str, object], gathered: Gathered) -> None:
    smoke_state = SMOKE_STATES.get(word(body.get("smoke_state")) or "")
    gathered.note(None, "smoke_alarm", _any((flag(body.get("smoke")), smoke_state)))
    gathered.note(None, "battery_pct", loose.percentage(body.get("battery")))
    gathered.note(None, "battery_low", flag(body.get("battery_low")))
    for key in ("battery_state", "battery_level"):
        low = BATTERY_STATES.get(word(body.get(key)) or "")
        gathered.note(None, "battery_low", low)
    gathered.note(None, "tamper", flag(body.get("tamper")))
    tests = (_under_test(body.get(key)) for key in ("test", "self_test", "selftest"))
    gathered.note(None, "self_test", _any(tests))


def _under_test(value: object) -> bool | None:
    """Understand a truth value, or the word for a test's stage, of which one is: running."""
    said = word(value)
    if flag(value) is not None or said is None:
        return flag(value)
    return said == "checking"


def _any(values: Iterable[bool | None]) -> bool | None:
    known = [value for value in values if value is not None]
    return any(known) if known else None


def _fault(body: dict[str, object], *, mains: bool) -> str | None:
    """Return the device's words for what is wrong, "" for nothing, None for no word on it."""
    said: list[str] = []
    for key in (*FAULTS, *(BREAKER_FAULTS if mains else ())):
        value = body.get(key)
        truth, text = flag(value), loose.words(value)
        if truth is not None:
            if key in FAULTS:
                said.append(key if truth else "")
        elif text is not None:
            said.append("" if text.casefold() in FINE else text)
    return "; ".join(filter(None, said))[: loose.TEXT_CHARS_MAX] if said else None


def _signal_pct(value: object) -> float | None:
    """Return the link quality, which is 0 to 255, in percent."""
    quality = number(value)
    if quality is None or not 0 <= quality <= LINK_QUALITY_MAX:
        return None
    return round(100 * quality / LINK_QUALITY_MAX, 1)


def _firmware(update: object) -> str | None:
    """Return the file version that the bridge knows to be installed, a whole number."""
    version = update.get("installed_version") if isinstance(update, dict) else None
    if isinstance(version, int) and not isinstance(version, bool):
        return str(version) if 0 <= version <= FILE_VERSION_MAX else None
    return loose.words(version) if isinstance(version, str) else None


def _last_seen(value: object, zone: ZoneInfo) -> datetime | None:
    """Understand the three forms: epoch in milliseconds, ISO in UTC, ISO with an offset."""
    milliseconds = value if isinstance(value, int | float) else None
    if isinstance(value, str) and value.isdecimal():
        milliseconds = int(value) if len(value) < 16 else None  # noqa: PLR2004
    if milliseconds is None or isinstance(milliseconds, bool):
        return loose.moment(value, zone)
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
