"""The scorecard over all scenarios, small."""

import msgspec
import pytest

from api.backtest.matching import Why, matched
from benchmarks.scorecard import Run, one_run, page
from simulator.library import Size
from tests.backtests import episode, incident


@pytest.fixture(scope="module")
def run() -> Run:
    return one_run(("village-evening", 7, Size(1, 1)))


def test_an_evening_is_played_and_scored(run: Run) -> None:
    assert run.grave == 2
    assert run.report.score.recall == 1.0
    assert run.report.sites == 12
    assert run.delays_s.keys() == run.report.score.per_class.keys()


def test_the_page_has_every_class_rule_and_scenario(run: Run) -> None:
    text = page([run, run], 2, Size(1, 1))
    assert "| `smoke` | 2 / 2 | 1.000 |" in text
    assert "| `village-evening` | 10 / 10 | 1.000 | 0 | 0.000 |" in text
    assert "recall 1.000 (4 of 4)" in text
    assert text.count("None.") == 2


def test_the_page_lists_every_miss_and_every_false_alarm_with_its_cause(run: Run) -> None:
    found = matched([episode(50, 51)], [incident(10, 20, ("smoke",), kind="burn|ing")])
    assert found.missed[0].why is Why.NOTHING_SAID
    score = msgspec.structs.replace(run.report.score, missed=found.missed, false=found.false)
    report = msgspec.structs.replace(run.report, score=score, must_not_be_missed=found.missed)
    text = page([msgspec.structs.replace(run, report=report)], 1, Size(1, 1))
    assert "recall 0.500 (1 of 2)" in text
    assert "## Every miss: 1" in text
    assert "| Nothing was said of it at all. |" in text
    assert "## Every false alarm: 1" in text
    assert "| village-evening, 7 | 2026-01-05 04:50:00 | `overload` |" in text
