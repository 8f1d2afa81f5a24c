"""The limits that are in force for a charger, drawn beside what it measures."""

from collections.abc import Sequence

from grafana_foundation_sdk.models.dashboard import Panel

from dashboards.influxql import ask
from dashboards.palette import BAD, WATCH
from dashboards.panels import setting
from dashboards.source import Question
from dashboards.words import Words
from ingest.measurements import DEVICE_NOW


def limits_in_force(say: Words, where: Sequence[str], warn: str, act: str) -> list[Question]:
    """Return the questions B and C: a device's two limits, as they were at each time.

    They come from the policy of its site, not from the figures that we ship.
    """
    names = (("B", warn, "series.warn"), ("C", act, "series.act"))
    return [
        Question(
            ask(
                DEVICE_NOW,
                f'last("{field}")',
                where=where,
                by=("time($__interval)",),
                tail="fill(previous)",
            ),
            ref_id,
            alias=say(alias),
        )
        for ref_id, field, alias in names
    ]


def dashed(say: Words, panel: Panel) -> Panel:
    """Return the panel with its limits as dashed lines, orange and vermillion."""
    for alias, colour in (("series.warn", WATCH), ("series.act", BAD)):
        setting(
            panel,
            "byName",
            say(alias),
            ("color", {"mode": "fixed", "fixedColor": colour}),
            ("custom.lineStyle", {"fill": "dash", "dash": [12, 8]}),
            ("custom.lineWidth", 1),
            ("custom.showPoints", "never"),
        )
    return panel
