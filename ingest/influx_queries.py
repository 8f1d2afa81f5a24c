"""What the history asks InfluxDB, and how readings are made of its answers.

All statements are InfluxQL that 1.8, 2 and 3 know. Every name in them is a constant; values
are bound (ingest/influxql.py). Points without the number of a journal entry were written by
somebody else, and are not given out as readings.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ingest.history import QUANTITY_TYPES, Aggregate, Bin, Row
from ingest.influx_lines import NS_IN_US
from ingest.influxql import Param, Series
from ingest.measurements import CURSOR, DEVICE, LONG, SOCKET
from ingest.moments import MICROSECOND, from_us, to_us
from rules.readings import DeviceId, Reading

Params = dict[str, Param]

_FIELDS = ", ".join(
    f'"{name}"' for name in ("entry", "position", "received_at_us", *QUANTITY_TYPES)
)
_BOTH = f'"{SOCKET.name}", "{DEVICE.name}"'
_WITHIN = "time >= $since AND time < $until"
_ARRIVED = '"received_at_us" >= $since_us AND "received_at_us" < $until_us'
_OURS = '"entry" >= 0'
_TAGGED_LATE = "\"late\" = 'yes'"

TIES_SEEN = 8
"""Readings of one socket and microsecond that LATEST sees."""

# ruff: noqa: S608  (the names in all these are constants)
CURSOR_AT = f'SELECT "entry" FROM "{LONG}"."{CURSOR.name}"'
COUNT = f'SELECT count("entry") FROM {_BOTH}'
COUNT_BEFORE = f"{COUNT} WHERE time < $before"
COUNT_LATE = f"{COUNT} WHERE {_TAGGED_LATE} AND {_ARRIVED}"
FORGET = "; ".join(
    f'DELETE FROM "{measurement.name}" WHERE time < $before' for measurement in (SOCKET, DEVICE)
)
LATEST = (
    f'SELECT {_FIELDS} FROM {_BOTH} WHERE "device" = $device AND {_OURS}'
    f' GROUP BY "socket" ORDER BY time DESC LIMIT {TIES_SEEN}'
)
_PLACED = f'SELECT {_FIELDS}, "device", "socket", "late" FROM {_BOTH}'
BY_TIME = f"{_PLACED} WHERE {_WITHIN} AND {_ARRIVED}"
FIRST_AND_LAST = "; ".join(
    f'SELECT "entry" FROM {_BOTH} WHERE {_WITHIN} AND {_ARRIVED} ORDER BY time{order} LIMIT 1'
    for order in ("", " DESC")
)
LATE = f"{_PLACED} WHERE {_TAGGED_LATE} AND {_ARRIVED}"


def of_socket(
    device: DeviceId, channel: int | None, since: datetime, until: datetime
) -> tuple[str, Params]:
    """Return FROM … WHERE … for one socket, or the whole device, and its values."""
    params: Params = {"device": device, "since": since, "until": until}
    if channel is None:
        return f'FROM "{DEVICE.name}" WHERE "device" = $device AND {_WITHIN}', params
    place = f'FROM "{SOCKET.name}" WHERE "device" = $device AND "socket" = $socket'
    return f"{place} AND {_WITHIN}", params | {"socket": str(channel)}


def rows(place: str, limit: int | None) -> str:
    return limited(f"SELECT {_FIELDS} {place} AND {_OURS} ORDER BY time", limit)


def limited(statement: str, limit: int | None) -> str:
    """Limit each series of the answer. (LIMIT 0 is none to InfluxDB 1, and nothing to 3.)"""
    return statement if limit is None else f"{statement} LIMIT {limit:d}"


def aggregated(place: str, quantity: str, how: Aggregate, step: timedelta) -> str:
    """Return the question for a quantity that `check_aggregate` has let pass."""
    return (
        f'SELECT {how.value}("{quantity}") {place}'
        f" GROUP BY time({step // MICROSECOND:d}u) fill(none)"
    )


def arrived(since: datetime, until: datetime) -> Params:
    return {"since_us": to_us(since), "until_us": to_us(until)}


# --- Answers ------------------------------------------------------------------------------


class Found(NamedTuple):
    """A reading and its place in the journal."""

    entry: int
    position: int
    late: bool
    row: Row


def in_order(found: Found) -> tuple[datetime, int, int]:
    return found.row.at, found.entry, found.position


def as_arrived(found: Found) -> tuple[datetime, int, int]:
    return found.row.received_at, found.entry, found.position


def readings(
    answer: Iterable[Series], device: str = "", channel: int | None = None
) -> Iterator[Found]:
    """Yield the readings of an answer; `device` and `channel` stand in where it has none."""
    for series in answer:
        column = {name: place for place, name in enumerate(series.columns)}
        quantities = [
            (name, kind, column[name])
            for name, kind in QUANTITY_TYPES.items()
            if name in column
        ]
        tagged = series.tags.get("socket")
        fallback = int(tagged) if tagged else channel
        time, entry, position, received = (
            column[name] for name in ("time", "entry", "position", "received_at_us")
        )
        of, socket, late = (column.get(name) for name in ("device", "socket", "late"))
        for values in series.values:
            if values[entry] is None or values[received] is None:
                continue
            said: dict[str, Any] = {
                name: float(value) if kind is float else value
                for name, kind, place in quantities
                if (value := values[place]) is not None
            }
            yield Found(
                values[entry],
                values[position],
                late is not None and bool(values[late]),
                Row(
                    device=DeviceId(device if of is None else values[of]),
                    at=from_us(values[time] // NS_IN_US),
                    received_at=from_us(values[received]),
                    reading=Reading(
                        channel=int(values[socket])
                        if socket is not None and values[socket]
                        else fallback,
                        **said,
                    ),
                ),
            )


def moments(answer: Sequence[Series]) -> list[datetime]:
    """Return the microseconds of all rows."""
    return [
        from_us(values[series.columns.index("time")] // NS_IN_US)
        for series in answer
        for values in series.values
    ]


def bins(answer: Sequence[Series]) -> list[Bin]:
    return [
        Bin(from_us(time_ns // NS_IN_US), float(value))
        for series in answer
        for time_ns, value in series.values
        if value is not None
    ]


def number(answer: Sequence[Series]) -> int:
    """Return the sum of what counts say, one to a measurement; 0 for no answer."""
    return sum(series.values[0][1] for series in answer)
