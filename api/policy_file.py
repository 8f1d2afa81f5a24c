"""The policy file: the limits of the rules, by default, area, site and device.

One TOML file (docs/policy.md). A mistake in it is told with the place and what is allowed
there, and the whole file is refused: half a policy would be worse than none.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from ingest.errors import ChargewatchError
from rules.policies import UNITS, Policies
from rules.schedule import Schedule

DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|d)")


class PolicyFileWrong(ChargewatchError):
    """The policy file cannot be used; the message names the place and what is allowed."""


class PolicyFile(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file: tables of limits, by the place where they are in force."""

    default: dict[str, dict[str, object]] = {}
    area: dict[str, dict[str, dict[str, object]]] = {}
    site: dict[str, dict[str, dict[str, object]]] = {}
    device: dict[str, dict[str, dict[str, object]]] = {}


def read_policies(path: Path) -> Policies:
    """Read and check a policy file; raises PolicyFileWrong with the place and the reason."""
    try:
        return parsed(path.read_bytes())
    except OSError as error:
        raise PolicyFileWrong(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyFileWrong(f"{path}: save it as UTF-8 ({error})") from error
    except (msgspec.DecodeError, PolicyFileWrong) as error:
        raise PolicyFileWrong(f"{path}: {error}") from error


def parsed(text: bytes) -> Policies:
    """Check the text of a policy file and return its layers."""
    file = msgspec.toml.decode(text, type=PolicyFile)
    policies = Policies(
        _tables(file.default),
        {name: _tables(tables) for name, tables in file.area.items()},
        {name: _tables(tables) for name, tables in file.site.items()},
        {name: _tables(tables) for name, tables in file.device.items()},
    )
    for site, device in _places(policies):
        try:
            policies.resolve(site, device, Schedule.nightly())
        except msgspec.ValidationError as error:
            raise PolicyFileWrong(f"{device or site or 'default'}: {error}") from error
    return policies


def _places(policies: Policies) -> Iterable[tuple[str, str | None]]:
    """Yield a place for each layer, at which it must not contradict what is above it."""
    yield "", None
    yield from ((f"{area}/", None) for area in policies.areas)
    yield from ((site, None) for site in policies.sites)
    yield from (("/".join(device.split("/")[:2]), device) for device in policies.devices)


def _tables(tables: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    return {
        table: {key: _value(value) for key, value in keys.items()}
        for table, keys in tables.items()
    }


def _value(value: object) -> object:
    """Return a length of time for "30 s", "10 min", "8 h", "1 d"; anything else as it is."""
    if isinstance(value, str) and (match := DURATION.fullmatch(value)):
        return float(match[1]) * UNITS[match[2]]
    return value
