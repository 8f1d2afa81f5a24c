"""Alerts: how many, of what, where, how fast people see to them, and who comes again."""

from grafana_foundation_sdk.models.dashboard import Panel

from dashboards import variables
from dashboards.board import Board
from dashboards.influxql import HERE, ZONE, ask, ask_of
from dashboards.palette import (
    ANY_IS_BAD,
    BAD,
    BLUE,
    GOOD,
    ORANGE,
    SEVERITY_COLOURS,
    WATCH,
    steps,
)
from dashboards.panels import DURATION, Look, lines, number
from dashboards.shared import (
    STILL_OPEN,
    alert_columns,
    alert_parts,
    named_site,
    rule_column,
    site_columns,
)
from dashboards.source import Question
from dashboards.tables import Column, table
from dashboards.words import Words
from ingest.measurements import ALERT

COUNT = 'count("severity") AS "alerts"'
"""Every alert has a severity."""
MEDIANS = (
    'median("acknowledged_after_s") AS "acknowledged_after_s",'
    ' median("resolved_after_s") AS "resolved_after_s"'
)
AGAIN_FROM = 3
"""So often by one device in the range, and it is called a repeat offender."""
SHOWN = 200
ACKNOWLEDGED_LATE_S = (180, 600)
"""After 3 min the next tier is told (rules' escalation); 10 min is three tiers."""


def alerts(say: Words) -> Board:
    board = Board(
        say,
        "alerts",
        since="now-30d",
        refresh="1m",
        variables=[variables.area(say), variables.site(say)],
    )
    late = steps(GOOD, *zip(ACKNOWLEDGED_LATE_S, (WATCH, BAD), strict=True))
    board.row(
        4,
        (6, _number(say, "fired", 'count("severity")', Look())),
        (6, _open(say)),
        (
            6,
            _number(
                say,
                "acknowledged_after",
                'median("acknowledged_after_s")',
                Look(unit=DURATION, thresholds=late),
            ),
        ),
        (
            6,
            _number(
                say,
                "resolved_after",
                'median("resolved_after_s")',
                Look(unit=DURATION),
            ),
        ),
    )
    board.row(9, (14, _by_day(say)), (10, _reaction(say)))
    board.row(10, (12, _by_rule(say)), (12, _by_site(say)))
    board.row(9, (24, _again(say)))
    board.row(11, (24, _list(say)))
    return board


def _number(say: Words, name: str, select: str, look: Look) -> Panel:
    return number(say, f"alerts.{name}", ask(ALERT, select), look)


def _open(say: Words) -> Panel:
    query = ask(ALERT, 'sum("open")', when=STILL_OPEN)
    return number(say, "alerts.open", query, Look(thresholds=ANY_IS_BAD))


def _by_day(say: Words) -> Panel:
    questions = []
    colours = {}
    for severity in (1, 2, 3):
        name = say(f"severity.{severity}")
        query = ask(
            ALERT,
            'count("severity")',
            where=(*HERE, f'"severity" = {severity}'),
            by=("time(1d)",),
            tail=f"fill(0) tz('{ZONE}')",
        )
        questions.append(Question(query, "ABC"[severity - 1], alias=name))
        colours[name] = SEVERITY_COLOURS[severity]
    look = Look(low=0, decimals=0)
    panel = lines(say, "alerts.by_day", questions, look, bars=True, colours=colours)
    panel.interval = "1d"
    return panel


def _reaction(say: Words) -> Panel:
    tail = f"fill(none) tz('{ZONE}')"
    questions = [
        Question(
            ask(ALERT, f'median("{what}")', by=("time(1d)",), tail=tail),
            ref_id,
            alias=say(f"column.{what}"),
        )
        for ref_id, what in (("A", "acknowledged_after_s"), ("B", "resolved_after_s"))
    ]
    look = Look(unit=DURATION, low=0)
    colours = {questions[0].alias: BLUE, questions[1].alias: ORANGE}
    panel = lines(say, "alerts.reaction", questions, look, bridge=True, colours=colours)
    panel.interval = "1d"
    return panel


def _counted(
    say: Words, key: str, by: tuple[str, ...], named: list[Column], more: str = ""
) -> Panel:
    query = ask(ALERT, f'{COUNT}, sum("open") AS "open", {MEDIANS}{more}', by=by)
    columns = [
        *named,
        Column(name="alerts", width=100),
        Column(name="open", width=90, thresholds=ANY_IS_BAD, coloured=True),
        Column(name="acknowledged_after_s", unit=DURATION, width=150),
        Column(name="resolved_after_s", unit=DURATION, width=150),
    ]
    return table(say, key, query, columns, largest="alerts")


def _by_rule(say: Words) -> Panel:
    return _counted(say, "alerts.by_rule", ("rule",), [rule_column(say)])


def _by_site(say: Words) -> Panel:
    named = [Column(name="area", width=110), named_site(say), Column(name="site", hidden=True)]
    name = f', last("site_{say.lang}") AS "name"'
    return _counted(say, "alerts.by_site", ("area", "site"), named, name)


def _again(say: Words) -> Panel:
    """Return who had alerts again and again: device and socket, by rule."""
    by = ("area", "site", "device", "socket", "rule")
    counted = ask(ALERT, f'{COUNT}, max("severity") AS "severity"', by=by)
    query = ask_of(counted, '"alerts", "severity"', where=(f'"alerts" >= {AGAIN_FROM}',), by=by)
    columns = [
        *site_columns(say),
        Column(name="device"),
        Column(name="socket", width=80),
        rule_column(say),
        Column(name="alerts", width=120, gauge_to=30),
        Column(name="severity", hidden=True),
    ]
    return table(say, "alerts.again", query, columns, largest="alerts", limit=20)


def _list(say: Words) -> Panel:
    query = ask(ALERT, alert_parts(say), tail=f"ORDER BY time DESC LIMIT {SHOWN}")
    return table(say, "alerts.list", query, alert_columns(say))
