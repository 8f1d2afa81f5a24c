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


def service(say: Words) -> Board:
    board = Board(say, "service", since="now-6h", refresh="30s")
    up = [_works(say, name) for name in ("broker_ok", "ledger_ok", "history_ok")]
    board.row(
        4,
        *((4, panel) for panel in up),
        (4, _last(say, "delay", "delay_p99_s", _late(), unit="s")),
        (4, _last(say, "lag", "lag", steps(GOOD, (LAG[0], WATCH), (LAG[1], BAD)))),
        (4, _last(say, "outbox", "outbox", steps(GOOD, (OUTBOX[0], WATCH), (OUTBOX[1], BAD)))),
    )
    board.row(
        9,
        (12, _lines(say, "rate", {"messages_s": "mean", "readings_s": "mean"}, unit="ops")),
        (12, _delays(say)),
    )
    board.row(
        9,
        (12, _lines(say, "history_lag", {"lag": "max"})),
        (
            12,
            _lines(say, "refused_over_time", {"refused": "sum", "repeated": "sum"}, bars=True),
        ),
    )
    told = {"outbox": "max", "told": "sum", "tries_failed": "sum", "given_up": "sum"}
    board.row(
        9,
        (12, _lines(say, "delivery", told)),
        (6, _lines(say, "memory", {"memory_mib": "max"}, unit="mbytes")),
        (6, _refused(say)),
    )
    return board


def _works(say: Words, name: str) -> Panel:
    query = ask(SERVICE_NOW, f'last("{name}")', when=NOW, where=EVERYWHERE)
    look = Look(
        mappings=yes_no(say, "works", yes=GOOD, no=BAD), thresholds=steps(BAD, (1, GOOD))
    )
    return number(say, f"service.{name}", [Question(query)], look)


def _last(  # noqa: PLR0913  (a number has this many parts)
    say: Words,
    name: str,
    field: str,
    thresholds: ThresholdsConfig,
    *,
    unit: str = "short",
    decimals: int | None = None,
) -> Panel:
    query = ask(SERVICE_NOW, f'last("{field}")', when=NOW, where=EVERYWHERE)
    look = Look(unit=unit, decimals=decimals, thresholds=thresholds)
    return number(say, f"service.{name}", [Question(query)], look)


def _lines(
    say: Words, name: str, fields: dict[str, str], *, unit: str = "short", bars: bool = False
) -> Panel:
    """`fields` with the aggregate of a step: sums of what is counted, never means of them."""
    questions = [
        Question(
            ask(
                SERVICE_NOW,
                f'{aggregate}("{field}")',
                where=EVERYWHERE,
                by=STEP,
                tail="fill(null)",
            ),
            ref_id,
            alias=say(f"series.{field}"),
        )
        for ref_id, (field, aggregate) in zip("ABCD", fields.items(), strict=False)
    ]
    look = Look(unit=unit, low=0)
    colours = _coloured(questions)
    panel = lines(say, f"service.{name}", questions, look, bars=bars, colours=colours)
    panel.interval = "15s"
    return panel


def _delays(say: Words) -> Panel:
    questions = [
        Question(
            ask(SERVICE_NOW, f'max("{field}")', where=EVERYWHERE, by=STEP, tail="fill(null)"),
            ref_id,
            alias=say(f"series.{field}"),
        )
        for ref_id, field in (("A", "delay_p50_s"), ("B", "delay_p99_s"))
    ]
    look = Look(unit="s", low=0, thresholds=_late())
    colours = _coloured(questions)
    panel = lines(say, "service.delays", questions, look, limits=True, colours=colours)
    panel.interval = "15s"
    return panel


def _refused(say: Words) -> Panel:
    query = ask(SERVICE_NOW, 'sum("refused")', where=EVERYWHERE)
    look = Look(thresholds=ANY_IS_TO_WATCH)
    return number(say, "service.refused", [Question(query)], look)


def _coloured(questions: list[Question]) -> dict[str, str]:
    """Return a colour for each series, in the order in which they are drawn."""
    colours = (BLUE, ORANGE, VERMILLION, PURPLE)
    return {each.alias: colour for each, colour in zip(questions, colours, strict=False)}


def _late() -> ThresholdsConfig:
    return steps(GOOD, (DELAY_S[0], WATCH), (DELAY_S[1], BAD))
