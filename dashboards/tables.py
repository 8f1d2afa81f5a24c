"""Tables: a column for each part of an answer, in an order of ours, with words and links."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders.common import TableFooterOptions
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.palette import missing
from dashboards.panels import Look, Property, finished, setting
from dashboards.source import Question
from dashboards.words import Words

NOTHING = "–"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: the part `name` of the answer, under the words `column.{name}`."""

    name: str
    unit: str | None = None
    decimals: int | None = None
    mappings: Sequence[grafana.ValueMapping] = ()
    thresholds: grafana.ThresholdsConfig | None = None
    links: Sequence[dict[str, object]] = ()
    width: int | None = None
    gauge_to: float | None = None
    """Shown as a bar up to this value."""
    coloured: bool = False
    hidden: bool = False
    """Not shown, but there for the links."""


def table(  # noqa: PLR0913  (a table has this many parts)
    say: Words,
    key: str,
    query: str,
    columns: Sequence[Column],
    *,
    largest: str | None = None,
    smallest: str | None = None,
    limit: int | None = None,
) -> grafana.Panel:
    """Return a table in the order of `columns`; the row with the `largest` value first, or
    that with the `smallest`, and `limit` rows at most.

    Grafana adds the tags of a grouped answer in any order, so the order is always said.
    """
    panel = (
        tables.Panel()
        .show_header(True)
        .cell_height(common.TableCellHeight.MD)
        .footer(TableFooterOptions().show(False).enable_pagination(True))
        .build()
    )
    panel = finished(say, key, panel, [Question(query, table=True)], Look())
    panel.transformations = arranged(columns)
    if by := largest or smallest:
        order = {"fields": {}, "sort": [{"field": by, "desc": by == largest}]}
        panel.transformations.append(_step("sortBy", order))
    if limit is not None:
        panel.transformations.append(_step("limit", {"limitField": limit}))
    named(say, panel, columns)
    return panel


def named(say: Words, panel: grafana.Panel, columns: Sequence[Column]) -> None:
    """Give the fields of a panel the words and the looks of their columns."""
    for column in columns:
        setting(panel, "byName", column.name, *_properties(say, column))


def arranged(columns: Sequence[Column]) -> list[grafana.DataTransformerConfig]:
    """Return what puts fields into the order of columns."""
    names = [column.name for column in columns]
    order = {
        "excludeByName": {} if "Time" in names else {"Time": True},
        "indexByName": {name: index for index, name in enumerate(names)},
        "renameByName": {},
    }
    return [_step("organize", order)]


def _step(what: str, options: object) -> grafana.DataTransformerConfig:
    return grafana.DataTransformerConfig(id_val=what, options=options)


def _properties(say: Words, column: Column) -> list[Property]:
    given: dict[str, object] = {
        "unit": column.unit,
        "decimals": column.decimals,
        "mappings": [*column.mappings, *_unknown(column)] or None,
        "thresholds": column.thresholds,
        "links": list(column.links) or None,
        "custom.width": column.width,
        "custom.hidden": column.hidden or None,
    }
    found: list[Property] = [
        ("displayName", say(f"column.{column.name}")),
        ("noValue", NOTHING),  # of a cell; the panel's own words are for the whole table
    ]
    found += [(name, value) for name, value in given.items() if value is not None]
    if column.gauge_to is not None:
        gauge = common.TableBarGaugeCellOptions(
            mode=common.BarGaugeDisplayMode.BASIC,
            value_display_mode=common.BarGaugeValueMode.TEXT,
        )
        found += [("custom.cellOptions", gauge), ("min", 0), ("max", column.gauge_to)]
    if column.coloured:
        background = common.TableColoredBackgroundCellOptions(
            mode=common.TableCellBackgroundDisplayMode.BASIC
        )
        found.append(("custom.cellOptions", background))
    if column.gauge_to is not None or column.coloured:
        found.append(("color", {"mode": "thresholds"}))
    return found


def _unknown(column: Column) -> list[grafana.ValueMapping]:
    """Return a grey nothing for a bar without a value, which else had the colour of 0."""
    return [] if column.gauge_to is None else [missing(NOTHING)]
