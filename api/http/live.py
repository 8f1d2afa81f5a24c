"""What is going on at a station now, as far as the engine knows. It keeps nothing."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from api.http.scope import Scoped
from api.http.shapes.places import Charge, Condition, Device, Site, SmokeWatch, Socket, Use
from api.http.shapes.shape import Names, Value
from api.text import device_label
from api.watch import Watch
from ingest.registry import Device as Entry
from ingest.registry import Site as SiteEntry
from rules.alerts import Alert, Group, GroupKind, State, Subject
from rules.readings import QUANTITIES, Kind
from rules.subject import DeviceState, Values
from rules.verdict import Severity

SMOKE, SILENCE = "smoke", "silence"
"""The rules that tell of smoke, and of a device that has stopped reporting."""


class Station(NamedTuple):
    """A site with all its devices."""

    site: Site
    devices: tuple[Device, ...]


class Present(NamedTuple):
    """The present moment, and how to look at a device in it."""

    now: datetime
    fresh_for: timedelta
    charging_w_min: float


def devices_by_site(watch: Watch) -> dict[str, list[Entry]]:
    """Return the registered devices of every site, by id; sites without any are in it too."""
    found: dict[str, list[Entry]] = {site: [] for site in watch.registry.sites}
    for device in watch.registry.devices.values():
        found.setdefault(device.site, []).append(device)
    for devices in found.values():
        devices.sort(key=lambda device: device.id)
    return found


class Glance(NamedTuple):
    """What a device adds to the sum of its site."""

    condition: Condition
    uses: tuple[Use, ...]
    power_w: float | None
    smoke: SmokeWatch | None
    heard_at: datetime | None
    firing: int


async def sites_of(scoped: Scoped, area: str | None) -> list[Site]:
    """Return every site of theirs (in one area), giving way to the engine after each."""
    watch = scoped.watch
    devices = devices_by_site(watch)
    found: list[Site] = []
    for site in scoped.sites():
        if area is None or site.area == area:
            found.append(site_of(watch, site, devices.get(site.id, ())))
            await asyncio.sleep(0)
    return found


def station_of(watch: Watch, entry: SiteEntry, devices: Iterable[Entry]) -> Station:
    """Return what is known of a site and of each of its devices at this moment."""
    entries = tuple(devices)
    live = tuple(device_of(watch, device) for device in entries)
    return Station(site_of(watch, entry, entries), live)


def site_of(watch: Watch, entry: SiteEntry, devices: Iterable[Entry]) -> Site:
    """Return what is known of a site at this moment, in sum: there may be hundreds to list."""
    seen = [glance_of(watch, device) for device in devices]
    uses = Counter(use for glance in seen for use in glance.uses)
    smoke = Counter(glance.smoke for glance in seen)
    powers = [glance.power_w for glance in seen if glance.power_w is not None]
    own = _firing(watch, Group(GroupKind.SITE, entry.id))
    conditions = [glance.condition for glance in seen]
    if own:
        conditions.append(condition_of(own))
    return Site(
        id=entry.id,
        area=entry.area,
        name=Names.of(entry.name),
        declared=entry.declared,
        condition=worst(conditions),
        zone=entry.schedule.zone_name,
        devices=len(seen),
        sockets={use: uses[use] for use in Use},
        smoke={word: smoke[word] for word in SmokeWatch},
        power_w=sum(powers) if powers else None,
        heard_at=max((g.heard_at for g in seen if g.heard_at is not None), default=None),
        firing=len(own) + sum(glance.firing for glance in seen),
    )


def glance_of(watch: Watch, entry: Entry) -> Glance:
    """Return what a device adds to the sum of its site."""
    state, moment, firing = _known(watch, entry)
    charger, smoke = entry.kind is Kind.CHARGER, entry.kind is Kind.SMOKE
    sockets = state.every_socket(entry.sockets) if charger else ()
    return Glance(
        condition=_condition(state, firing),
        uses=tuple(_use(part, moment) for part in sockets),
        power_w=_power_w(state, moment),
        smoke=_smoke(state, firing) if smoke else None,
        heard_at=state.heard_at,
        firing=len(firing),
    )


def device_of(watch: Watch, entry: Entry) -> Device:
    """Return what is known of a device at this moment."""
    state, moment, firing = _known(watch, entry)
    return Device(
        id=entry.id,
        site=entry.site,
        label=device_label(entry.id),
        kind=entry.kind,
        dialect=entry.dialect,
        declared=entry.declared,
        condition=_condition(state, firing),
        online=state.whole.online,
        heard_at=state.heard_at,
        power_w=_power_w(state, moment),
        smoke=_smoke(state, firing) if entry.kind is Kind.SMOKE else None,
        sockets=_sockets(entry, state, moment) if entry.kind is Kind.CHARGER else [],
        values=_said(state.whole),
    )


def condition_of(firing: Iterable[Alert]) -> Condition:
    """Return how bad it is, by the worst of the alerts that fire."""
    gravest = max((alert.severity.rank for alert in firing), default=-1)
    if gravest < 0:
        return Condition.FINE
    return Condition.WARNING if gravest == Severity.WARNING.rank else Condition.CRITICAL


def worst(conditions: Iterable[Condition]) -> Condition:
    order = tuple(Condition)
    return min(conditions, key=order.index, default=Condition.UNKNOWN)


def _known(watch: Watch, entry: Entry) -> tuple[DeviceState, Present, tuple[Alert, ...]]:
    """Return a device's state, the moment to look at it, and what fires about it."""
    state = watch.engine.device(entry.id) or DeviceState(entry.id, entry.site, entry.kind)
    policy = watch.registry.policy_of(entry.id)
    fresh_for = entry.silent_after or policy.silent_after(entry.kind)
    moment = Present(watch.now(), fresh_for, policy.charging.min_w)
    return state, moment, _firing(watch, entry.id)


