"""Which limits are in force where: defaults, overridden by area, site and device.

The layers are what a policy file says, unmerged, so that each value's origin can be told.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import NamedTuple

import msgspec

from rules.policy import Policy
from rules.schedule import Schedule

Tables = Mapping[str, Mapping[str, object]]
"""What one layer says: by table (a rule's name), the keys it sets."""


class InForce(NamedTuple):
    """One value, and the layer that set it."""

    table: str
    key: str
    value: object
    layer: str
    """"built in", "default", "area …", "site …" or "device …"."""


Written = str | int | float | bool
"""A value as a policy file has it."""

Settings = dict[tuple[str, str, str], Written]
"""What every layer sets, by (layer, table, key)."""


class Policies(msgspec.Struct, frozen=True):
    """The layers of a policy file. The empty one is the built-in policy everywhere."""

    default: Tables = {}
    areas: Mapping[str, Tables] = {}
    sites: Mapping[str, Tables] = {}
    devices: Mapping[str, Tables] = {}

    def resolve(self, site: str, device: str | None, schedule: Schedule) -> Policy:
        """Return what is in force for a device, or (None) for its site as a whole.

        Raises msgspec.ValidationError, with the table and the key, if a merged table
        contradicts itself.
        """
        merged: dict[str, dict[str, object]] = {}
        for _, tables in self._layers(site, device):
            for table, keys in tables.items():
                merged.setdefault(table, {}).update(keys)
        return msgspec.structs.replace(msgspec.convert(merged, Policy), schedule=schedule)

    def explain(self, site: str, device: str | None) -> Iterator[InForce]:
        """Yield every value in force, in the order of the policy's tables."""
        policy = self.resolve(site, device, Schedule.nightly())
        layers = self._layers(site, device)
        for table in Policy.__struct_fields__:
            if table == "schedule":
                continue
            limits = getattr(policy, table)
            for key in limits.__struct_fields__:
                set_by = [name for name, tables in layers if key in tables.get(table, {})]
                layer = set_by[-1] if set_by else BUILT_IN_LAYER
                yield InForce(table, key, getattr(limits, key), layer)

    def settings(self) -> Settings:
        """Return all that is set anywhere, the built-in values included."""
        layers: list[tuple[str, Tables]] = [(BUILT_IN_LAYER, built_in_tables())]
        layers.append(("default", self.default))
        layers += [(f"area {name}", tables) for name, tables in self.areas.items()]
        layers += [(f"site {name}", tables) for name, tables in self.sites.items()]
        layers += [(f"device {name}", tables) for name, tables in self.devices.items()]
        return {
            (layer, table, key): as_written(value)
            for layer, tables in layers
            for table, keys in tables.items()
            for key, value in keys.items()
        }

    def _layers(self, site: str, device: str | None) -> list[tuple[str, Tables]]:
        """Return the layers that concern a device, the weakest first."""
        area = site.partition("/")[0]
        found = [("default", self.default)]
        found.append((f"area {area}", self.areas.get(area, {})))
        found.append((f"site {site}", self.sites.get(site, {})))
        if device is not None:
            found.append((f"device {device}", self.devices.get(device, {})))
        return found


BUILT_IN = Policies()
BUILT_IN_LAYER = "built in"


class Changed(NamedTuple):
    """One value that a layer sets otherwise than before; None: it does not set it."""

    layer: str
    table: str
    key: str
    before: Written | None
    after: Written | None

    @property
    def place(self) -> str | None:
        """The area, site or device for which it is set; None: it is set for all."""
        _, _, place = self.layer.partition(" ")
        return place if place and self.layer != BUILT_IN_LAYER else None


def changed(before: Settings, after: Settings) -> list[Changed]:
    """Return the difference, in the order of the settings, what is gone at the end."""
    places = [*after, *(place for place in before if place not in after)]
    return [
        Changed(*place, before.get(place), after.get(place))
        for place in places
        if before.get(place) != after.get(place)
    ]


@cache
def built_in_tables() -> Tables:
    """Return the built-in limits in the form of a layer."""
    policy = Policy()
    return {
        table: msgspec.structs.asdict(getattr(policy, table))
        for table in Policy.__struct_fields__
        if table != "schedule"
    }


UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "min": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
"""How a length of time is written, the longest unit first."""


def as_written(value: object) -> Written:
    """Return a value as a policy file has it: a length of time as "90 s", "8 h"."""
    if isinstance(value, timedelta):
        for unit, length in UNITS.items():
            if value and not value % length:
                return f"{value // length} {unit}"
        return f"{value / UNITS['s']:.6f}".rstrip("0").rstrip(".") + " s"
    if isinstance(value, str | int | float | bool):
        return value
    return str(value)
