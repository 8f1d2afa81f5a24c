"""The arithmetic of a backtest: which episodes are the same, and how good they were."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.backtest.comparing import Difference, difference
from api.backtest.episodes import Episode
from api.backtest.scoring import Score, delay_of, score
from api.backtest.truth import Incident
from tests.backtests import episode, incident

WEEK = timedelta(days=7)


def scored(episodes: Sequence[Episode], *truth: Incident) -> Score:
    return score(episodes, truth, sites=2, lasts=WEEK)


# --- differences ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(episode(1, 2), episode(3, 4), id="one after the other"),
        pytest.param(episode(1, 9, "heat"), episode(1, 9), id="another rule"),
        pytest.param(episode(1, 9, channel=2), episode(1, 9), id="another socket"),
        pytest.param(episode(1, 9, channel=None), episode(1, 9), id="the whole device"),
    ],
)
def test_does_not_take_for_the_same(old: Episode, new: Episode) -> None:
    assert difference([new], [old]) == Difference([new], [old], [])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(episode(1, 9), episode(1, 9), id="equal"),
        pytest.param(episode(1, 9), episode(3, 4), id="within"),
        pytest.param(episode(1, 3), episode(2, 9), id="later"),
        pytest.param(episode(1), episode(99), id="both open"),
    ],
)
def test_takes_for_the_same_what_overlaps(old: Episode, new: Episode) -> None:
    assert difference([new], [old]) == Difference([], [], [new])
    assert difference([old], [new]) == Difference([], [], [old])


def test_one_long_alert_is_the_same_as_one_of_two_short_ones() -> None:
    long, one, two = episode(0, 9), episode(1, 2), episode(4, 5)
    assert difference([one, two], [long]) == Difference([two], [], [one])


SPANS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=8)


def alternating(spans: list[tuple[int, int]]) -> list[Episode]:
    """Make episodes of one subject from gaps and lengths."""
    episodes, at = [], 0
    for gap, length in spans:
        at += gap
        episodes.append(episode(at, at + length))
        at += length
    return episodes


@given(SPANS, SPANS)
def test_every_episode_is_in_exactly_one_part(
    old_spans: list[tuple[int, int]], new_spans: list[tuple[int, int]]
) -> None:
    old, new = alternating(old_spans), alternating(new_spans)
    found, mirrored = difference(new, old), difference(old, new)
    assert sorted(map(id, found.only_proposed + found.same)) == sorted(map(id, new))
    assert len(found.only_in_force) + len(found.same) == len(old)
    assert mirrored.only_proposed == found.only_in_force
    assert mirrored.only_in_force == found.only_proposed
    assert difference(old, old).same == old


# --- the score --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "truth"),
    [
        pytest.param(episode(5, 6), incident(10, 20), id="too early"),
        pytest.param(episode(25, 26), incident(10, 20), id="after its end"),
        pytest.param(episode(15, 26), incident(10, 20, latest=12), id="too late"),
        pytest.param(episode(12, 13, "heat"), incident(10, 20), id="by another rule"),
        pytest.param(episode(12, 13, channel=2), incident(10, 20), id="of another socket"),
    ],
)
def test_does_not_find_what_it_says_nothing_of(found: Episode, truth: Incident) -> None:
    result = scored([found], truth)
    assert (result.incidents, result.found, result.recall) == (1, 0, 0.0)
    assert [each.incident for each in result.missed] == [truth]
    assert result.delay_s is None
    assert result.per_rule["overload"].recall == result.per_class["overload"].recall == 0.0


def test_does_not_count_as_false_what_is_about_an_incident() -> None:
    consequence = episode(12, 13, "heat", channel=None)
    result = scored([episode(12, 13), consequence], incident(10, 20))
    assert (result.found, result.false_alarms) == (1, 0)


def test_does_not_ask_for_anything_in_a_trap() -> None:
    inrush = incident(10, 11, (), must_not=("overload",))
    assert scored([], inrush).recall is None
    result = scored([episode(10.2, 10.5)], inrush)
    assert (result.incidents, result.false_alarms, result.forbidden) == (0, 1, 1)
    assert result.per_rule["overload"].false_alarms == 1


def test_an_alarm_about_nothing_is_false_and_counted_by_site_and_week() -> None:
    result = scored([episode(1, 2), episode(50, 51), episode(99, None, "silence")])
    assert result.false_alarms == 3
    assert result.site_weeks == 2
    assert result.false_alarms_per_site_week == 1.5
    assert {name: mark.false_alarms for name, mark in result.per_rule.items()} == {
        "overload": 2,
        "silence": 1,
    }


def test_a_delay_begins_when_it_could_be_known() -> None:
    truth = [incident(10, 20), incident(30, 40), incident(50, 60)]
    result = scored([episode(11, 12), episode(32, 33), episode(54)], *truth)
    assert result.recall == 1.0
    assert result.delay_s is not None
    assert (result.delay_s.p50, result.delay_s.p95, result.delay_s.max) == (120, 240, 240)


def test_each_rule_that_is_expected_is_asked_for() -> None:
    truth = incident(10, 20, ("smoke", "fire"), kind="burning", channel=None)
    result = scored([episode(11, 15, "smoke", None)], truth)
    assert result.recall == 1.0
    assert result.per_class["burning"].recall == 1.0
    assert result.per_rule["smoke"].recall == 1.0
    assert result.per_rule["fire"].recall == 0.0


def test_a_site_is_its_devices() -> None:
    outage = incident(10, 20, ("silence",), device=None, channel=None)
    assert scored([episode(11, 15, "silence", None)], outage).found == 1


def test_one_alarm_that_is_expected_here_and_forbidden_there_is_right() -> None:
    joined = incident(10, 20)
    inrush = incident(9, 21, (), must_not=("overload",))
    assert scored([episode(12, 13)], joined, inrush).false_alarms == 0


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_in_order_and_are_delays_that_were(delays: list[float]) -> None:
    found = delay_of(delays)
    assert found is not None
    assert min(delays) - 0.001 <= found.p50 <= found.p95 <= found.max
    assert found.max == round(max(delays), 3)
    assert {found.p50, found.p95} <= {round(each, 3) for each in delays}