def _power_w(state: DeviceState, moment: Present) -> float | None:
    powers = [
        power_w
        for part in state.metered_parts
        if (power_w := part.fresh_power_w(moment.now, moment.fresh_for)) is not None
    ]
    return sum(powers) if powers else None


def _use(part: Values, moment: Present) -> Use:
    charges = part.charges(moment.now, moment.fresh_for, moment.charging_w_min)
    return Use.UNKNOWN if charges is None else Use.CHARGING if charges else Use.FREE


def _firing(watch: Watch, subject: Subject) -> tuple[Alert, ...]:
    alerts = watch.engine.alerts_of(subject)
    return tuple(alert for alert in alerts if alert.state is State.FIRING)


def _condition(state: DeviceState, firing: tuple[Alert, ...]) -> Condition:
    if firing:
        return condition_of(firing)
    return Condition.UNKNOWN if state.heard_at is None else Condition.FINE


def _smoke(state: DeviceState, firing: tuple[Alert, ...]) -> SmokeWatch:
    """Say what the rules say. An alarm outlasts the detector: fire destroys detectors."""
    rules = {alert.key.rule for alert in firing}
    if SMOKE in rules:
        return SmokeWatch.ALARM
    if SILENCE in rules:
        return SmokeWatch.SILENT
    if state.heard_at is None:
        return SmokeWatch.NEVER
    return SmokeWatch.TESTING if state.whole.self_test else SmokeWatch.FINE


def _sockets(entry: Entry, state: DeviceState, moment: Present) -> list[Socket]:
    return [_socket(part, moment) for part in state.every_socket(entry.sockets)]


def _socket(part: Values, moment: Present) -> Socket:
    return Socket(
        channel=part.channel,
        use=_use(part, moment),
        power_w=part.fresh_power_w(moment.now, moment.fresh_for),
        relay_on=part.relay_on,
        device_temperature_c=part.device_temperature_c,
        as_of=part.power_at,
        latched_since=part.cut.latch.since if part.cut and part.cut.latch else None,
        charge=Charge.of(part.session) if part.session and part.session.is_open else None,
        values=_said(part),
    )


def _said(part: Values) -> dict[str, Value]:
    said = {name: getattr(part, name) for name in QUANTITIES}
    return {name: value for name, value in said.items() if value is not None}
