"""Devices' health: who is silent, whose battery ends, who is hardly received."""

from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    Panel,
    ThresholdsConfig,
)

from dashboards import variables
from dashboards.board import Board
from dashboards.influxql import HERE, ZONE, ask, ask_of, each
from dashboards.palette import (
    ANY_IS_BAD,
    ANY_IS_TO_WATCH,
    BAD,
    GOOD,
    WATCH,
    family,
    steps,
    yes_no,
)
from dashboards.panels import DURATION, Look, lines, number
from dashboards.shared import DEVICES_NOW, site_columns
from dashboards.source import Question
from dashboards.tables import Column, table
from dashboards.words import Words
from ingest.measurements import DEVICE_NOW, SITE_DAY, SOCKET_DAY

BATTERY_PCT = (15, 30)
SIGNAL_PCT = (20, 40)
"""Below the first it is to be seen to, below the second soon (ours)."""
UPTIME_PCT = (90, 99)
SHOWN = 30
DAILY = f"fill(none) tz('{ZONE}')"


def devices(say: Words) -> Board:
    board = Board(
        say,
        "devices",
        since="now-7d",
        refresh="5m",
        variables=[variables.area(say), variables.site(say)],
    )
    weak = SIGNAL_PCT[0]
    board.row(
        4,
        (5, _sum(say, "silent", ANY_IS_BAD)),
        (5, _sum(say, "battery_low", ANY_IS_TO_WATCH)),
        (5, _count(say, "weak", "signal_pct", f'"signal_pct" < {weak}')),
        (5, _sum(say, "clock_wrong", ANY_IS_TO_WATCH)),
        (4, _count(say, "undeclared", "declared", '"declared" = 0')),
    )
    board.row(14, (24, _all(say)))
    board.row(9, (12, _heard(say)), (12, _battery(say)))
    board.row(9, (12, _uptime(say)), (12, _firmware(say)))
    return board


def _newest(*names: str, by: tuple[str, ...] = ("device",)) -> str:
    return ask(DEVICE_NOW, each("last", *names), when=DEVICES_NOW, by=by)


def _sum(say: Words, name: str, thresholds: ThresholdsConfig) -> Panel:
    query = ask_of(_newest(name), f'sum("{name}")')
    return number(say, f"devices.{name}", query, Look(thresholds=thresholds))


def _count(say: Words, name: str, field: str, condition: str) -> Panel:
    query = ask_of(_newest(field), f'count("{field}")', where=(condition,))
    return number(say, f"devices.{name}", query, Look(thresholds=ANY_IS_TO_WATCH))


def _all(say: Words) -> Panel:
    fields = (
        "silent",
        "heard_ago_s",
        "battery_pct",
        "signal_pct",
        "clock_wrong",
        "clock_off_s",
        "firmware",
        "declared",
    )
    query = _newest(*fields, by=("area", "site", "device", "kind", "dialect"))
    columns = [
        Column(
            name="silent", width=100, mappings=yes_no(say, "silent", yes=BAD), coloured=True
        ),
        *site_columns(say),
        Column(name="device"),
        Column(name="kind", width=110, mappings=family(say, "kind")),
        Column(name="heard_ago_s", width=130, unit=DURATION),
        Column(
            name="battery_pct",
            width=110,
            unit="percent",
            decimals=0,
            thresholds=_low_is_bad(*BATTERY_PCT),
            gauge_to=100,
        ),
        Column(
            name="signal_pct",
            width=110,
            unit="percent",
            decimals=0,
            thresholds=_low_is_bad(*SIGNAL_PCT),
            gauge_to=100,
        ),
        Column(
            name="clock_wrong",
            width=100,
            mappings=yes_no(say, "clock", yes=WATCH),
            coloured=True,
        ),
        Column(name="clock_off_s", width=110, unit="s", decimals=0),
        Column(name="firmware", width=110),
        Column(name="dialect", width=110),
        Column(
            name="declared", width=100, mappings=yes_no(say, "declared", yes=GOOD, no=WATCH)
        ),
    ]
    return table(say, "devices.all", query, columns, largest="silent")


def _heard(say: Words) -> Panel:
    """Of each day, not of each quarter: that would read a hundred times as much."""
    query = ask(SITE_DAY, 'mean("uptime_pct")', by=("time(1d)", "site"), tail=DAILY)
    look = Look(unit="percent", decimals=1, low=0, high=100)
    question = Question(query, alias="$tag_site")
    panel = lines(say, "devices.heard", [question], look, bridge=True)
    panel.interval = "1d"
    panel.time_from = "30d"
    return panel


def _battery(say: Words) -> Panel:
    """The lowest of each day: a battery's voltage falls with the cold of the night."""
    query = ask(
        DEVICE_NOW,
        'min("battery_pct")',
        where=(*HERE, "\"kind\" = 'smoke'"),
        by=("time(1d)", "device"),
        tail=DAILY,
    )
    look = Look(
        unit="percent", decimals=0, low=0, high=100, thresholds=_low_is_bad(*BATTERY_PCT)
    )
    question = Question(query, alias="$tag_device")
    panel = lines(say, "devices.battery", [question], look, limits=True, bridge=True)
    panel.interval = "1d"
    panel.time_from = "30d"
    return panel


def _uptime(say: Words) -> Panel:
    by = ("site", "device")
    query = ask(SOCKET_DAY, 'mean("uptime_pct") AS "uptime_pct"', by=by)
    low = ask_of(query, '"uptime_pct"', where=(f'"uptime_pct" < {UPTIME_PCT[1]}',), by=by)
    columns = [
        *site_columns(say)[1:],
        Column(name="device"),
        Column(
            name="uptime_pct",
            unit="percent",
            decimals=1,
            thresholds=_low_is_bad(*UPTIME_PCT),
            gauge_to=100,
        ),
    ]
    return table(say, "devices.uptime", low, columns, smallest="uptime_pct", limit=SHOWN)


def _firmware(say: Words) -> Panel:
    """Counted by Grafana: a firmware is no tag, and cannot be grouped by the database."""
    query = _newest("firmware", by=("device", "dialect"))
    columns = [Column(name="dialect"), Column(name="firmware"), Column(name="device (count)")]
    panel = table(say, "devices.firmware", query, columns)
    groups = {"operation": "groupby", "aggregations": []}
    panel.transformations = [
        DataTransformerConfig(
            id_val="groupBy",
            options={
                "fields": {
                    "dialect": groups,
                    "firmware": groups,
                    "device": {"operation": "aggregate", "aggregations": ["count"]},
                }
            },
        ),
        *(panel.transformations or []),
    ]
    return panel


def _low_is_bad(bad: float, watch: float) -> ThresholdsConfig:
    return steps(BAD, (bad, WATCH), (watch, GOOD))
