"""Checking what a policy file says, all of it: every mistake is told, not only the first."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

from api.policy_shape import NotAllowed, did_you_mean, keys_of, parts_of, tables, value_of
from api.policy_shape import shown as as_found
from rules.policies import BUILT_IN_LAYER, Policies, Tables, as_written, built_in_tables

LAYERS_MAX = 10_000
"""Areas, sites and devices that have limits of their own."""

PARTS = {
    "default": "[default.overload]",
    "area": "[area.town.overload]",
    "site": '[site."town/north".overload]',
    "device": '[device."town/north/pile-1".overload]',
}
"""The tables on the highest level, and an example of each."""
SLASHES = {"area": 0, "site": 1, "device": 2}
"""How many an id has; of a foreign device it may have more."""
ELSEWHERE = frozenset({"schedule", "closed", "zone", "calendar"})
"""Opening hours are facts of a site, no limits."""

Layer = tuple[str, ...]
Checked = dict[str, dict[str, object]]


class Mistake(NamedTuple):
    path: tuple[str, ...]
    """Where it is in the file."""
    words: str


class Checking:
    """One look at a document; `mistakes` is empty if `policies` can be used."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self.mistakes: list[Mistake] = []
        parts: dict[str, dict[str, Checked]] = {part: {} for part in PARTS}
        default: Checked = {}
        for part, said in document.items():
            if part not in PARTS:
                end, examples = did_you_mean(part, PARTS), ", ".join(PARTS.values())
                self._wrong((part,), f"no such part{end} Parts are {examples}")
            elif part == "default":
                default = self._tables((part,), said)
            elif isinstance(said, dict):
                parts[part] = dict(self._places(part, said))
            else:
                self._wrong((part,), f"found {as_found(said)}; allowed: {PARTS[part]}")
        self.policies = Policies(default, parts["area"], parts["site"], parts["device"])
        layers = sum(len(found) for found in parts.values())
        if layers > LAYERS_MAX:
            self._wrong((), f"{layers} areas, sites and devices; allowed: {LAYERS_MAX}")
        elif not self.mistakes:  # else a contradiction may be but a consequence
            self.mistakes += contradictions(self.policies)

    def _wrong(self, path: tuple[str, ...], words: str) -> None:
        self.mistakes.append(Mistake(path, words))

    def _places(
        self, part: str, said: Mapping[str, object]
    ) -> Iterator[tuple[str, dict[str, dict[str, object]]]]:
        for place, tables_said in said.items():
            slashes = place.count("/")
            as_deep = slashes >= SLASHES[part] if part == "device" else slashes == SLASHES[part]
            if as_deep and all(place.split("/")):
                yield place, self._tables((part, place), tables_said)
            else:
                called = ["area", "site", "device"][: SLASHES[part] + 1]
                words = f'it is called "{"/".join(called)}", as in {PARTS[part]}'
                self._wrong((part, place), words)

    def _tables(self, above: Layer, said: object) -> Checked:
        """Return the tables of one layer, as far as they are right."""
        if not isinstance(said, dict):
            self._wrong(above, f"found {as_found(said)}; allowed: tables, {PARTS[above[0]]}")
            return {}
        found: Checked = {}
        for table, keys in said.items():
            path = (*above, table)
            if table in ELSEWHERE:
                self._wrong(path, "opening hours are in the sites file (docs/sites.md)")
            elif table not in tables():
                end, known = did_you_mean(table, tables()), ", ".join(tables())
                self._wrong(path, f"no such table{end} Tables are {known}")
            elif above[0] not in parts_of(table):
                parts = ", ".join(parts_of(table))
                self._wrong(path, f"its limits are for more than that; allowed in: {parts}")
            elif not isinstance(keys, dict):
                known = ", ".join(keys_of(table))
                self._wrong(path, f"found {as_found(keys)}; allowed: a table of {known}")
            else:
                found[table] = dict(self._keys(path, table, keys))
        return found

    def _keys(
        self, path: tuple[str, ...], table: str, keys: Mapping[str, object]
    ) -> Iterator[tuple[str, object]]:
        for key, value in keys.items():
            if key not in keys_of(table):
                end, known = did_you_mean(key, keys_of(table)), ", ".join(keys_of(table))
                self._wrong((*path, key), f"no such key{end} Keys are {known}")
                continue
            try:
                yield key, value_of(value, table, key)
            except NotAllowed as error:
                self._wrong((*path, key), str(error))


def contradictions(policies: Policies) -> Iterator[Mistake]:
    """Yield what each layer says that cannot be, together with what is above it.

    One that a layer above has by itself is told there, and only there.
    """
    yield from _contradicted(("default",), [("default", policies.default)])
    for area, said in policies.areas.items():
        yield from _contradicted(("area", area), _chain(policies, area, said))
    for site, said in policies.sites.items():
        yield from _contradicted(("site", site), _chain(policies, site, said))
    for device, said in policies.devices.items():
        yield from _contradicted(("device", device), _chain(policies, device, said))


def _chain(policies: Policies, place: str, own: Tables) -> list[tuple[str, Tables]]:
    """Return the layers of a place with their names, the weakest first, its own last."""
    levels = place.split("/")
    area, site = levels[0], "/".join(levels[:2])
    chain: list[tuple[str, Tables]] = [("default", policies.default)]
    if len(levels) > 1:
        chain.append((f"area {area}", policies.areas.get(area, {})))
    if len(levels) > 2:  # noqa: PLR2004  (it is a device)
        chain.append((f"site {site}", policies.sites.get(site, {})))
    kind = ("area", "site", "device")[min(len(levels), 3) - 1]
    return [*chain, (f"{kind} {place}", own)]


def _contradicted(path: Layer, chain: list[tuple[str, Tables]]) -> Iterator[Mistake]:
    layers = [(BUILT_IN_LAYER, built_in_tables()), *chain]
    _, own = layers[-1]
    for table, own_keys in own.items():
        values: dict[str, object] = {}
        origin: dict[str, str] = {}
        for layer, said in layers:
            values |= said.get(table, {})
            origin |= dict.fromkeys(said.get(table, {}), layer)
        try:
            tables()[table](**values)
        except ValueError as error:
            concerned = [key for key in values if re.search(rf"\b{key}\b", str(error))]
            if set(concerned) & set(own_keys) or not concerned:
                is_said = ", ".join(
                    f"{key} is {_written(values[key])} ({origin[key]})" for key in concerned
                )
                yield Mistake(
                    (*path, table, *_first(concerned, own_keys)), f"{error}: {is_said}"
                )


def _first(concerned: list[str], own: Mapping[str, object]) -> list[str]:
    return [key for key in concerned if key in own][:1]


def _written(value: object) -> str:
    written = as_written(value)
    return str(written) if isinstance(value, timedelta) else as_found(written)
