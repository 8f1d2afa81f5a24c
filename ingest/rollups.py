"""What readings come to: quarters of an hour and days, of a site and of its sockets.

Pure: what InfluxDB answered about a stretch of time in, points out. Every window can be made
anew at any time, and comes out the same while its readings are the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

import msgspec

from ingest.influx_lines import NS_IN_US, Value, line, microseconds, place_of
from ingest.measurements import SITE_15M, SITE_DAY, SOCKET_15M, SOCKET_DAY
from ingest.registry import Name
from rules.plausible import SOCKET_MAX_W
from rules.schedule import Schedule

QUARTER = timedelta(minutes=15)
"""No zone of today is off UTC by less, so that local days are whole quarters."""
HOURS = QUARTER / timedelta(hours=1)

RISE_MAX_KWH = SOCKET_MAX_W / 1000 * HOURS
"""What a counter may have risen by since its last reading, a quarter ago at most."""


class Unit(NamedTuple):
    """A socket; an empty text for a device that is one single socket without a number."""

    device: str
    socket: str

    def tags(self) -> dict[str, str]:
        return place_of(self.device) | {"socket": self.socket}


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A device, as far as rollups need to know it."""

    id: str
    silent_after: timedelta
    charging_min_w: float
    declared: bool = True
    added_at: datetime | None = None


class SitePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A site, as far as rollups need to know it."""

    id: str
    area: str
    name: Name
    schedule: Schedule
    devices: tuple[Watched, ...]
    sockets: int = 1
    """How many sockets there are, about."""


class Power(NamedTuple):
    peak_w: float
    mean_w: float


class Counted(NamedTuple):
    """A counter's readings, at a moment in microseconds."""

    at_us: int
    kwh: float


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """What the readings of a site say about [since, until); windows by their beginning."""

    since: datetime
    until: datetime
    powers: Mapping[Unit, Mapping[datetime, Power]]
    temperatures: Mapping[Unit, Mapping[datetime, float]]
    readings: Mapping[Unit, Mapping[datetime, int]]
    counted_kwh: Mapping[Unit, Mapping[datetime, float]]
    """Of every unit that has a counter; a window without is no energy."""
    heard: Mapping[str, frozenset[datetime]]
    """Windows in which a device was heard as things happened, not from a buffer."""
    heard_before: Mapping[str, datetime]
    """When a device was last heard before `since`."""


class Quarter(msgspec.Struct, frozen=True, kw_only=True):
    """One unit in one window."""

    unit: Unit
    at: datetime
    energy_kwh: float
    peak_w: float | None
    mean_w: float | None
    temperature_c: float | None
    readings: int


class SiteQuarter(msgspec.Struct, frozen=True, kw_only=True):
    """A site in one window."""

    at: datetime
    energy_kwh: float
    after_hours_kwh: float
    mean_w: float
    peak_w: float
    charging: int
    heard: frozenset[str]
    devices: frozenset[str]
    units: tuple[Quarter, ...]


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """What began on a day: charges, and alerts by their rule."""

    sessions: Mapping[Unit, int] = {}
    after_hours_sessions: int = 0
    alerts: Mapping[str, int] = {}


OVERLOADS = ("overload", "pile_overload", "site_overload")


# --- Time ---------------------------------------------------------------------------------


