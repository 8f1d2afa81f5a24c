"""Whose traffic it is, and which policies it is held against.

The only file here that knows how a policy is written down.
"""

from datetime import datetime
from pathlib import Path

from api.sites import Declared, read_sites
from ingest.codecs import all_codecs
from ingest.registry import UNDECLARED, Registry
from rules.engine import PolicyOf
from rules.policy import SitePolicy
from rules.readings import DeviceId

NATIVE_LEVELS = 3


def registry_of(sites: Path | None, at: datetime) -> Registry:
    """Return the register as the service would have had it `at` that moment."""
    registry = Registry([], [], [])
    if sites is not None:
        declare(registry, sites, at)
    return registry


def declare(registry: Registry, sites: Path, at: datetime) -> None:
    """Let a sites file say what there is; calendars are those of that year."""
    declared = _read(sites, at)
    registry.declare(declared.areas, declared.sites, declared.devices, at)


def proposed(policy: Path, registry: Registry, at: datetime) -> PolicyOf:
    """Return the policies of a file; of a site that it leaves out, the one in force."""
    policies = {site.id: site.policy for site in _read(policy, at).sites}

    def policy_of(site: str) -> SitePolicy:
        return policies.get(site) or registry.policy_of(site)

    return policy_of


def enter(registry: Registry, device: DeviceId, at: datetime) -> bool:
    """See to it that a device of a history is known; False: there are too many."""
    if device in registry.devices:
        return True
    if device.startswith(f"{UNDECLARED}/"):
        _, dialect, name = device.split("/", 2)
        return registry.enter(dialect, name, at) is not None
    if device.count("/") != NATIVE_LEVELS - 1:
        return False  # a declared device of old, whose dialect nobody knows any more
    return registry.enter("native", device, at) is not None


def _read(path: Path, at: datetime) -> Declared:
    return read_sites(path, [codec.name for codec in all_codecs()], at.year)
