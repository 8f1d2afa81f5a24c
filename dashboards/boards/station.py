"""Station: one site, and one of its chargers in every reading."""

from grafana_foundation_sdk.models.dashboard import Panel

from dashboards import variables
from dashboards.annotations import alert_events
from dashboards.board import Board
from dashboards.influxql import DEVICE, HERE, RANGE, ask, each
from dashboards.limits import dashed, limits_in_force
from dashboards.palette import (
    ANY_IS_BAD,
    BAD,
    GOOD,
    NEUTRAL,
    ORANGE,
    SKY,
    WATCH,
    family,
    missing,
    severities,
    span,
    steps,
    truths,
    yes_no,
)
from dashboards.panels import DURATION, KWH, WATTS, Look, lines, number, states
from dashboards.shared import (
    CHARGES_FROM_W,
    DEVICES_NOW,
    OVERLOAD_W,
    SITES_NOW,
    alert_columns,
    alert_parts,
)
from dashboards.sockets import in_colour, in_order
from dashboards.source import Question
from dashboards.tables import Column, table
from dashboards.words import Words
from ingest.measurements import ALERT, DEVICE_NOW, SESSION, SITE_NOW, SOCKET
from ingest.measurements import DEVICE as DEVICE_READINGS

SHOWN = 200
OF_CHARGER = (*HERE, DEVICE)
STEP = "time($__interval)"


def station(say: Words) -> Board:
    board = Board(
        say,
        "station",
        since="now-24h",
        refresh="1m",
        variables=[
            variables.area(say),
            variables.site(say, multi=False),
            variables.charger(say),
        ],
        annotations=[alert_events(say)],
    )
    board.row(
        4,
        (6, _now(say, "worst", "worst", Look(mappings=severities(say)))),
        (6, _now(say, "charging", "charging", Look())),
        (6, _now(say, "closed", "closed", Look(mappings=yes_no(say, "closed", yes=ORANGE)))),
        (6, _now(say, "sensors_missing", "sensors_missing", Look(thresholds=ANY_IS_BAD))),
    )
    board.row(10, (24, _states(say)))
    board.row(9, (12, _power(say)), (12, _temperature(say)))
    board.row(8, (12, _smoke(say)), (12, _sensors(say)))
    board.row(9, (24, _alerts(say)))
    board.row(9, (24, _sessions(say)))
    return board


def _now(say: Words, name: str, field: str, look: Look) -> Panel:
    query = ask(SITE_NOW, f'last("{field}")', when=SITES_NOW)
    return number(say, f"station.{name}", query, look)


def _states(say: Words) -> Panel:
    """Highest power of each step: a charge that is shorter than a step is seen too."""
    charges, warn, act = CHARGES_FROM_W, *OVERLOAD_W
    query = ask(
        SOCKET, 'max("power_w")', where=OF_CHARGER, by=(STEP, "socket"), tail="fill(null)"
    )
    look = Look(
        unit="watt",
        decimals=0,
        mappings=[
            span(None, charges - 0.01, say("state.idle"), SKY),
            span(charges, warn - 0.01, say("state.charging"), GOOD),
            span(warn, act - 0.01, say("state.high"), WATCH),
            span(act, None, say("state.overload"), BAD),
            missing(say("state.unknown")),
        ],
        thresholds=steps(SKY, (charges, GOOD), (warn, WATCH), (act, BAD)),
    )
    question = Question(query, alias=say("series.socket"))
    panel = states(say, "station.states", [question], look)
    panel.interval = "1m"
    panel.max_data_points = 300
    return in_order(say, panel)


def _power(say: Words) -> Panel:
    query = ask(
        SOCKET, 'max("power_w")', where=OF_CHARGER, by=(STEP, "socket"), tail="fill(null)"
    )
    questions = [
        Question(query, "A", alias=say("series.socket")),
        *limits_in_force(say, OF_CHARGER, "overload_warn_w", "overload_act_w"),
    ]
    panel = lines(say, "station.power", questions, Look(unit="watt", low=0))
    panel.interval = "1m"
    return dashed(say, in_colour(say, panel))


def _temperature(say: Words) -> Panel:
    """Of the case, and of the sockets that measure their own."""
    what = 'max("device_temperature_c")'
    case = ask(DEVICE_READINGS, what, where=OF_CHARGER, by=(STEP,), tail="fill(null)")
    own = ask(SOCKET, what, where=OF_CHARGER, by=(STEP, "socket"), tail="fill(null)")
    questions = [
        Question(own, "A", alias=say("series.socket")),
        *limits_in_force(say, OF_CHARGER, "heat_warn_c", "heat_act_c"),
        Question(case, "D", alias=say("series.case")),
    ]
    panel = lines(say, "station.temperature", questions, Look(unit="celsius", decimals=1))
    panel.interval = "1m"
    return dashed(say, in_colour(say, panel))


def _smoke(say: Words) -> Panel:
    query = ask(DEVICE_READINGS, 'last("smoke_alarm")', by=(STEP, "device"), tail="fill(none)")
    look = Look(mappings=truths(say, "smoke", yes=BAD), thresholds=NEUTRAL)
    question = Question(query, alias="$tag_device")
    panel = states(say, "station.smoke", [question], look)
    panel.interval = "1m"
    return panel


def _sensors(say: Words) -> Panel:
    query = ask(
        DEVICE_NOW,
        each("last", "silent", "heard_ago_s", "battery_pct", "battery_low", "signal_pct"),
        when=DEVICES_NOW,
        where=(*HERE, "\"kind\" = 'smoke'"),
        by=("device",),
    )
    columns = [
        Column(name="device"),
        Column(
            name="silent", width=120, mappings=yes_no(say, "silent", yes=BAD), coloured=True
        ),
        Column(name="heard_ago_s", width=130, unit=DURATION),
        Column(name="battery_pct", width=110, unit="percent", decimals=0),
        Column(name="battery_low", width=110, mappings=yes_no(say, "battery", yes=WATCH)),
        Column(name="signal_pct", width=110, unit="percent", decimals=0),
    ]
    return table(say, "station.sensors", query, columns, largest="silent")


def _alerts(say: Words) -> Panel:
    tail = f"ORDER BY time DESC LIMIT {SHOWN}"
    query = ask(ALERT, alert_parts(say), when=RANGE, tail=tail)
    return table(say, "station.alerts", query, alert_columns(say))


def _sessions(say: Words) -> Panel:
    parts = ("device", "socket", "duration_s", "energy_kwh", "peak_w", "ending", "after_hours")
    select = ", ".join(f'"{part}"' for part in parts)
    query = ask(SESSION, select, tail=f"ORDER BY time DESC LIMIT {SHOWN}")
    columns = [
        Column(name="Time", width=170),
        Column(name="device"),
        Column(name="socket", width=80),
        Column(name="duration_s", unit=DURATION, width=160),
        Column(name="energy_kwh", unit=KWH, decimals=2, width=110),
        Column(name="peak_w", unit=WATTS, decimals=0, width=110),
        Column(name="ending", mappings=family(say, "ending"), width=160),
        Column(
            name="after_hours",
            width=120,
            mappings=yes_no(say, "after_hours", yes=BAD),
            coloured=True,
        ),
    ]
    return table(say, "station.sessions", query, columns)
