"""What readings come to: quarters of an hour of a site and of its sockets.

Pure: what InfluxDB answered about a stretch of time in, windows out. Every window can be made
anew at any time, and comes out the same while its readings are the same.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from ingest.influx_lines import place_of
from ingest.registry import Name
from ingest.windows import HOURS, QUARTER, windows
from rules.schedule import Schedule


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
            after_hours_kwh=energy_kwh and energy_kwh * _closed_share(plan.schedule, at),
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
