"""Charging after hours and overload, week by week: the report for the village committee."""

from grafana_foundation_sdk.models.dashboard import Panel

from dashboards import variables
from dashboards.board import Board
from dashboards.influxql import HERE, ZONE, ask
from dashboards.palette import ANY_IS_BAD, BAD, BLUE, ORANGE
from dashboards.panels import KWH, WATTS, Look, lines, number
from dashboards.shared import IS_OVERLOAD, rule_column, site_columns
from dashboards.source import Question
from dashboards.tables import Column, table
from dashboards.words import Words
from ingest.measurements import ALERT, SESSION, SITE_DAY

WEEK = "time(7d, 4d)"
"""From Monday on: 1970 began on a Thursday."""
OF_ZONE = f"fill(none) tz('{ZONE}')"
SHOWN = 30


def weekly(say: Words) -> Board:
    board = Board(
        say,
        "weekly",
        since="now-7w/w",
        refresh="",
        variables=[variables.area(say), variables.site(say)],
    )
    board.row(
        4,
        (
            6,
            _number(
                say, "sessions", 'sum("after_hours_sessions")', Look(thresholds=ANY_IS_BAD)
            ),
        ),
        (
            6,
            _number(say, "energy", 'sum("after_hours_kwh")', Look(unit=KWH, decimals=1)),
        ),
        (6, _number(say, "overloads", 'sum("overload_alerts")', Look(thresholds=ANY_IS_BAD))),
        (6, _number(say, "demand", 'max("demand_w")', Look(unit="watt"))),
    )
    board.row(10, (24, _weeks(say)))
    board.row(9, (12, _energy_by_week(say)), (12, _cases_by_week(say)))
    board.row(10, (12, _after_hours_sockets(say)), (12, _overload_sockets(say)))
    return board


def _number(say: Words, name: str, select: str, look: Look) -> Panel:
    return number(say, f"weekly.{name}", ask(SITE_DAY, select), look)


def _weeks(say: Words) -> Panel:
    sums = ("sessions", "after_hours_sessions", "energy_kwh", "after_hours_kwh")
    counted = ", ".join(f'sum("{name}") AS "{name}"' for name in (*sums, "overload_alerts"))
    query = ask(
        SITE_DAY,
        f'{counted}, max("demand_w") AS "demand_w", mean("uptime_pct") AS "uptime_pct"',
        by=(WEEK, "area", "site"),
        tail=OF_ZONE,
    )
    columns = [
        Column(name="Time", width=120, unit="time:YYYY-MM-DD"),
        *site_columns(say),
        Column(name="sessions", width=100),
        Column(name="after_hours_sessions", width=120, thresholds=ANY_IS_BAD, coloured=True),
        Column(name="energy_kwh", width=120, unit=KWH, decimals=1),
        Column(name="after_hours_kwh", width=130, unit=KWH, decimals=1),
        Column(name="overload_alerts", width=120, thresholds=ANY_IS_BAD, coloured=True),
        Column(name="demand_w", width=120, unit="watt"),
        Column(name="uptime_pct", width=110, unit="percent", decimals=1),
    ]
    return table(say, "weekly.weeks", query, columns, largest="Time")


def _energy_by_week(say: Words) -> Panel:
    whole, closed = 'sum("energy_kwh")', 'sum("after_hours_kwh")'
    while_open, while_closed = say("series.while_open"), say("series.while_closed")
    questions = [
        Question(_by_week(f"{whole} - {closed}"), "A", alias=while_open),
        Question(_by_week(closed), "B", alias=while_closed),
    ]
    look = Look(unit=KWH, decimals=1, low=0)
    colours = {while_open: BLUE, while_closed: ORANGE}
    return _bars(say, "weekly.energy_by_week", questions, look, colours)


def _cases_by_week(say: Words) -> Panel:
    parts = {"after_hours_sessions": ORANGE, "overload_alerts": BAD}
    questions = [
        Question(_by_week(f'sum("{part}")'), ref_id, alias=say(f"column.{part}"))
        for ref_id, part in zip("AB", parts, strict=True)
    ]
    colours = {say(f"column.{part}"): colour for part, colour in parts.items()}
    return _bars(say, "weekly.cases_by_week", questions, Look(decimals=0, low=0), colours)


def _by_week(select: str) -> str:
    return ask(SITE_DAY, select, by=(WEEK,), tail=OF_ZONE)


def _bars(
    say: Words, key: str, questions: list[Question], look: Look, colours: dict[str, str]
) -> Panel:
    panel = lines(say, key, questions, look, bars=True, colours=colours)
    panel.interval = "7d"
    return panel


def _after_hours_sockets(say: Words) -> Panel:
    by = ("area", "site", "device", "socket")
    query = ask(
        SESSION,
        'sum("after_hours") AS "after_hours_sessions", sum("energy_kwh") AS "energy_kwh"',
        where=(*HERE, '"after_hours" = 1'),
        by=by,
    )
    columns = [
        *site_columns(say),
        Column(name="device"),
        Column(name="socket", width=80),
        Column(name="after_hours_sessions", width=120),
        Column(name="energy_kwh", width=120, unit=KWH, decimals=1),
    ]
    return table(
        say,
        "weekly.after_hours_sockets",
        query,
        columns,
        largest="after_hours_sessions",
        limit=SHOWN,
    )


def _overload_sockets(say: Words) -> Panel:
    by = ("area", "site", "device", "socket", "rule")
    counted = ask(
        ALERT,
        'count("severity") AS "alerts", max("value") AS "value"',
        where=(*HERE, IS_OVERLOAD),
        by=by,
    )
    columns = [
        *site_columns(say),
        Column(name="device"),
        Column(name="socket", width=80),
        rule_column(say),
        Column(name="alerts", width=90),
        Column(name="value", width=110, unit=WATTS, decimals=0),
    ]
    return table(
        say, "weekly.overload_sockets", counted, columns, largest="alerts", limit=SHOWN
    )
