"""Numbers, words and times out of JSON that does not care about types.

The makers of plugs write 187, "187", " 187 ", null, "nan" or "unavailable" for one and the
same field, from one firmware to the next. Whatever is not clearly a value is no value:
None, which the codecs leave out. Nothing in here raises.
"""

import re
from datetime import UTC, datetime
from json import JSONDecodeError, JSONDecoder
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

from ingest.wire import Refusal, Rejected
from rules.readings import Reading

MAGNITUDE_MAX = 1e9
"""As `rules.readings.Measured`, whose limits hold for what is decoded, not for what is made."""
CHANNEL_MAX = 256
TEXT_CHARS_MAX = 200

ABSENT = frozenset({"", "nan", "none", "null", "unavailable", "unknown"})
"""Words for a value that is not there, lower case. Absent is never zero and never off."""
YES = frozenset({"true", "on", "1"})
NO = frozenset({"false", "off", "0"})

# Python's float() would also take "infinity", "1_000" and digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_PADDING = " \t\r\n:"
# Old firmware writes single-digit fields; a zone is the exception.
_TIME = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)[T ](\d\d?):(\d\d?):(\d\d?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
# NaN and Infinity are no JSON, but devices send them: one such value must not cost the others.
_decoder = JSONDecoder(parse_constant=lambda _: None)


def parsed(payload: bytes) -> object | Rejected:
    """Return the JSON value of a payload; NaN and the infinities in it become null."""
    try:
        body: object = _decoder.decode(payload.decode())
    except UnicodeDecodeError as error:
        return Rejected(Refusal.NOT_UTF8, str(error))
    except JSONDecodeError as error:
        return Rejected(Refusal.NOT_JSON, str(error))
    except RecursionError:
        return Rejected(Refusal.TOO_DEEP)
    except ValueError as error:  # an integer of more digits than Python converts
        return Rejected(Refusal.WRONG_TYPE, str(error))
    return body


def parsed_object(payload: bytes) -> dict[str, object] | Rejected:
    """Return the JSON object that a payload is."""
    body = parsed(payload)
    if isinstance(body, dict | Rejected):
        return body
    return Rejected(Refusal.WRONG_TYPE, f"expected an object, got {type(body).__name__}")


def number(value: object) -> float | None:
    """Return a finite number of a magnitude that a meter can have; true is not 1."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip(_PADDING)
        if not _NUMBER.fullmatch(value):
            return None
    elif not isinstance(value, int | float):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if isfinite(result) and abs(result) <= MAGNITUDE_MAX else None


def percentage(value: object) -> float | None:
    result = number(value)
    return result if result is not None and 0 <= result <= 100 else None  # noqa: PLR2004


def signal_of_dbm(value: object) -> float | None:
    """Return how well a Wi-Fi device is received, in percent, from dBm.

    -100 dBm and below are 0 %, -50 and above are 100 %, and between them it is a line: as
    Windows and Tasmota have it (docs/sources.md). What is no dBm, 0 or above, is no value.
    """
    dbm = number(value)
    if dbm is None or dbm >= 0:
        return None
    return min(100.0, max(0.0, 2 * (dbm + 100)))


def word(value: object) -> str | None:
    """Return a text in lower case and without blanks around it, unless it means: nothing."""
    if not isinstance(value, str):
        return None
    result = value.strip().casefold()
    return None if result in ABSENT else result


def flag(value: object) -> bool | None:
    """Return a truth value, of which 1, "true" and "ON" are other spellings."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in {0, 1}:
        return value == 1
    return _truth(word(value))


def _truth(said: str | None) -> bool | None:
    if said in YES:
        return True
    return False if said in NO else None


def words(value: object) -> str | None:
    """Return a device's own words, or its code number, short and printable, or None."""
    if word(value) is None:
        code = number(value)
        return None if code is None else f"{code:g}"
    return "".join(c for c in str(value).strip() if c.isprintable())[:TEXT_CHARS_MAX] or None


def moment(value: object, zone: ZoneInfo) -> datetime | None:
    """Return the UTC time that a device wrote, in `zone` if it does not say which.

    An hour that the zone has twice, or never, gives no time: the arrival is better.
    """
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups(default="")
    padded = f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute:0>2}:{second:0>2}"
    try:
        local = datetime.fromisoformat(f"{padded}.{fraction[:6]:0<6}{offset}")
        if offset:
            return local.astimezone(UTC)
        local = local.replace(tzinfo=zone)
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            return None
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class Gathered:
    """The readings of one message, as they come up: by socket, each quantity once."""

    def __init__(self) -> None:
        self._sockets: dict[int | None, dict[str, Any]] = {}

    def note(self, channel: int | None, quantity: str, value: float | str | None) -> None:
        """Keep a value, unless it is none; the first of two for one quantity holds."""
        if value is not None and (channel is None or 1 <= channel <= CHANNEL_MAX):
            self._sockets.setdefault(channel, {}).setdefault(quantity, value)

    def readings(self) -> tuple[Reading, ...]:
        """Return what was kept, the whole device before its sockets."""
        ordered = sorted(self._sockets.items(), key=lambda item: item[0] or 0)
        return tuple(Reading(channel=channel, **values) for channel, values in ordered)
