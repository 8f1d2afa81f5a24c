"""What the policy file may say: its tables, their keys, and what each key allows.

All of it is read from the structs in `rules.policy`: a rule's new limit is known here, in
the messages and to the test of docs/policy.md, by being a field there.
"""

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from functools import cache

import msgspec
from msgspec.structs import FieldInfo

from rules.alerts import GroupKind
from rules.catalog import rules_in_force
from rules.limits.limit import LONGEST, Limits
from rules.policies import UNITS, as_written
from rules.policy import Policy

DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(s|min|h|d)")
A_DURATION = '"30 s", "10 min", "8 h" or "1 d"'
FOUND_CHARS_MAX = 60

QUANTITIES = {"w": "W", "kwh": "kWh", "v": "V", "c": "°C", "k": "K", "pct": "%"}
"""The unit of a number, by how its key ends."""


class NotAllowed(ValueError):
    """A value that a key cannot have; the message says which ones it can."""


@cache
def tables() -> Mapping[str, type[Limits]]:
    """Return the struct of each table, in the order of the policy."""
    return {
        field.name: field.type
        for field in msgspec.structs.fields(Policy)
        if isinstance(field.type, type) and issubclass(field.type, Limits)
    }


@cache
def parts_of(table: str) -> tuple[str, ...]:
    """Return the parts of the file that have a say about a table.

    The limits of a whole site are no device's, and those of a carrier, or of everything, are
    no site's.
    """
    groups = {rule.name: rule.group for rule in rules_in_force().group_rules}
    match groups.get(table):
        case None:
            return ("default", "area", "site", "device")
        case GroupKind.SITE:
            return ("default", "area", "site")
        case GroupKind.CARRIER | GroupKind.ALL:
            return ("default",)


@cache
def keys_of(table: str) -> Mapping[str, FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(tables()[table])}


def unit_of(table: str, key: str) -> str:
    """Return the unit of a key's numbers; empty if they have none, or say it themselves."""
    if keys_of(table)[key].type is timedelta:
        return ""
    return QUANTITIES.get(key.rpartition("_")[2], "")


def allowed(table: str, key: str) -> str:
    """Say what a key allows: "0 to 1000000 W"."""
    kind = keys_of(table)[key].type
    unit = unit_of(table, key)
    match msgspec.inspect.type_info(kind):
        case msgspec.inspect.TimeDeltaType():
            return f"0 s to {as_written(LONGEST)}"
        case msgspec.inspect.FloatType() | msgspec.inspect.IntType() as number:
            return f"{_range(number)} {unit}".rstrip()
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.LiteralType(values):
            return " or ".join(f'"{value}"' for value in values)
        case msgspec.inspect.EnumType(enum):
            return " or ".join(f'"{each.value}"' for each in enum)
        case _:
            return "text"


def value_of(found: object, table: str, key: str) -> object:
    """Return what the struct is to have; raises NotAllowed."""
    kind = keys_of(table)[key].type
    if kind is timedelta:
        return _duration(found, allowed(table, key))
    if isinstance(found, float) and not math.isfinite(found):
        raise NotAllowed(_not_allowed(found, table, key))
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError:
        raise NotAllowed(_not_allowed(found, table, key)) from None


def did_you_mean(word: str, known: Mapping[str, object] | list[str]) -> str:
    """Return how a sentence about an unknown word ends: with the one that was meant."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else "."


def shown(value: object) -> str:
    """Return a value as a TOML file has it, nearly, and not longer than a line."""
    match value:
        case bool():
            text = "true" if value else "false"
        case str():
            text = f'"{value}"'
        case dict():
            text = "a table"
        case float() if value.is_integer() and abs(value) < 10**FOUND_CHARS_MAX:
            text = str(int(value))
        case int() if abs(value) > 10**FOUND_CHARS_MAX:
            text = "a very long number"
        case _:
            text = str(value)
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= FOUND_CHARS_MAX else f"{text[:FOUND_CHARS_MAX]}…"


def _duration(found: object, within: str) -> timedelta:
    match = DURATION.fullmatch(found) if isinstance(found, str) else None
    if match is None:
        meant = ""
        if isinstance(found, int | float) and not isinstance(found, bool):
            meant = " (a number alone says no unit)"
        raise NotAllowed(
            f"found {shown(found)}{meant}; allowed: a length of time like {A_DURATION},"
            f" from {within}"
        )
    length = float(match[1]) * UNITS[match[2]]
    if length > LONGEST:
        raise NotAllowed(f"found {shown(found)}; allowed: {within}")
    return length


def _not_allowed(found: object, table: str, key: str) -> str:
    kind = keys_of(table)[key].type
    number = isinstance(
        msgspec.inspect.type_info(kind), msgspec.inspect.FloatType | msgspec.inspect.IntType
    )
    a_number = "a number, " if number and not _is_number(found) else ""
    return f"found {shown(found)}; allowed: {a_number}{allowed(table, key)}"


def _is_number(found: object) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


def _range(number: msgspec.inspect.FloatType | msgspec.inspect.IntType) -> str:
    if number.ge is not None and number.le is not None:
        return f"{number.ge:.12g} to {number.le:.12g}"
    bounds = {
        "more than": number.gt,
        "at least": number.ge,
        "below": number.lt,
        "at most": number.le,
    }
    said = [f"{words} {bound:.12g}" for words, bound in bounds.items() if bound is not None]
    return ", ".join(said) or "any number"