def floor(moment: datetime) -> datetime:
    """Return the beginning of the window that holds a moment."""
    since_epoch = microseconds(moment) % (QUARTER // timedelta(microseconds=1))
    return moment - timedelta(microseconds=since_epoch)


def windows(since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the beginnings of the windows of [since, until), both at the edge of one."""
    at = since
    while at < until:
        yield at
        at += QUARTER


def day_of(moment: datetime, schedule: Schedule) -> date:
    return moment.astimezone(schedule.zone).date()


def bounds(day: date, schedule: Schedule) -> tuple[datetime, datetime]:
    """Return a local day in UTC: 24 h, or 23 or 25 where clocks are changed."""
    zone = schedule.zone
    begins = datetime.combine(day, time(0), zone).astimezone(UTC)
    return begins, datetime.combine(day + timedelta(days=1), time(0), zone).astimezone(UTC)


# --- Energy -------------------------------------------------------------------------------


def counted(before: Counted | None, readings: Iterable[Counted]) -> dict[datetime, float]:
    """Return what a counter counted by window; the first reading without one before: nothing.

    Energy belongs to the window in which it was heard of. A counter that falls has begun anew
    at 0. A rise that no socket can draw is none: a value was misread.
    """
    found: dict[datetime, float] = {}
    last = before
    for reading in readings:
        at = floor(_moment(reading.at_us))
        found.setdefault(at, 0.0)
        if last is not None:
            found[at] += _rise_kwh(last, reading)
        last = reading
    return found


def _rise_kwh(last: Counted, reading: Counted) -> float:
    rise = reading.kwh - last.kwh if reading.kwh >= last.kwh else max(0.0, reading.kwh)
    return rise if rise <= rise_max_kwh(last, reading) else 0.0


def rise_max_kwh(last: Counted, reading: Counted) -> float:
    """Return what can have been counted between two readings at most."""
    quarters = timedelta(microseconds=reading.at_us - last.at_us) / QUARTER
    return RISE_MAX_KWH * max(1.0, quarters)


def _moment(at_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)


# --- Windows ------------------------------------------------------------------------------


def quarters(plan: SitePlan, said: Slice) -> Iterator[SiteQuarter]:
    """Yield each window of a slice, in order."""
    units = _units(said)
    heard_at = dict(said.heard_before)
    charging_min_w = {device.id: device.charging_min_w for device in plan.devices}
    for at in windows(said.since, said.until):
        there = [quarter for unit in units if (quarter := _quarter(unit, at, said)) is not None]
        energy_kwh = sum(quarter.energy_kwh for quarter in there)
        peaks_w = [quarter.peak_w for quarter in there if quarter.peak_w is not None]
        expected = frozenset(
            device.id
            for device in plan.devices
            if device.declared and (device.added_at is None or device.added_at < at + QUARTER)
        )
        for device, heard in said.heard.items():
            if at in heard:
                heard_at[device] = at + QUARTER
        heard_now = frozenset(
            device.id
            for device in plan.devices
            if device.id in expected
            and (last := heard_at.get(device.id)) is not None
            and at + QUARTER - last < max(device.silent_after, QUARTER)
        )
        yield SiteQuarter(
            at=at,
            energy_kwh=energy_kwh,
            after_hours_kwh=energy_kwh * _closed_share(plan.schedule, at),
            mean_w=sum(quarter.mean_w or 0.0 for quarter in there),
            peak_w=max(peaks_w, default=0.0),
            charging=sum(
                (quarter.peak_w or 0.0) >= charging_min_w.get(quarter.unit.device, 0.0) > 0
                for quarter in there
            ),
            heard=heard_now,
            devices=expected,
            units=tuple(there),
        )


def _units(said: Slice) -> list[Unit]:
    """Return the sockets, and whole devices that have a meter where none of theirs has."""
    metered = said.powers.keys() | said.counted_kwh.keys()
    numbered = {unit.device for unit in metered if unit.socket}
    whole = {unit for unit in metered if not unit.socket and unit.device not in numbered}
    sockets = {unit for unit in metered | said.readings.keys() if unit.socket}
    return sorted(whole | sockets)


def _quarter(unit: Unit, at: datetime, said: Slice) -> Quarter | None:
    power = said.powers.get(unit, {}).get(at)
    by_counter = said.counted_kwh.get(unit)
    readings = said.readings.get(unit, {}).get(at, 0)
    if by_counter is not None:
        energy_kwh = by_counter.get(at, 0.0)
    else:
        energy_kwh = 0.0 if power is None else max(0.0, power.mean_w) * HOURS / 1000
    if not readings and not energy_kwh:
        return None
    return Quarter(
        unit=unit,
        at=at,
        energy_kwh=energy_kwh,
        peak_w=None if power is None else power.peak_w,
        mean_w=None if power is None else power.mean_w,
        temperature_c=said.temperatures.get(unit, {}).get(at),
        readings=readings,
    )


def _closed_share(schedule: Schedule, at: datetime) -> float:
    closed = schedule.closed_between(at, at + QUARTER)
    return sum((until - since) / QUARTER for since, until in closed)


# --- Points -------------------------------------------------------------------------------


def quarter_lines(plan: SitePlan, quarter: SiteQuarter) -> Iterator[bytes]:
    """Yield the points of one window."""
    time_ns = microseconds(quarter.at) * NS_IN_US
    for each in quarter.units:
        fields: dict[str, Value | None] = {
            "energy_kwh": each.energy_kwh,
            "peak_w": each.peak_w,
            "mean_w": each.mean_w,
            "temperature_c": each.temperature_c,
            "readings": each.readings,
        }
        yield line(SOCKET_15M, each.unit.tags(), fields, time_ns)
    fields = {
        "energy_kwh": quarter.energy_kwh,
        "after_hours_kwh": quarter.after_hours_kwh,
        "mean_w": quarter.mean_w,
        "peak_w": quarter.peak_w,
        "charging": quarter.charging,
        "heard": len(quarter.heard),
        "devices": len(quarter.devices),
    }
    yield line(SITE_15M, {"area": plan.area, "site": plan.id}, fields, time_ns)


class Day:
    """A local day of a site, added up from its windows."""

    def __init__(self, plan: SitePlan, begins: datetime) -> None:
        self._plan, self._begins = plan, begins
        self._energy_kwh = self._after_hours_kwh = self._demand_w = 0.0
        self._heard: dict[str, int] = {}
        self._expected: dict[str, int] = {}
        self._units: dict[Unit, tuple[float, float | None]] = {}
        self._windows = 0

    def add(self, quarter: SiteQuarter) -> None:
        self._windows += 1
        self._energy_kwh += quarter.energy_kwh
        self._after_hours_kwh += quarter.after_hours_kwh
        self._demand_w = max(self._demand_w, quarter.mean_w)
        for counts, devices in (
            (self._heard, quarter.heard),
            (self._expected, quarter.devices),
        ):
            for device in devices:
                counts[device] = counts.get(device, 0) + 1
        for each in quarter.units:
            energy_kwh, peak_w = self._units.get(each.unit, (0.0, None))
            peaks = [peak for peak in (peak_w, each.peak_w) if peak is not None]
            self._units[each.unit] = energy_kwh + each.energy_kwh, max(peaks, default=None)

    def lines(self, happened: Happened) -> Iterator[bytes]:
        """Yield the points of the day."""
        plan, time_ns = self._plan, microseconds(self._begins) * NS_IN_US
        for unit in sorted(self._units.keys() | happened.sessions.keys()):
            energy_kwh, peak_w = self._units.get(unit, (0.0, None))
            yield line(
                SOCKET_DAY,
                unit.tags(),
                {
                    "energy_kwh": energy_kwh,
                    "peak_w": peak_w,
                    "sessions": happened.sessions.get(unit, 0),
                    "uptime_pct": self._uptime_pct([unit.device]),
                },
                time_ns,
            )
        fields: dict[str, Value | None] = {
            "name_zh": plan.name.zh,
            "name_en": plan.name.en,
            "energy_kwh": self._energy_kwh,
            "after_hours_kwh": self._after_hours_kwh,
            "demand_w": self._demand_w,
            "sessions": sum(happened.sessions.values()),
            "after_hours_sessions": happened.after_hours_sessions,
            "overload_alerts": sum(happened.alerts.get(rule, 0) for rule in OVERLOADS),
            "alerts": sum(happened.alerts.values()),
            "uptime_pct": self._uptime_pct(self._expected),
        }
        yield line(SITE_DAY, {"area": plan.area, "site": plan.id}, fields, time_ns)

    def _uptime_pct(self, devices: Iterable[str]) -> float | None:
        expected = heard = 0
        for device in devices:
            expected += self._expected.get(device, 0)
            heard += self._heard.get(device, 0)
        return 100 * heard / expected if expected else None
