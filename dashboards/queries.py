"""Every question of the built dashboards, filled in as Grafana fills it in.

Tests execute them, and benchmarks/history.py times them. It is a copy of what Grafana 11.6
does with a question in InfluxQL: variables first, in the browser, then the macros.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dashboards.build import BUILT
from dashboards.influxql import ZONE

WIDTH_PX = 1000
"""How many points a panel asks for that does not say: as many as it is wide."""

VARIABLE = re.compile(r"\$\{(\w+):([\w:]+)\}")
SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")
"""What Grafana escapes in a value within a pattern."""

ROUNDED_S = (
    (1.5, 1),
    (3.5, 2),
    (7.5, 5),
    (12.5, 10),
    (17.5, 15),
    (25, 20),
    (45, 30),
    (90, 60),
    (210, 120),
    (450, 300),
    (750, 600),
    (1050, 900),
    (1500, 1200),
    (2700, 1800),
    (5400, 3600),
    (9000, 7200),
    (16_200, 10_800),
    (32_400, 21_600),
    (86_400, 43_200),
    (604_800, 86_400),
)
"""An interval below the first number is rounded to the second, as Grafana does."""


@dataclass(frozen=True)
class Placed:
    """One question, where it is, and what its panel says of time."""

    dashboard: str
    """Its file: overview, station …"""
    place: str
    """The panel's number and title, or the variable, or the annotation."""
    panel: int
    """The panel's number, 0 for none."""
    ref_id: str
    query: str
    alias: str = ""
    time_from: str = ""
    interval: str = ""
    points: int = WIDTH_PX
    all_values: Mapping[str, str] = field(default_factory=dict)
    """By variable: what stands for all of its values."""


@dataclass(frozen=True)
class Chosen:
    """What somebody looks at: a range of time, and values of variables.

    A variable without a value has all of them; several are a tuple.
    """

    since: datetime
    until: datetime
    values: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)


def placed(lang: str = "zh", folder: Path = BUILT) -> Iterator[Placed]:
    """Yield every question of the dashboards of a language, as it is in their files."""
    for path in sorted((folder / lang).glob("*.json")):
        yield from placed_in(path.stem, json.loads(path.read_text(encoding="utf-8")))


def placed_in(name: str, dashboard: Mapping[str, Any]) -> Iterator[Placed]:
    """Yield every question of one dashboard: variables, annotations, panels."""
    variables = dashboard["templating"]["list"]
    all_values = {each["name"]: each["allValue"] for each in variables if "allValue" in each}
    for each in variables:
        if each["type"] == "query":
            yield Placed(
                name,
                f"variable {each['name']}",
                0,
                each["query"]["refId"],
                each["query"]["query"],
                all_values=all_values,
            )
    for each in dashboard["annotations"]["list"]:
        target = each["target"]
        if "query" not in target:
            continue  # Grafana's own annotations are no question to our database
        yield Placed(
            name,
            f"annotation {each['name']}",
            0,
            target["refId"],
            target["query"],
            all_values=all_values,
        )
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield Placed(
                name,
                f"{panel['id']} {panel['title']}",
                panel["id"],
                target["refId"],
                target["query"],
                target["alias"],
                panel.get("timeFrom", ""),
                panel.get("interval", ""),
                int(panel.get("maxDataPoints", WIDTH_PX)),
                all_values,
            )


def filled(question: Placed, chosen: Chosen) -> str:
    """Return the question as the database gets it.

    A variable that is neither chosen nor has an `all` is a KeyError.
    """
    since, until = range_of(question, chosen)

    def value(match: re.Match[str]) -> str:
        name, form = match.groups()
        if name == "__to":
            return f"{_ms(until)}"
        if form != "regex":
            raise KeyError(f"{name}:{form}")
        if name not in chosen.values:
            return question.all_values[name]
        return as_pattern(chosen.values[name])

    text = VARIABLE.sub(value, question.query)
    text = text.replace("$timeFilter", f"time >= {_ms(since)}ms and time <= {_ms(until)}ms")
    step = interval_s(until - since, question.points, question.interval)
    return text.replace("$__interval", f"{step}s")


def as_pattern(value: str | tuple[str, ...]) -> str:
    """Return what Grafana makes of a value, or several, by the format `regex`."""
    if isinstance(value, str):
        return SPECIAL.sub(r"\\\g<0>", value)
    patterns = [as_pattern(each) for each in value]
    return patterns[0] if len(patterns) == 1 else f"({'|'.join(patterns)})"


def range_of(question: Placed, chosen: Chosen) -> tuple[datetime, datetime]:
    """Return the range that is shown; a panel may have one of its own."""
    if question.time_from == "now/d":
        local = chosen.until.astimezone(ZoneInfo(ZONE))
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight.astimezone(UTC), chosen.until
    if question.time_from:
        return chosen.until - _span(question.time_from), chosen.until
    return chosen.since, chosen.until


def interval_s(span: timedelta, points: int, least: str) -> int:
    """Return the step that gives about so many points, never less than `least`."""
    raw = span.total_seconds() / points
    rounded = next((step for below, step in ROUNDED_S if raw < below), 604_800)
    return max(rounded, int(_span(least).total_seconds()) if least else 1)


def _span(text: str) -> timedelta:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    return timedelta(**{units[text[-1]]: int(text[:-1])})


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
