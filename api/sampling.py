"""What the service sees now, as points of InfluxDB: sites, devices, and the service itself.

Pure: the engine, the registry and the counts of one moment in, lines out. Who is silent, what
charges and what is closed are the engine's own answers, as on the console's pages.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from ingest.influx_lines import NS_IN_US, Value, line, place_of
from ingest.measurements import CHOICE_ENDS_NAME, DEVICE_NOW, SERVICE_NOW, SITE_NOW
from ingest.moments import to_us
from ingest.registry import Device, Name, Registry, Site
from rules.alerts import Alert, State
from rules.engine import Engine
from rules.groups import SILENCE
from rules.readings import ClockState, Kind
from rules.schedule import Calendar
from rules.subject import DeviceState, Values


class Firing(msgspec.Struct):
    """The alerts that fire at one site."""

    count: int = 0
    worst: int = 0
    """0 none, 1 warning, 2 critical, 3 emergency."""

    def note(self, alert: Alert) -> None:
        self.count += 1
        self.worst = max(self.worst, alert.severity.rank + 1)


class Scene:
    """What the engine knows at one moment; look at it at once, it does not stand still."""

    def __init__(
        self, registry: Registry, engine: Engine, calendar: Calendar, now: datetime
    ) -> None:
        self.registry, self.engine, self.now = registry, engine, now
        self._calendar = calendar
        self._time_ns = to_us(now) * NS_IN_US

    def sites(self) -> Iterator[bytes]:
        """Yield a point for each site that has devices."""
        devices, firing = self._devices_by_site(), self.firing()
        for site in list(self.registry.sites.values()):
            if there := devices.get(site.id):
                yield self._site(site, there, firing.get(site.id, Firing()))

    def devices(self) -> Iterator[bytes]:
        """Yield a point for each device."""
        for device in list(self.registry.devices.values()):
            yield self._device(device)

    def firing(self) -> dict[str, Firing]:
        """Return what fires by site; "" stands for what concerns several."""
        found: dict[str, Firing] = {}
        for alert in self.engine.open_alerts():
            if alert.state is State.FIRING:
                found.setdefault(alert.site, Firing()).note(alert)
        return found

    def _devices_by_site(self) -> dict[str, list[Device]]:
        found: dict[str, list[Device]] = {}
        for device in self.registry.devices.values():
            found.setdefault(device.site, []).append(device)
        return found

    def _site(self, site: Site, devices: Iterable[Device], firing: Firing) -> bytes:
        there = tuple(devices)
        closed = self._calendar.span(site.id, site.schedule, self.now).closed
        chargers = [device for device in there if device.kind is Kind.CHARGER]
        charging = sum(self._charging(device) for device in chargers)
        powers = [power for device in chargers for power in self._powers_w(device)]
        declared = Counter(device.kind for device in there if device.declared)
        missing = Counter(
            device.kind for device in there if device.declared and self._is_missing(device)
        )
        fields: dict[str, Value | None] = {
            "name_zh": site.name.zh,
            "name_en": site.name.en,
            **_choices("choice", site.name, site.id),
            **_choices("area_choice", self._area_name(site.area), site.area),
            "latitude": None if site.location is None else site.location.latitude,
            "longitude": None if site.location is None else site.location.longitude,
            "worst": firing.worst,
            "open_alerts": firing.count,
            "sockets": sum(len(self._sockets(device)) for device in chargers),
            "charging": charging,
            "after_hours": charging if closed else 0,
            "closed": int(closed),
            "power_w": sum(powers) if powers else None,
            "chargers": declared[Kind.CHARGER],
            "chargers_missing": missing[Kind.CHARGER],
            "sensors": declared[Kind.SMOKE],
            "sensors_missing": missing[Kind.SMOKE],
        }
        return line(SITE_NOW, {"area": site.area, "site": site.id}, fields, self._time_ns)

    def _area_name(self, area: str) -> Name:
        known = self.registry.areas.get(area)
        return Name(area, area) if known is None else known.name

    def _device(self, device: Device) -> bytes:
        state = self._state(device)
        heard_at, shown = state.heard_at, state.live_claim
        ago_s = None if heard_at is None else (self.now - heard_at).total_seconds()
        off_s = None
        if heard_at is not None and shown is not None:
            off_s = (shown - heard_at).total_seconds()
        whole = state.whole
        fields: dict[str, Value | None] = {
            "name": device.name,
            "declared": int(device.declared),
            "silent": int(self._is_missing(device)),
            "heard_ago_s": ago_s,
            "battery_pct": whole.battery_pct,
            "battery_low": None if whole.battery_low is None else int(whole.battery_low),
            "signal_pct": whole.signal_pct,
            "clock_off_s": off_s,
            "clock_wrong": int(state.clock is ClockState.WRONG),
            "firmware": whole.firmware,
            **self._limits(device),
        }
        tags = place_of(device.id) | {"kind": device.kind, "dialect": device.dialect}
        return line(DEVICE_NOW, tags, fields, self._time_ns)

    def _limits(self, device: Device) -> dict[str, Value | None]:
        if device.kind is not Kind.CHARGER:
            return {}
        policy = self.registry.policy_of(device.id)
        return {
            "overload_warn_w": policy.overload.warn_w,
            "overload_act_w": policy.overload.act_w,
            "heat_warn_c": policy.heat.warn_c,
            "heat_act_c": policy.heat.act_c,
        }

    def _state(self, device: Device) -> DeviceState:
        known = self.engine.device(device.id)
        return known or DeviceState(device.id, device.site, device.kind)

    def _is_missing(self, device: Device) -> bool:
        if self._state(device).heard_at is None:
            return True
        return any(
            alert.key.rule == SILENCE and alert.state is State.FIRING
            for alert in self.engine.alerts_of(device.id)
        )

    def _sockets(self, device: Device) -> list[Values]:
        return self._state(device).every_socket(device.sockets)

    def _charging(self, device: Device) -> int:
        policy = self.registry.policy_of(device.id)
        fresh_for = device.silent_after or policy.silent_after(device.kind)
        min_w = policy.charging.min_w
        return sum(
            part.charges(self.now, fresh_for, min_w) is True for part in self._sockets(device)
        )

    def _powers_w(self, device: Device) -> Iterator[float]:
        policy = self.registry.policy_of(device.id)
        fresh_for = device.silent_after or policy.silent_after(device.kind)
        for part in self._state(device).metered_parts:
            power_w = part.fresh_power_w(self.now, fresh_for)
            if power_w is not None:
                yield power_w


def _choices(what: str, name: Name, ident: str) -> dict[str, Value | None]:
    """Return what Grafana offers: it shows the name, and asks for the id."""
    return {
        f"{what}_zh": f"{name.zh}{CHOICE_ENDS_NAME}{ident}",
        f"{what}_en": f"{name.en}{CHOICE_ENDS_NAME}{ident}",
    }


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted since the service started."""

    at: datetime
    messages: int = 0
    readings: int = 0
    refused: int = 0
    repeated: int = 0
    told: int = 0
    tries_failed: int = 0
    given_up: int = 0


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How the service is at one moment."""

    lag: int | None = None
    """Journal entries that the history lacks; None: not known."""
    delays_s: tuple[float, ...] = ()
    """Of the alarms of the last hour, from arrival to the first telling."""
    outbox: int | None = None
    broker_ok: bool = True
    ledger_ok: bool = True
    history_ok: bool = True
    open_alerts: int = 0
    memory_mib: float | None = None


def service_line(before: Counts, counts: Counts, shape: Shape) -> bytes:
    """Return how the service did between two counts, and how it is at the second."""
    passed_s = (counts.at - before.at).total_seconds()

    def rate(counted: int) -> float | None:
        return counted / passed_s if passed_s > 0 else None

    fields: dict[str, Value | None] = {
        "messages_s": rate(counts.messages - before.messages),
        "readings_s": rate(counts.readings - before.readings),
        "refused": counts.refused - before.refused,
        "repeated": counts.repeated - before.repeated,
        "lag": shape.lag,
        **quantiles(shape.delays_s, {"delay_p50_s": 0.5, "delay_p99_s": 0.99}),
        "outbox": shape.outbox,
        "told": counts.told - before.told,
        "tries_failed": counts.tries_failed - before.tries_failed,
        "given_up": counts.given_up - before.given_up,
        "broker_ok": int(shape.broker_ok),
        "ledger_ok": int(shape.ledger_ok),
        "history_ok": int(shape.history_ok),
        "open_alerts": shape.open_alerts,
        "memory_mib": shape.memory_mib,
    }
    return line(SERVICE_NOW, {}, fields, to_us(counts.at) * NS_IN_US)


def quantiles(values: Iterable[float], wanted: Mapping[str, float]) -> dict[str, float]:
    """Return by name the smallest value that is not below that share of all; {} of none."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {
        name: ordered[math.ceil(share * len(ordered)) - 1] for name, share in wanted.items()
    }
