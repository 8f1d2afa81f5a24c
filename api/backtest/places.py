"""Whose traffic it is, and which policies it is held against."""

from datetime import datetime
from pathlib import Path

from api.policy_file import read_policies
from api.sites import read_sites
from ingest.codecs import all_codecs
from ingest.registry import UNDECLARED, Registry
from rules.alerts import Group, GroupKind
from rules.policies import Policies
from rules.policy import DeviceProfile, Policy
from rules.readings import DeviceId
from rules.schedule import Schedule

NATIVE_LEVELS = 3


class Under:
    """The places of a registry under another policy than its own."""

    def __init__(self, policies: Policies, registry: Registry) -> None:
        self._policies, self._registry = policies, registry
        self._found: dict[DeviceId | Group, Policy] = {}

    def profile_of(self, device: DeviceId) -> DeviceProfile:
        return self._registry.profile_of(device)

    def groups_of_site(self, site: str) -> tuple[Group, ...]:
        return self._registry.groups_of_site(site)

    def policy_of(self, device: DeviceId) -> Policy:
        found = self._found.get(device)
        if found is None:
            site = self._registry.devices[device].site
            found = self.group_policy_of(Group(GroupKind.SITE, site))
            if device in self._policies.devices:
                found = self._resolved(site, device)
            self._found[device] = found
        return found

    def group_policy_of(self, group: Group) -> Policy:
        found = self._found.get(group)
        if found is None:
            site = group.name if group.kind is GroupKind.SITE else ""
            found = self._found[group] = self._resolved(site, None)
        return found

    def _resolved(self, site: str, device: DeviceId | None) -> Policy:
        known = self._registry.sites.get(site)
        schedule = known.schedule if known else Schedule.nightly()
        return self._policies.resolve(site, device, schedule)


def registry_of(sites: Path | None, policy: Path | None, at: datetime) -> Registry:
    """Return the register as the service would have had it `at` that moment."""
    registry = Registry([], [], [])
    declare(registry, sites, policy, at)
    return registry


def declare(registry: Registry, sites: Path | None, policy: Path | None, at: datetime) -> None:
    """Let the files say what there is and what is in force, by the calendars of that year."""
    if sites is not None:
        declared = read_sites(sites, [codec.name for codec in all_codecs()], at.year)
        registry.declare(declared.areas, declared.sites, declared.devices, at)
    if policy is not None:
        registry.apply(read_policies(policy))


def enter(registry: Registry, device: DeviceId, at: datetime) -> bool:
    """See to it that a device of a history is known; False: nobody can say what it is."""
    if device in registry.devices:
        return True
    if device.startswith(f"{UNDECLARED}/"):
        _, dialect, name = device.split("/", 2)
        return registry.enter(dialect, name, at) is not None
    if device.count("/") != NATIVE_LEVELS - 1:
        return False  # a declared device of old, whose dialect nobody knows any more
    return registry.enter("native", device, at) is not None
