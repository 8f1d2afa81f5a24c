"""The kinds of panels that the dashboards are made of, with what all of them share.

A panel's words are those of its key: `{key}.title`, `{key}.text` (what it means, for a
layman), and `{key}.none` (what it means that there is nothing to show).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import FieldColor
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as grafana

from dashboards.palette import NEUTRAL
from dashboards.source import SOURCE, Question
from dashboards.words import Words

KWH = "suffix:kWh"
"""Grafana would make Wh of what is below one."""
WATTS = "suffix:W"
"""For a value beside its limit: 1204 W, where Grafana would say 1.20 kW."""
DURATION = "dthms"
"""Hours, minutes, seconds: the only one without English words."""

Property = tuple[str, object]
"""One setting of some fields: its path in Grafana's field configuration, and the value."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How values are shown: what Grafana calls the field configuration."""

    unit: str = "short"
    decimals: int | None = None
    low: float | None = None
    high: float | None = None
    mappings: Sequence[grafana.ValueMapping] = ()
    thresholds: grafana.ThresholdsConfig = NEUTRAL


def finished(
    say: Words,
    key: str,
    panel: grafana.Panel,
    questions: Sequence[Question],
    look: Look,
) -> grafana.Panel:
    """Return the panel with its words, its questions and how values look."""
    panel.title = say(f"{key}.title")
    panel.description = say(f"{key}.text")
    panel.datasource = SOURCE
    panel.targets = list(questions)
    config = panel.field_config or grafana.FieldConfigSource()
    config.defaults = config.defaults or grafana.FieldConfig()
    config.defaults.no_value = say(f"{key}.none")
    config.defaults.unit = look.unit
    config.defaults.decimals = look.decimals
    config.defaults.min_val = look.low
    config.defaults.max_val = look.high
    config.defaults.mappings = list(look.mappings)
    config.defaults.thresholds = look.thresholds
    panel.field_config = config
    return panel


def setting(panel: grafana.Panel, matcher: str, what: object, *properties: Property) -> None:
    """Give settings to the fields that a matcher finds."""
    config = panel.field_config or grafana.FieldConfigSource()
    config.overrides.append(
        grafana.DashboardFieldConfigSourceOverrides(
            matcher=grafana.MatcherConfig(id_val=matcher, options=what),
            properties=[grafana.DynamicConfigValue(id_val=i, value=v) for i, v in properties],
        )
    )
    panel.field_config = config


def link(title: str, url: str, *, outside: bool = False) -> dict[str, object]:
    """Return a link from a value; `outside` opens beside Grafana."""
    return {"title": title, "url": url, "targetBlank": outside}


def number(
    say: Words, key: str, query: str, look: Look, *, to: tuple[str, str] | None = None
) -> grafana.Panel:
    """Return one large value; `to` is where a click on it leads."""
    panel = (
        stat.Panel()
        .color_mode(common.BigValueColorMode.BACKGROUND_SOLID)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(by_threshold())
        .build()
    )
    panel = finished(say, key, panel, [Question(query)], look)
    if to is not None:
        setting(panel, "byRegexp", ".*", ("links", [link(*to)]))
    return panel


def lines(  # noqa: PLR0913  (a curve has this many parts)
    say: Words,
    key: str,
    questions: Sequence[Question],
    look: Look,
    *,
    bars: bool = False,
    limits: bool = False,
    bridge: bool = False,
    colours: dict[str, str] | None = None,
) -> grafana.Panel:
    """Return values over time; `limits` draws the thresholds, `bridge` joins over gaps.

    `colours` are of series by their name; others take Grafana's, with a name at the line.
    """
    builder = (
        timeseries.Panel()
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .line_width(1 if bars else 2)
        .fill_opacity(80 if bars else 0)
        .show_points(common.VisibilityMode.NEVER if bars else common.VisibilityMode.AUTO)
        .span_nulls(bridge)
        .legend(legend())
        .tooltip(VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    )
    if bars:
        builder = builder.stacking(StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if limits:
        builder = builder.thresholds_style(
            GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    panel = finished(say, key, builder.build(), questions, look)
    for name, colour in (colours or {}).items():
        fixed = {"mode": "fixed", "fixedColor": colour}
        setting(panel, "byName", name, ("color", fixed))
    return panel


def states(say: Words, key: str, questions: Sequence[Question], look: Look) -> grafana.Panel:
    """Return a row of states for each series, coloured and with the word in it."""
    panel = (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(common.VisibilityMode.AUTO)
        .align_value(common.TimelineValueAlignment.LEFT)
        .row_height(0.9)
        .fill_opacity(85)
        .line_width(0)
        .legend(legend())
        .tooltip(VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE))
        .color_scheme(by_threshold())
        .build()
    )
    return finished(say, key, panel, questions, look)


def legend() -> VizLegendOptions:
    """Return a legend below: names must be readable, colours alone say nothing."""
    return (
        VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def by_threshold() -> FieldColor:
    return FieldColor().mode(grafana.FieldColorModeId.THRESHOLDS)
