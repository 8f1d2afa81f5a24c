"""Village overview: for a manager who looks once a day, and a duty officer who looks now."""

from grafana_foundation_sdk.models.dashboard import Panel, ThresholdsConfig

from dashboards import variables
from dashboards.board import Board
from dashboards.influxql import HERE, ZONE, ask, ask_of, each
from dashboards.palette import (
    ANY_IS_BAD,
    ANY_IS_TO_WATCH,
    BLUE,
    BY_SEVERITY,
    NEUTRAL,
    ORANGE,
    first_part,
    severities,
    yes_no,
)
from dashboards.panels import KWH, Look, lines, number
from dashboards.shared import (
    SITES_NOW,
    STILL_OPEN,
    alert_columns,
    alert_parts,
    to_board,
    to_station,
    to_station_console,
)
from dashboards.site_map import site_map
from dashboards.source import Question
from dashboards.tables import Column, table
from dashboards.words import Words
from ingest.measurements import ALERT, CHOICE_ENDS_NAME, SESSION, SITE_15M, SITE_DAY, SITE_NOW

OPEN_SHOWN = 200
POINTS_MAX = 200
"""Of each of many lines: more of them nobody can see."""


def overview(say: Words) -> Board:
    board = Board(
        say,
        "overview",
        since="now-24h",
        refresh="30s",
        variables=[variables.area(say), variables.site(say)],
    )
    alerts, devices, weekly = (to_board(say, name) for name in ("alerts", "devices", "weekly"))
    board.row(
        4,
        (6, _now(say, "open", "open_alerts", ANY_IS_BAD, alerts)),
        (6, _now(say, "charging", "charging", NEUTRAL)),
        (6, _now(say, "after_hours_now", "after_hours", ANY_IS_BAD, weekly)),
        (6, _now(say, "power", "power_w", NEUTRAL, unit="watt")),
    )
    board.row(
        4,
        (6, _now(say, "sensors_missing", "sensors_missing", ANY_IS_BAD, devices)),
        (6, _now(say, "chargers_missing", "chargers_missing", ANY_IS_TO_WATCH, devices)),
        (6, _after_hours_today(say, weekly)),
        (6, _energy_today(say)),
    )
    board.row(11, (17, _stations(say)), (7, _map(say)))
    board.row(9, (24, _open_alerts(say)))
    board.row(9, (12, _demand(say)), (12, _energy_by_day(say)))
    return board


def _now(  # noqa: PLR0913  (a number has this many parts)
    say: Words,
    name: str,
    field: str,
    thresholds: ThresholdsConfig,
    to: tuple[str, str] | None = None,
    *,
    unit: str = "short",
) -> Panel:
    """Return the sum of what the newest sample of each site says."""
    newest = ask(SITE_NOW, each("last", field), when=SITES_NOW, by=("site",))
    query = ask_of(newest, f'sum("{field}")')
    look = Look(unit=unit, thresholds=thresholds)
    return number(say, f"overview.{name}", query, look, to=to)


def _after_hours_today(say: Words, to: tuple[str, str]) -> Panel:
    query = ask(SESSION, 'sum("after_hours")')
    look = Look(thresholds=ANY_IS_BAD)
    panel = number(say, "overview.after_hours_today", query, look, to=to)
    panel.time_from = "now/d"
    return panel


def _energy_today(say: Words) -> Panel:
    query = ask(SITE_15M, 'sum("energy_kwh")')
    look = Look(unit=KWH, decimals=1)
    panel = number(say, "overview.energy_today", query, look)
    panel.time_from = "now/d"
    return panel


def _stations(say: Words) -> Panel:
    """Narrow enough to stand beside the map on a small laptop."""
    counts = ("charging", "power_w", "after_hours", "closed")
    missing = ("sensors_missing", "chargers_missing")
    query = ask(
        SITE_NOW,
        f'last("name_{say.lang}") AS "name", last("area_choice_{say.lang}") AS "area", '
        + each("last", "worst", "open_alerts", *counts, *missing),
        when=SITES_NOW,
        by=("site",),
    )
    columns = [
        Column(name="worst", width=95, mappings=severities(say), coloured=True),
        Column(name="name", links=[to_station(say), to_station_console(say)]),
        Column(name="area", width=100, mappings=[first_part(CHOICE_ENDS_NAME)]),
        Column(name="open_alerts", width=75),
        Column(name="charging", width=65),
        Column(name="power_w", width=80, unit="watt"),
        Column(name="after_hours", width=80, thresholds=ANY_IS_BAD, coloured=True),
        Column(name="closed", width=105, mappings=yes_no(say, "closed", yes=ORANGE)),
        Column(name="sensors_missing", width=75, thresholds=ANY_IS_BAD, coloured=True),
        Column(name="chargers_missing", width=75, thresholds=ANY_IS_TO_WATCH, coloured=True),
        Column(name="site", hidden=True),
    ]
    return table(say, "overview.stations", query, columns, largest="worst")


def _map(say: Words) -> Panel:
    query = ask(
        SITE_NOW,
        f'last("name_{say.lang}") AS "name", '
        + each("last", "latitude", "longitude", "worst", "open_alerts", "charging"),
        when=SITES_NOW,
        by=("site",),
    )
    columns = [
        Column(name="name"),
        Column(name="site", links=[to_station(say)]),
        Column(name="worst", mappings=severities(say), thresholds=BY_SEVERITY),
        Column(name="open_alerts"),
        Column(name="charging"),
        Column(name="latitude", decimals=4),
        Column(name="longitude", decimals=4),
    ]
    return site_map(say, "overview.map", query, columns)


def _open_alerts(say: Words) -> Panel:
    query = ask(
        ALERT,
        alert_parts(say),
        when=STILL_OPEN,
        where=(*HERE, '"open" = 1'),
        tail=f"ORDER BY time DESC LIMIT {OPEN_SHOWN}",
    )
    return table(say, "overview.open_alerts", query, alert_columns(say))


def _demand(say: Words) -> Panel:
    query = ask(SITE_15M, 'mean("mean_w")', by=("time($__interval)", "site"), tail="fill(null)")
    question = Question(query, alias="$tag_site")
    panel = lines(say, "overview.demand", [question], Look(unit="watt", low=0))
    panel.interval = "15m"
    panel.max_data_points = POINTS_MAX
    return panel


def _energy_by_day(say: Words) -> Panel:
    """Two bars on each other, which make the whole."""
    by = ("time(1d)",)
    tail = f"fill(none) tz('{ZONE}')"
    whole, closed = 'sum("energy_kwh")', 'sum("after_hours_kwh")'
    while_open, while_closed = say("series.while_open"), say("series.while_closed")
    questions = [
        Question(ask(SITE_DAY, f"{whole} - {closed}", by=by, tail=tail), "A", alias=while_open),
        Question(ask(SITE_DAY, closed, by=by, tail=tail), "B", alias=while_closed),
    ]
    panel = lines(
        say,
        "overview.energy_by_day",
        questions,
        Look(unit=KWH, decimals=1, low=0),
        bars=True,
        colours={while_open: BLUE, while_closed: ORANGE},
    )
    panel.interval = "1d"
    panel.time_from = "30d"
    return panel
