"""What rollups ask of InfluxDB, and how its answers are read. InfluxQL for any version.

Everything is asked of one site and one stretch of time, so that no answer is larger than the
sockets of a site times the windows of a day.
"""

# ruff: noqa: S608  (names of ours; every value is put in by `bind`)

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from ingest.counters import RISE_MAX_KWH, Counted, counted, rise_max_kwh
from ingest.influx_lines import NS_IN_US
from ingest.influxql import Param, Series
from ingest.measurements import ALERT, DEVICE, LONG, SESSION, SITE_15M, SITE_DAY, SOCKET
from ingest.moments import from_us, to_us
from ingest.point_store import PointStore, asked
from ingest.rollup_points import Happened
from ingest.rollups import Power, SitePlan, Slice, Unit
from ingest.windows import QUARTER, floor
from rules.plausible import COLDEST_C, DEVICE_MAX_W, FEEDS_BACK_W, HOTTEST_C, SOCKET_MAX_W

COUNTER_BACK = timedelta(days=30)
"""How far back a counter's last reading is looked for."""

LATE_BACK = timedelta(days=31)
"""How old a late reading may be to change its windows by itself; for older ones there is
`./chargewatch history rollup`."""

_HERE = "site = $site AND time >= $since AND time < $until"
_WINDOWS = f"time({QUARTER // timedelta(minutes=1)}m)"
_HEARD_TABLES = f"{SOCKET.name}, {DEVICE.name}"


def _of_units(table: str, most_w: float) -> str:
    units = "device, socket" if table == SOCKET.name else "device"
    by_window = f"GROUP BY {_WINDOWS}, {units} fill(none)"
    return (
        # What cannot be is left out here, as it reaches no rule (rules/plausible.py).
        f"SELECT max(power_w) AS peak_w, mean(power_w) AS mean_w FROM {table} WHERE {_HERE}"
        f" AND power_w >= {FEEDS_BACK_W} AND power_w <= {most_w} {by_window};"
        f"SELECT max(device_temperature_c) AS temperature_c FROM {table} WHERE {_HERE}"
        f" AND device_temperature_c >= {COLDEST_C} AND device_temperature_c <= {HOTTEST_C}"
        f" {by_window};"
        f"SELECT count(entry) AS readings FROM {table} WHERE {_HERE} {by_window};"
        "SELECT sum(rise) AS kwh, min(rise) AS least_kwh, max(rise) AS most_kwh FROM"
        f" (SELECT difference(energy_kwh) AS rise FROM {table} WHERE {_HERE} GROUP BY {units})"
        f" WHERE time >= $since AND time < $until {by_window};"
        f"SELECT first(energy_kwh) AS first_kwh FROM {table} WHERE {_HERE} GROUP BY {units};"
        f"SELECT last(energy_kwh) AS before_kwh FROM {table} WHERE site = $site"
        f" AND time >= $counted_since AND time < $since GROUP BY {units}"
    )


_SLICE = ";".join(
    (
        _of_units(SOCKET.name, SOCKET_MAX_W),
        _of_units(DEVICE.name, DEVICE_MAX_W),
        (
            f"SELECT count(entry) AS heard FROM {_HEARD_TABLES} WHERE {_HERE} AND late = ''"
            f" GROUP BY {_WINDOWS}, device fill(none)"
        ),
        (
            f"SELECT last(entry) AS heard_before FROM {_HEARD_TABLES} WHERE site = $site"
            " AND late = '' AND time >= $heard_since AND time < $since GROUP BY device"
        ),
    )
)
_COUNTER = (
    "SELECT energy_kwh FROM {table} WHERE device = $device AND socket = $socket"
    " AND time >= $since AND time < $until"
)
_LAST = (
    "SELECT last(energy_kwh) AS last"
    f' FROM "{LONG}"."{{table}}" WHERE site = $site AND time < $until'
)
_FIRST = f"SELECT first(entry) AS first FROM {_HEARD_TABLES} WHERE site = $site"
_LATE = (
    f"SELECT count(received_at_us) FROM {_HEARD_TABLES} WHERE {_HERE} AND late = 'yes'"
    f" AND received_at_us >= $arrived GROUP BY {_WINDOWS} fill(none)"
)
_HAPPENED = (
    "SELECT count(energy_kwh) AS sessions, sum(after_hours) AS after_hours"
    f' FROM "{LONG}"."{SESSION.name}" WHERE {_HERE} GROUP BY device, socket;'
    f'SELECT count(severity) AS alerts FROM "{LONG}"."{ALERT.name}" WHERE {_HERE} GROUP BY rule'
)


async def ask_slice(
    store: PointStore, plan: SitePlan, since: datetime, until: datetime
) -> Slice:
    """Ask for all that `quarters` needs to know of [since, until)."""
    longest = max((device.silent_after for device in plan.devices), default=QUARTER)
    read = await asked(
        store,
        _SLICE,
        {
            "site": plan.id,
            "since": since,
            "until": until,
            "counted_since": since - COUNTER_BACK,
            "heard_since": since - longest,
        },
        _Answer,
    )
    for unit in read.doubtful():
        table = SOCKET.name if unit.socket else DEVICE.name
        params: dict[str, Param] = {
            "device": unit.device,
            "socket": unit.socket,
            "since": since,
            "until": until,
        }
        values = await asked(store, _COUNTER.format(table=table), params, _counter)
        read.kwh[unit] = counted(read.before.get(unit), values)
    return Slice(
        since=since,
        until=until,
        powers=read.powers,
        temperatures=read.temperatures,
        readings=read.readings,
        counted_kwh=read.kwh,
        heard={device: frozenset(at) for device, at in read.heard.items()},
        heard_before=read.heard_before,
    )


