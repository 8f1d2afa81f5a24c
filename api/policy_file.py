"""The policy file: the limits of the rules, by default, area, site and device.

One TOML file (docs/policy.md). Every mistake in it is told with its line and what is
allowed there, and the whole file is refused: half a policy would be worse than none.
"""

import hashlib
import re
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from api.policy_check import Checking, Mistake
from api.policy_shape import did_you_mean, shown
from ingest.errors import ChargewatchError
from ingest.toml_lines import line_of, lines_of
from rules.policies import BUILT_IN, BUILT_IN_LAYER, Policies, Settings

BARE = re.compile(r"[A-Za-z0-9_-]+")
BYTES_MAX = 1024 * 1024
MISTAKES_MAX = 20
"""Told at a time; when these are mended, the others will be seen."""
CANDIDATES_MAX = 1_000
"""Names that are compared with one that nobody knows: it takes some 20 us for each."""


class PolicyFileWrong(ChargewatchError):
    """The policy file cannot be used; a line for each mistake, with what is allowed."""


class PolicyText(msgspec.Struct, frozen=True):
    """What a policy file says, and which file it was."""

    policies: Policies = BUILT_IN
    file: str = ""
    """Empty: there is none, and the built-in limits are in force everywhere."""
    digest: str = ""
    """SHA-256 of the file, in hexadecimal."""


class KnownPlaces(msgspec.Struct, frozen=True):
    """Who there is to have limits: ids of areas, sites and devices."""

    areas: Collection[str]
    sites: Collection[str]
    devices: Collection[str]


def read_policies(path: Path) -> Policies:
    """Read and check a policy file; raises PolicyFileWrong with every place and reason."""
    return read_policy_text(path).policies


def read_policy_text(path: Path) -> PolicyText:
    """Read and check a policy file, and note which one it was."""
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise PolicyFileWrong(f"{path}: {error.strerror}") from error
    try:
        policies = parsed(text, named=str(path))
    except UnicodeDecodeError as error:
        raise PolicyFileWrong(f"{path}: save it as UTF-8 ({error.reason})") from error
    return PolicyText(policies, str(path), hashlib.sha256(text).hexdigest())


def parsed(text: bytes, named: str = "policy") -> Policies:
    """Check the text of a policy file and return its layers.

    Raises PolicyFileWrong, or UnicodeDecodeError for what is no text.
    """
    if len(text) > BYTES_MAX:
        raise PolicyFileWrong(f"{named}: longer than {BYTES_MAX // 1024} KiB")
    words = text.decode("utf-8-sig")  # some editors put a mark before the text
    try:
        document = tomllib.loads(words)
    except ValueError as error:
        raise PolicyFileWrong(f"{named}: this is no TOML: {error}") from error
    except RecursionError as error:
        raise PolicyFileWrong(f"{named}: this is no policy: too deep") from error
    checking = Checking(document)
    if checking.mistakes:
        raise PolicyFileWrong("\n".join(_told(checking.mistakes, words, named)))
    return checking.policies


def policies_of(settings: Settings) -> Policies | None:
    """Return the layers of settings that were kept; None if they are none any more."""
    document: dict[str, dict[str, object]] = {}
    for (layer, table, key), value in settings.items():
        if layer == BUILT_IN_LAYER:
            continue
        part, _, place = layer.partition(" ")
        tables = document.setdefault(part, {})
        if place:
            tables = _within(tables, place)
        _within(tables, table)[key] = value
    checking = Checking(document)
    return None if checking.mistakes else checking.policies


def nowhere(policies: Policies, known: KnownPlaces) -> Iterator[str]:
    """Say of every layer for a place that nobody knows that it is in force nowhere.

    It is no mistake: a device may be declared later, or heard of without being declared.
    """
    wanted = (
        ("area", policies.areas, known.areas),
        ("site", policies.sites, known.sites),
        ("device", policies.devices, known.devices),
    )
    strangers = [
        (part, place, there)
        for part, places, there in wanted
        for place in places
        if place not in there
    ]
    for part, place, there in strangers[:MISTAKES_MAX]:
        yield f'{part}."{place}": there is no such {part}{_meant(place, there)}'
    if len(strangers) > MISTAKES_MAX:
        yield f"and {len(strangers) - MISTAKES_MAX} more"


def _meant(place: str, there: Collection[str]) -> str:
    """Name the place that was meant: one beside it if there is any."""
    parent = place.rpartition("/")[0]
    beside = [each for each in there if each.rpartition("/")[0] == parent]
    return did_you_mean(place, (beside or list(there))[:CANDIDATES_MAX])


def _within(tables: dict[str, object], name: str) -> dict[str, object]:
    inner = tables.setdefault(name, {})
    return inner if isinstance(inner, dict) else {}


def _told(mistakes: list[Mistake], text: str, named: str) -> Iterator[str]:
    lines = lines_of(text)
    placed = sorted((line_of(each.path, lines) or 0, each) for each in mistakes)
    for line, mistake in placed[:MISTAKES_MAX]:
        where = f"{named}:{line}" if line else named
        yield f"{where}: {_key_path(mistake.path)}: {mistake.words}"
    if len(placed) > MISTAKES_MAX:
        yield f"{named}: and {len(placed) - MISTAKES_MAX} more"


def _key_path(path: tuple[str, ...]) -> str:
    """Return a key's path as TOML writes it."""
    return ".".join(step if BARE.fullmatch(step) else shown(step) for step in path)
