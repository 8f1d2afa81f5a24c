"""Moves the times that devices write into their messages; everything else stays byte for byte.

Pure, and by dialect: each codec's own time fields are known, and no other text that looks
like a time is touched. What cannot be moved comes back as the reason why.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from ingest.wire import Codec, Ignored, Message, Rejected

MILLISECOND = timedelta(milliseconds=1)
DEEPEST = 6
"""Levels of objects that are looked into; devices need three."""

# As ingest.codecs.loose reads them: old firmware writes single digits, and blanks for a T.
_TIME = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)([T ])(\d\d?):(\d\d?):(\d\d?)(\.\d{1,9})?(Z|z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)

KEYS: Mapping[str, frozenset[str]] = {
    "native": frozenset({"at", "expires_at"}),
    "tasmota": frozenset({"Time", "TotalStartTime", "UTC", "Local", "StartupUTC"}),
    "zigbee2mqtt": frozenset({"last_seen"}),
}
"""Where each dialect writes times. A dialect that is not named cannot be moved."""

DEEP = frozenset({"tasmota"})
"""Dialects that write them into objects within the object, too."""


class Unshifted(msgspec.Struct, frozen=True):
    """A message whose times stay as they are, and why."""

    why: str


def shifted(message: Message, by: timedelta, codecs: tuple[Codec, ...]) -> bytes | Unshifted:
    """Return a payload with its times moved; never raises, whatever the bytes."""
    if not by or not message.payload:
        return message.payload
    for codec in codecs:
        found = codec.address(message.topic, ())
        if found is not None:
            if codec.name not in KEYS:
                return Unshifted(f"no times are known of {codec.name}")
            command = isinstance(found, Ignored) and codec.name != "native"
            if isinstance(found, Rejected) or command:
                return message.payload
            return _by_dialect(codec.name, message, by)
    return Unshifted("a topic of no dialect")


def _by_dialect(dialect: str, message: Message, by: timedelta) -> bytes | Unshifted:
    payload, keys = message.payload, KEYS[dialect]
    if message.topic.rpartition("/")[2] in keys:  # an attribute with a topic of its own
        return _bare(payload, by)
    if not payload.lstrip().startswith(b"{"):
        return payload  # a word: ON, Offline
    try:
        return _object(payload, keys, by, DEEPEST if dialect in DEEP else 1)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Unshifted("no JSON")
    except OverflowError:
        return Unshifted("a time at the end of the calendar")


def _object(raw: bytes, keys: frozenset[str], by: timedelta, depth: int) -> bytes:
    """Return an object with the times in it moved; what is beside them is not read."""
    values = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    moved = {}
    for key, value in values.items():
        old = bytes(value)
        new = old
        if key in keys:
            new = _value(old, by)
        elif depth > 1 and old.startswith(b"{"):
            new = _object(old, keys, by, depth - 1)
        if new != old:
            moved[key] = new
    if not moved:
        return raw
    shown = {key: msgspec.Raw(moved.get(key, bytes(value))) for key, value in values.items()}
    return msgspec.json.encode(shown)


def _value(raw: bytes, by: timedelta) -> bytes:
    """Return a JSON value moved: a text that is a time, or milliseconds since 1970."""
    value = msgspec.json.decode(raw)
    if isinstance(value, str):
        return msgspec.json.encode(text(value, by))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return msgspec.json.encode(round(value + by / MILLISECOND))
    return raw


def _bare(payload: bytes, by: timedelta) -> bytes | Unshifted:
    try:
        said = payload.decode()
        return text(said, by).encode()
    except (UnicodeDecodeError, OverflowError):
        return Unshifted("no time")


def text(said: str, by: timedelta) -> str:
    """Return a time moved, in the form in which it was written; any other text as it is."""
    trimmed = said.strip()
    if trimmed.isdecimal() and trimmed.isascii() and len(trimmed) in range(12, 15):
        return str(int(trimmed) + round(by / MILLISECOND))
    match = _TIME.fullmatch(trimmed)
    if match is None:
        return said
    year, month, day, between, hour, minute, second, fraction, zone = match.groups(default="")
    try:
        at = datetime(*map(int, (year, month, day, hour, minute, second)))  # type: ignore[arg-type]  # noqa: DTZ001  (its own clock's)
    except ValueError:
        return said
    digits = len(fraction) - 1 if fraction else 0
    at += timedelta(microseconds=int(f"{fraction[1:7]:0<6}") if fraction else 0)
    at += by
    day_of = f"{at.year:04}-{at.month:02}-{at.day:02}"
    return f"{day_of}{between}{at:%H:%M:%S}{_fraction(at, digits)}{zone}"


def _fraction(at: datetime, digits: int) -> str:
    return f".{at.microsecond:06d}"[: digits + 1].ljust(digits + 1, "0") if digits else ""
