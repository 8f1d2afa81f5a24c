"""The limits in force at a place, in words: each with its value and with who set it."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import groupby

import msgspec

from api.policy_shape import unit_of
from api.text import Texts, plain
from rules.policies import BUILT_IN_LAYER, InForce


class LimitRow(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    """As the policy file has it."""
    name: str
    value: str
    layer: str
    is_set: bool
    """Somebody has set it: it is not the built-in one."""


class RuleLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one rule."""

    table: str
    name: str
    basis: str
    """Empty for what is no rule."""
    rows: tuple[LimitRow, ...]

    @property
    def set_here(self) -> int:
        return sum(row.is_set for row in self.rows)


def limits_in_words(limits: Iterable[InForce], say: Texts) -> list[RuleLimits]:
    """Return the limits, those of a rule together, in the order of the policy."""
    return [
        RuleLimits(
            table=table,
            name=table_name(table, say),
            basis=say.messages.get(f"rule.{table}.basis", ""),
            rows=tuple(_rows(found, say)),
        )
        for table, found in groupby(limits, key=lambda each: each.table)
    ]


def table_name(table: str, say: Texts) -> str:
    """Return what a table of the policy is about: a rule, or what several rules share."""
    return say.messages.get(f"rule.{table}.name") or say.word("rules.table", table)


def limit_name(table: str, key: str, say: Texts) -> str:
    """Return what a limit means: in its rule, or in every rule that has one called so."""
    return say.messages.get(f"limit.{table}.{key}") or say.word("limit", key)


def layer_name(layer: str, say: Texts) -> str:
    """Return who sets a value: "built in", "area xuhui"."""
    kind, _, place = layer.partition(" ")
    if layer == BUILT_IN_LAYER:
        kind, place = "built_in", ""
    elif f"rules.layer.{layer.replace(' ', '_')}" in say.messages:
        kind, place = layer.replace(" ", "_"), ""
    return " ".join(filter(None, (say.word("rules.layer", kind), plain(place))))


def value_in_words(value: object, unit: str, say: Texts) -> str:
    """Return a value with its unit; a length of time as people say it."""
    match value:
        case bool():
            return say("limit.yes" if value else "limit.no")
        case timedelta():
            if timedelta(0) < value < timedelta(seconds=1):
                return say.number(value.total_seconds(), "s", 3)
            return say.span(value)
        case int() | float():
            return say.number(value, unit, 3)
        case None:
            return say("value.none")
        case _:
            return plain(f"{value} {unit}".rstrip())


def _rows(limits: Iterable[InForce], say: Texts) -> Iterator[LimitRow]:
    for each in limits:
        unit = unit_of(each.table, each.key)
        yield LimitRow(
            key=each.key,
            name=limit_name(each.table, each.key, say),
            value=value_in_words(each.value, unit, say),
            layer=layer_name(each.layer, say),
            is_set=each.layer != BUILT_IN_LAYER,
        )
