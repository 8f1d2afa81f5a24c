"""Service health: for whoever runs chargewatch. Does it listen, keep up, and tell in time?"""

from grafana_foundation_sdk.models.dashboard import Panel, ThresholdsConfig

from dashboards.board import Board
from dashboards.influxql import ask, lately
from dashboards.palette import (
    ANY_IS_TO_WATCH,
    BAD,
    BLUE,
    GOOD,
    ORANGE,
    PURPLE,
    VERMILLION,
    WATCH,
    steps,
    yes_no,
)
from dashboards.panels import Look, lines, number
from dashboards.source import Question
from dashboards.words import Words
from ingest.measurements import SERVICE_NOW

NOW = lately("2m")
STEP = ("time($__interval)",)
EVERYWHERE = ()
DELAY_S = (0.2, 1.0)
"""The goal of the design, and what it allows at three times the sustainable load."""
LAG = (10_000, 1_000_000)
OUTBOX = (20, 200)
"""Ours: a few wait while they are told; hundreds mean that nobody hears."""
COUNTS = Look(low=0)
PARTS = ("broker_ok", "ledger_ok", "history_ok")
LETTERS, COLOURS = "ABCD", (BLUE, ORANGE, VERMILLION, PURPLE)


def service(say: Words) -> Board:
    board = Board(say, "service", since="now-6h", refresh="30s")
    works = Look(
        mappings=yes_no(say, "works", yes=GOOD, no=BAD), thresholds=steps(BAD, (1, GOOD))
    )
    board.row(
        4,
        *(
            (4, _last(say, name, name, works))
            for name in ("broker_ok", "ledger_ok", "history_ok")
        ),
        (4, _last(say, "delay", "delay_p99_s", Look(unit="s", thresholds=_limits(DELAY_S)))),
        (4, _last(say, "lag", "lag", Look(thresholds=_limits(LAG)))),
        (4, _last(say, "outbox", "outbox", Look(thresholds=_limits(OUTBOX)))),
    )
    rate = {"messages_s": "mean", "readings_s": "mean"}
    delays = {"delay_p50_s": "max", "delay_p99_s": "max"}
    late = Look(unit="s", low=0, thresholds=_limits(DELAY_S))
    board.row(
        9,
        (12, _lines(say, "rate", rate, Look(unit="ops", low=0))),
        (12, _lines(say, "delays", delays, late, limits=True)),
    )
    useless = {"refused": "sum", "repeated": "sum"}
    board.row(
        9,
        (12, _lines(say, "history_lag", {"lag": "max"}, COUNTS)),
        (12, _lines(say, "refused_over_time", useless, COUNTS, bars=True)),
    )
    told = {"outbox": "max", "told": "sum", "tries_failed": "sum", "given_up": "sum"}
    board.row(
        9,
        (12, _lines(say, "delivery", told, COUNTS)),
        (6, _lines(say, "memory", {"memory_mib": "max"}, Look(unit="mbytes", low=0))),
        (6, _refused(say)),
    )
    return board


def _last(say: Words, name: str, field: str, look: Look) -> Panel:
    query = ask(SERVICE_NOW, f'last("{field}")', when=NOW, where=EVERYWHERE)
    return number(say, f"service.{name}", query, look)


def _lines(  # noqa: PLR0913  (a curve has this many parts)
    say: Words,
    name: str,
    fields: dict[str, str],
    look: Look,
    *,
    bars: bool = False,
    limits: bool = False,
) -> Panel:
    """`fields` with the aggregate of a step: sums of what is counted, never means of them."""
    questions = []
    colours = {}
    for letter, colour, (field, how) in zip(LETTERS, COLOURS, fields.items(), strict=False):
        select = f'{how}("{field}")'
        query = ask(SERVICE_NOW, select, where=EVERYWHERE, by=STEP, tail="fill(null)")
        series = say(f"series.{field}")
        questions.append(Question(query, letter, alias=series))
        colours[series] = colour
    key = f"service.{name}"
    panel = lines(say, key, questions, look, bars=bars, limits=limits, colours=colours)
    panel.interval = "15s"
    return panel


def _refused(say: Words) -> Panel:
    query = ask(SERVICE_NOW, 'sum("refused")', where=EVERYWHERE)
    return number(say, "service.refused", query, Look(thresholds=ANY_IS_TO_WATCH))


def _limits(of: tuple[float, float]) -> ThresholdsConfig:
    return steps(GOOD, (of[0], WATCH), (of[1], BAD))
