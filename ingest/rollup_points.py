"""Rollups as points of InfluxDB: windows as they are, and days added up from them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from ingest.influx_lines import NS_IN_US, Value, line
from ingest.measurements import SITE_15M, SITE_DAY, SOCKET_15M, SOCKET_DAY
from ingest.moments import to_us
from ingest.rollups import SitePlan, SiteQuarter, Unit


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """What began on a day: charges, and alerts by their rule."""

    sessions: Mapping[Unit, int] = {}
    after_hours_sessions: int = 0
    alerts: Mapping[str, int] = {}


OVERLOADS = ("overload", "pile_overload", "site_overload")


def quarter_lines(plan: SitePlan, quarter: SiteQuarter) -> Iterator[bytes]:
    """Yield the points of one window."""
    time_ns = to_us(quarter.at) * NS_IN_US
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

    def add(self, quarter: SiteQuarter) -> None:
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
        plan, time_ns = self._plan, to_us(self._begins) * NS_IN_US
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
