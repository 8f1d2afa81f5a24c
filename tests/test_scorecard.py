"""The scorecard over all scenarios, small."""

import msgspec
import pytest

from api.backtest.episodes import Episode
from api.backtest.matching import FalseAlarm, Miss, Why, matched
from api.backtest.truth import Incident
from benchmarks.causes import explained
from benchmarks.missed import why_missed
from benchmarks.scorecard import Run, grave_of, one_run, page
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
    assert "`smoke` 1.000 (2 of 2)" in text
    assert text.count("None.") == 3


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


def false_alarm(said: Episode, *happened: Incident) -> FalseAlarm:
    [alarm] = matched([said], happened).false
    return alarm


LOSS = incident(0, 60, (), kind="loss", channel=None, severity="trap", must_not=("silence",))
REORDER = incident(0, 60, (), kind="reorder", channel=None, severity="trap")
FLOAT = incident(0, 20, (), kind="long_float")


def test_a_cause_that_somebody_saw_in_the_readings_is_told_of_alarms_like_it() -> None:
    lost = explained(false_alarm(episode(20, 21, "silence", None), LOSS))
    assert lost is not None
    assert "three reports in a row" in lost
    fell = explained(false_alarm(episode(29, 32, "after_hours"), FLOAT))
    assert fell is not None
    assert "15 W" in fell
    late = explained(false_alarm(episode(20, 62, "overload"), REORDER))
    assert late is not None
    assert "came a minute later" in late
    pulled = episode(20, 21, "abrupt_end")
    pulled.site = "mixed/zigbee"
    assert explained(false_alarm(pulled)) is not None


@pytest.mark.parametrize(
    ("said", "happened"),
    [
        pytest.param(episode(20, 21, "voltage", None), LOSS, id="another rule"),
        pytest.param(episode(20, 62, "overload"), LOSS, id="a report that never came"),
        pytest.param(episode(90, 91, "silence", None), FLOAT, id="another incident"),
        pytest.param(episode(36, 37, "after_hours"), FLOAT, id="later than a float falls"),
        pytest.param(episode(20, 21, "abrupt_end"), LOSS, id="a dialect that knows plugs"),
    ],
)
def test_a_cause_is_not_told_of_what_only_looks_a_bit_like_it(
    said: Episode, happened: Incident
) -> None:
    assert explained(false_alarm(said, happened)) is None


def two_on_one(alone_w: float, both_w: float, most_w: float) -> Miss:
    step = incident(0, 60, ("power_step",), kind="two_on_one_socket")
    figures = {"alone_w": alone_w, "both_w": both_w, "before_most_w": most_w}
    [miss] = matched([], [msgspec.structs.replace(step, figures=figures)]).missed
    return miss


def missed(hours: float, rule: str, kind: str, *said: Episode) -> Miss:
    [miss] = matched(said, [incident(0, 60 * hours, (rule,), kind=kind)]).missed
    return miss


def test_a_miss_that_somebody_looked_into_says_what_the_readings_showed() -> None:
    assert "The first bike was done. Its 5 W" in (why_missed(two_on_one(5, 172, 200)) or "")
    topped = why_missed(two_on_one(62, 250, 240)) or ""
    assert "from 62 W to 250 W, not clearly above the 240 W" in topped
    stuck = why_missed(missed(3, "stuck_value", "meter_stuck")) or ""
    assert "stuck for 3.0 h; the rule waits for 4.0 h" in stuck
    hidden = missed(3, "long_float", "long_float", episode(1, 99, "stuck_value", None))
    assert "The meter was stuck" in (why_missed(hidden) or "")


@pytest.mark.parametrize(
    "miss",
    [
        pytest.param(two_on_one(62, 300, 240), id="a step that is clearly above all before"),
        pytest.param(missed(5, "stuck_value", "meter_stuck"), id="a meter that stuck for long"),
        pytest.param(missed(3, "long_float", "long_float"), id="a float of which nobody spoke"),
        pytest.param(missed(3, "smoke", "smoke"), id="smoke"),
    ],
)
def test_a_miss_that_nobody_looked_into_has_no_such_cause(miss: Miss) -> None:
    assert why_missed(miss) is None


def test_a_rule_that_was_silent_beside_another_is_listed(run: Run) -> None:
    burns = incident(10, 20, ("smoke", "fire"), kind="burn")
    text = page([msgspec.structs.replace(run, half_found=[(burns, ["fire"])])], 1, Size(1, 1))
    assert "## Found, though not by every rule that was expected: 1" in text
    assert "| `burn` | town/north/pile-1 #1 | `fire` |" in text


def test_what_is_expected_of_nobody_is_not_counted_as_found() -> None:
    brief, real, other = incident(10, 11, ()), incident(10, 20), incident(1, 2, kind="heat")
    burns = incident(10, 20, ("smoke", "fire"), kind="burn")
    assert grave_of([brief, real, burns]) == 2
    assert grave_of([brief, msgspec.structs.replace(other, expected_rules=("heat",))]) == 0