def _counter(answer: list[Series]) -> list[Counted]:
    return [Counted(ns // NS_IN_US, kwh) for series in answer for ns, kwh in series.values]


class _Answer:
    """The series of a slice, told apart by their columns."""

    def __init__(self, answer: Iterable[Series]) -> None:
        self.powers: dict[Unit, dict[datetime, Power]] = {}
        self.temperatures: dict[Unit, dict[datetime, float]] = {}
        self.readings: dict[Unit, dict[datetime, int]] = {}
        self.kwh: dict[Unit, dict[datetime, float]] = {}
        self.heard: dict[str, set[datetime]] = {}
        self.heard_before: dict[str, datetime] = {}
        self.before: dict[Unit, Counted] = {}
        self._first: dict[Unit, Counted] = {}
        self._doubtful: set[Unit] = set()
        for series in answer:
            self._take(series)
        for unit, first in self._first.items():
            self._join(unit, first)

    def doubtful(self) -> list[Unit]:
        """Return whose counter fell, or rose by more than can be: to be looked at closely."""
        return sorted(self._doubtful)

    def _take(self, series: Series) -> None:
        device = series.tags["device"]
        unit = Unit(device, series.tags.get("socket", ""))
        match series.columns[1]:
            case "peak_w":
                self.powers[unit] = {
                    _at(ns): Power(peak_w, mean_w) for ns, peak_w, mean_w in series.values
                }
            case "temperature_c":
                self.temperatures[unit] = {_at(ns): highest for ns, highest in series.values}
            case "readings":
                self.readings[unit] = {_at(ns): count for ns, count in series.values}
            case "kwh":
                self._take_rises(unit, series.values)
            case "first_kwh":
                [[ns, kwh]] = series.values
                self._first[unit] = Counted(ns // NS_IN_US, kwh)
            case "before_kwh":
                [[ns, kwh]] = series.values
                self.before[unit] = Counted(ns // NS_IN_US, kwh)
                self.kwh.setdefault(unit, {})
            case "heard":
                at = {_at(ns) for ns, _ in series.values}
                self.heard.setdefault(device, set()).update(at)
            case "heard_before":
                [[ns, _]] = series.values
                before = self.heard_before.get(device)
                self.heard_before[device] = max(before or _at(ns), _at(ns))
            case column:
                raise ValueError(f"nobody asked for {column!r}")

    def _take_rises(self, unit: Unit, rows: Iterable[list[Any]]) -> None:
        by_window = self.kwh.setdefault(unit, {})
        for ns, kwh, least_kwh, most_kwh in rows:
            if least_kwh < 0 or most_kwh > RISE_MAX_KWH:
                self._doubtful.add(unit)
            by_window[_at(ns)] = kwh

    def _join(self, unit: Unit, first: Counted) -> None:
        """Count from the last reading before the slice to its first."""
        by_window = self.kwh.setdefault(unit, {})
        before = self.before.get(unit)
        if before is None:
            return
        rise = first.kwh - before.kwh
        if not 0 <= rise <= rise_max_kwh(before, first):
            self._doubtful.add(unit)
            return
        at = floor(from_us(first.at_us))
        by_window[at] = by_window.get(at, 0.0) + rise


async def ask_happened(
    store: PointStore, plan: SitePlan, since: datetime, until: datetime
) -> Happened:
    """Ask which charges and alerts began in [since, until)."""
    params: dict[str, Param] = {"site": plan.id, "since": since, "until": until}
    return await asked(store, _HAPPENED, params, _happened)


def _happened(answer: list[Series]) -> Happened:
    sessions: dict[Unit, int] = {}
    alerts: dict[str, int] = {}
    after_hours = 0
    for series in answer:
        for row in series.rows():
            if "alerts" in row:
                alerts[row["rule"]] = row["alerts"]
            else:
                sessions[Unit(row["device"], row["socket"])] = row["sessions"]
                after_hours += row["after_hours"]
    return Happened(sessions=sessions, after_hours_sessions=after_hours, alerts=alerts)


async def last_quarter(store: PointStore, site: str, until: datetime) -> datetime | None:
    """Return the beginning of the last window that is there; None: there is none."""
    return await _moment_of(
        store, _LAST.format(table=SITE_15M.name), {"site": site, "until": until}
    )


async def last_day(store: PointStore, site: str, until: datetime) -> datetime | None:
    """Return the beginning of the last day that is there; None: there is none."""
    return await _moment_of(
        store, _LAST.format(table=SITE_DAY.name), {"site": site, "until": until}
    )


async def first_reading(store: PointStore, site: str) -> datetime | None:
    """Return the time of the oldest reading of a site; None: there is none."""
    return await _moment_of(store, _FIRST, {"site": site})


async def late_windows(
    store: PointStore, site: str, arrived: datetime, until: datetime
) -> set[datetime]:
    """Return the windows before `until` that late readings, arrived since, belong to."""
    params: dict[str, Param] = {
        "site": site,
        "arrived": to_us(arrived),
        "since": until - LATE_BACK,
        "until": until,
    }
    return await asked(store, _LATE, params, _windows_in)


def _windows_in(answer: list[Series]) -> set[datetime]:
    return {_at(row[0]) for series in answer for row in series.values}


async def _moment_of(
    store: PointStore, statement: str, params: Mapping[str, Param]
) -> datetime | None:
    return await asked(store, statement, params, _first_moment)


def _first_moment(answer: list[Series]) -> datetime | None:
    return min((_at(row[0]) for series in answer for row in series.values), default=None)


def _at(ns: int) -> datetime:
    return from_us(ns // NS_IN_US)
