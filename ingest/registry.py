"""Who is who: areas, sites, devices and their sockets, in memory, as the ledger keeps them.

A device that nobody declared is entered when it is first heard, marked as undeclared, and
watched like any other: a fire does not ask whether the paperwork is done.
"""

from collections.abc import Container, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from ingest.wire import Profile
from rules.alerts import EVERYTHING, Group, GroupKind
from rules.policies import BUILT_IN, Policies
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId, Kind, Reading
from rules.schedule import Schedule

UNDECLARED = "undeclared"
"""The area of those that nobody declared, and that do not say where they stand."""
DEVICES_MAX = 200_000
"""A limit on what strangers can make us remember; declared devices are not counted."""


class Name(msgspec.Struct, frozen=True):
    zh: str
    en: str


UNDECLARED_NAME = Name("未登记设备", "Undeclared devices")


class Location(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place on the map: degrees north and east (WGS 84)."""

    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]


class Area(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: Name
    declared: bool = True


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is "area/site"."""

    id: str
    area: str
    name: Name
    declared: bool = True
    schedule: Schedule = Schedule.nightly()
    carrier: str = ""
    """Whose network its devices speak through; empty: nobody said."""
    location: Location | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is "area/site/device"; `name` is what its dialect calls it."""

    id: DeviceId
    site: str
    dialect: str
    name: str
    kind: Kind = Kind.UNKNOWN
    declared: bool = True
    sockets: frozenset[int] = frozenset()
    silent_after: timedelta | None = None
    added_at: datetime | None = None


class Gone(msgspec.Struct, frozen=True):
    """A device that is no longer known by this id."""

    id: DeviceId


Entry = Area | Site | Device | Gone
P = TypeVar("P", Area, Site)


class _Names(msgspec.Struct, frozen=True):
    dialect: str
    named: dict[tuple[str, str], DeviceId]

    def __contains__(self, name: object) -> bool:
        return (self.dialect, name) in self.named


class Registry:
    """Looks up devices by what they are called, and enters those that nobody knows.

    What was entered or changed since it was last asked is in `news`, for the next commit.
    """

    def __init__(
        self, areas: Iterable[Area], sites: Iterable[Site], devices: Iterable[Device]
    ) -> None:
        self.areas = {area.id: area for area in areas}
        self.sites = {site.id: site for site in sites}
        self.devices = {device.id: device for device in devices}
        self._named = {(device.dialect, device.name): device.id for device in devices}
        self._profiles: dict[DeviceId, DeviceProfile] = {}
        self._policies = BUILT_IN
        self._policy_of: dict[DeviceId | Group, Policy] = {}
        self._groups_of: dict[str, tuple[Group, ...]] = {}
        self._strangers = sum(not device.declared for device in self.devices.values())
        self.news: list[Entry] = []

    def declare(
        self,
        areas: Iterable[Area],
        sites: Iterable[Site],
        devices: Iterable[Device],
        now: datetime,
    ) -> None:
        """Take over what the operator says; what is no longer declared becomes a stranger."""
        declared = {device.id: device for device in devices}
        self._take_over(self.areas, areas)
        self._take_over(self.sites, sites)
        for known in list(self.devices.values()):
            if known.declared and known.id not in declared:
                self._put(msgspec.structs.replace(known, declared=False))
        for device in declared.values():
            called = self.find(device.dialect, device.name)
            if called is not None and called.id != device.id:
                self._remove(called)
            before = self.devices.get(device.id)
            if before is not None and (before.dialect, before.name) != (
                device.dialect,
                device.name,
            ):
                self._remove(before)
            self._put(
                msgspec.structs.replace(
                    device,
                    sockets=device.sockets | (before.sockets if before else frozenset()),
                    added_at=before.added_at if before else now,
                )
            )

    def names(self, dialect: str) -> Container[str]:
        """Return the names that are known in a dialect, for codecs with ambiguous topics."""
        return _Names(dialect, self._named)

    def find(self, dialect: str, name: str) -> Device | None:
        device = self._named.get((dialect, name))
        return None if device is None else self.devices[device]

    def enter(self, dialect: str, name: str, now: datetime) -> Device | None:
        """Enter a stranger; None if there are too many of them already.

        Who speaks natively as a device that speaks otherwise is one, and never takes its place.
        """
        if self._strangers >= DEVICES_MAX:
            return None
        self._strangers += 1
        if dialect == "native" and name not in self.devices:
            area, site, _ = name.split("/")
            device_id = DeviceId(name)
        else:
            area, site = UNDECLARED, dialect
            device_id = DeviceId(f"{UNDECLARED}/{dialect}/{name}")
        if area not in self.areas:
            name_of_area = UNDECLARED_NAME if area == UNDECLARED else Name(area, area)
            self._put(Area(id=area, name=name_of_area, declared=False))
        site_id = f"{area}/{site}"
        if site_id not in self.sites:
            self._put(Site(id=site_id, area=area, name=Name(site, site), declared=False))
        device = Device(
            id=device_id, site=site_id, dialect=dialect, name=name, declared=False, added_at=now
        )
        self._put(device)
        return device

    def learn(self, device: Device, readings: Iterable[Reading]) -> Device:
        """Note sockets, and the kind of a device that nobody told us, from what it says."""
        kind, sockets = device.kind, device.sockets
        for reading in readings:
            if reading.channel is not None and reading.channel not in sockets:
                sockets |= {reading.channel}
            if kind is Kind.UNKNOWN:
                kind = _apparent_kind(reading)
        if kind is device.kind and sockets is device.sockets:
            return device
        learnt = msgspec.structs.replace(device, kind=kind, sockets=sockets)
        self._put(learnt)
        return learnt

    def profile_of(self, device: DeviceId) -> DeviceProfile:
        """Return what the rules may know of a device."""
        profile = self._profiles.get(device)
        if profile is None:
            known = self.devices[device]
            profile = self._profiles[device] = DeviceProfile(
                id=device,
                site=known.site,
                kind=known.kind,
                declared=known.declared,
                silent_after=known.silent_after,
            )
        return profile

    @property
    def policies(self) -> Policies:
        """What the policy file says."""
        return self._policies

    def apply(self, policies: Policies) -> None:
        """Put other limits in force, from the next judgement on."""
        self._policies = policies
        self._policy_of.clear()

    def policy_of(self, device: DeviceId) -> Policy:
        """Return the limits in force for a device."""
        found = self._policy_of.get(device)
        if found is None:
            site = self.devices[device].site
            found = self.site_policy_of(site)  # one for all its devices: they are many
            if device in self._policies.devices:
                found = self._policies.resolve(site, device, self.sites[site].schedule)
            self._policy_of[device] = found
        return found

    def site_policy_of(self, site: str) -> Policy:
        """Return the limits in force for a site as a whole."""
        return self.group_policy_of(Group(GroupKind.SITE, site))

    def group_policy_of(self, group: Group) -> Policy:
        """Return the limits of a site, or (of any wider group) the default ones."""
        found = self._policy_of.get(group)
        if found is None:
            known = self.sites.get(group.name) if group.kind is GroupKind.SITE else None
            schedule = known.schedule if known else Schedule.nightly()
            found = self._policies.resolve(known.id if known else "", None, schedule)
            self._policy_of[group] = found
        return found

    def groups_of_site(self, site: str) -> tuple[Group, ...]:
        """Return the groups of a site's devices, from the narrowest to the widest."""
        found = self._groups_of.get(site)
        if found is None:
            groups = [Group(GroupKind.SITE, site)]
            if carrier := self.sites[site].carrier:
                groups.append(Group(GroupKind.CARRIER, carrier))
            found = self._groups_of[site] = (*groups, EVERYTHING)
        return found

    def codec_profile(self, device: Device) -> Profile:
        """Return what a codec may know of a device."""
        return Profile(device.kind, ZoneInfo(self.sites[device.site].schedule.zone_name))

    def take_news(self) -> Iterator[Entry]:
        """Yield what is new since the last call, areas before their sites and devices."""
        news, self.news = self.news, []
        yield from news

    def _take_over(self, known: dict[str, P], declared: Iterable[P]) -> None:
        """Put what is declared; what no longer is stays as it was, as a stranger's."""
        named = {place.id: place for place in declared}
        for place in list(known.values()):
            if place.declared and place.id not in named:
                self._put(msgspec.structs.replace(place, declared=False))
        for place in named.values():
            self._put(place)

    def _remove(self, device: Device) -> None:
        del self.devices[device.id]
        del self._named[device.dialect, device.name]
        self._profiles.pop(device.id, None)
        self.news.append(Gone(device.id))

    def _put(self, entry: Area | Site | Device) -> None:
        match entry:
            case Area():
                self.areas[entry.id] = entry
            case Site():
                if entry.id in self.sites:
                    self._groups_of.pop(entry.id, None)
                    self._policy_of.clear()
                self.sites[entry.id] = entry
            case Device():
                self.devices[entry.id] = entry
                self._named[entry.dialect, entry.name] = entry.id
                self._profiles.pop(entry.id, None)
                self._policy_of.pop(entry.id, None)
        self.news.append(entry)


def _apparent_kind(reading: Reading) -> Kind:
    if reading.smoke_alarm is not None:
        return Kind.SMOKE
    if reading.power_w is not None or reading.relay_on is not None:
        return Kind.CHARGER
    return Kind.UNKNOWN
