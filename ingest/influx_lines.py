"""InfluxDB's line protocol: points as bytes that hold what was meant, and nothing more.

Names of measurements, tags and fields are constants of ingest/measurements.py. What comes
from devices and people is made harmless in two steps: `visible` takes out control characters
and backslashes, with which line protocol and InfluxQL escape, and each of the two then
escapes its own few separators. `invisible` is the way back.
"""

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec

from ingest.history import QUANTITY_TYPES
from ingest.journal import Entry
from ingest.measurements import DEVICE, SOCKET, Measurement
from ingest.moments import to_us
from rules.readings import Reading

Value = float | int | bool | str

NS_IN_US = 1000

LATE_BEHIND_US, LATE_AHEAD_US = 15 * 60 * 1_000_000, 5 * 60 * 1_000_000
"""Further from its arrival than a device's clock is believed (ingest/timing.py)."""

MARK = "\N{SYMBOL FOR SUBSTITUTE FORM TWO}"
_SHOWN = (
    {chr(code): MARK + chr(0x2400 + code) for code in range(0x20)}
    | {"\x7f": MARK + "\N{SYMBOL FOR DELETE}"}
    | {"\\": MARK + "\N{SET MINUS}", MARK: MARK + MARK}
)
_MEANT = {shown: char for char, shown in _SHOWN.items()}
_TO_SHOW = re.compile("[" + re.escape("".join(_SHOWN)) + "]")
_TO_MEAN = re.compile(MARK + ".")


def visible(text: str) -> str:
    """Return a text without control characters and backslashes; most are as they were.

    A line feed becomes ␦␊: Grafana's readers see that there is something.
    """
    if _TO_SHOW.search(text) is None:
        return text
    return _TO_SHOW.sub(lambda found: _SHOWN[found[0]], text)


def invisible(text: str) -> str:
    """Undo `visible`; a text that never went through it is left as it is."""
    return _TO_MEAN.sub(lambda found: _MEANT.get(found[0], found[0]), text)


def line(
    measurement: Measurement,
    tags: Mapping[str, str],
    fields: Mapping[str, Value | None],
    time_ns: int,
) -> bytes:
    """Return one point; b"" if no field is left, as there is no such point.

    Empty tags, fields that are None, and numbers that are none or infinite are left out.
    Raises ValueError for a tag or a field that the measurement does not have.
    """
    for name in (*tags, *fields):
        if name not in measurement.tags and name not in measurement.fields:
            raise ValueError(f"{measurement.name} has no {name!r} (ingest/measurements.py)")
    said = [
        f"{name}={_value(measurement.fields[name].kind, value)}"
        for name, value in fields.items()
        if value is not None and not _no_number(value)
    ]
    if not said:
        return b""
    series = measurement.name + "".join(
        f",{name}={_tag(tags[name])}" for name in sorted(tags) if tags[name]
    )
    return f"{series} {','.join(said)} {time_ns}".encode(errors="replace")


def place_of(device: str) -> dict[str, str]:
    """Return the tags that say which device it is and, if its id says it, where."""
    area, _, rest = device.partition("/")
    site, slash, _ = rest.partition("/")
    if not slash:
        return {"device": device}
    return {"area": area, "device": device, "site": f"{area}/{site}"}


# --- Readings: the fast path -------------------------------------------------------------

SERIES_KEPT = 65_536
"""Beginnings of lines that are remembered, one for each socket: some 100 bytes each."""


def reading_lines(entry: Entry) -> Iterator[bytes]:
    """Yield a point for each reading of a journal entry, in their order.

    The same entry always gives the same points, so that it can be written again.
    """
    position = 0
    below_us = entry.id % NS_IN_US
    taken: dict[tuple[str, int | None, int], int] = {}
    for report in entry.reports:
        device = report.device
        at, received_at = to_us(report.at), to_us(report.received_at)
        late = not -LATE_AHEAD_US <= received_at - at <= LATE_BEHIND_US
        time_ns = at * NS_IN_US + below_us
        for reading in report.readings:
            place = device, reading.channel, at
            again = taken.get(place, 0)
            taken[place] = again + 1
            series = _series(device, reading.channel)
            if again:
                series += f",again={again}"
            if late:
                series += ",late=yes"
            yield (
                f"{series} entry={entry.id}i,position={position}i,"
                f"received_at_us={received_at}i{_quantities(reading)} {time_ns}"
            ).encode(errors="replace")
            position += 1


@lru_cache(SERIES_KEPT)
def _series(device: str, channel: int | None) -> str:
    tags = place_of(device)
    if channel is not None:
        tags["socket"] = str(channel)
    name = DEVICE.name if channel is None else SOCKET.name
    return name + "".join(f",{tag}={_tag(value)}" for tag, value in tags.items() if value)


def _quantities(reading: Reading) -> str:
    said = ""
    for (key, kind), value in zip(_OF_READING, msgspec.structs.astuple(reading), strict=True):
        if value is not None and kind is not None:
            if kind is float:
                if math.isfinite(value):
                    said += f"{key}{float(value)!r}"
            elif kind is bool:
                said += f"{key}true" if value else f"{key}false"
            else:
                said += key + _text(value)
    return said


_OF_READING = [(f",{name}=", QUANTITY_TYPES.get(name)) for name in Reading.__struct_fields__]


# --- Values ---------------------------------------------------------------------------------


def _value(kind: type, value: Value) -> str:
    if kind is str:
        return _text(str(value))
    if kind is bool:
        return "true" if value else "false"
    return f"{int(value)}i" if kind is int else repr(float(value))


def _no_number(value: Value) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _text(text: str) -> str:
    return '"' + visible(text).replace('"', '\\"') + '"'


_SEPARATORS = re.compile("[, =]")


def _tag(text: str) -> str:
    return _SEPARATORS.sub(r"\\\g<0>", visible(text))
