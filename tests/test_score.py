"""The score: why it was missed, where a false alarm comes from, and whether it will do."""

import json
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.backtest.episodes import Episode
from api.backtest.matching import Whence, Why, matched
from api.backtest.traps import MISTAKEN_FOR, TRAP
from api.backtest.truth import Incident
from api.score.drawing import Span, ticks
from api.score.junit import junit
from api.score.page import page, percent
from api.score.report import Asked, NothingToScore, Scored, scored
from api.score.saying import false_alarm_in_words, miss_in_words
from api.score.told import Alarms, AlertsUnreadable, Watched, read_alarms, write_alarms
from api.text import LANGUAGES, Texts
from rules.catalog import rules_in_force
from simulator.library import Size, names, village
from tests.backtests import MINUTE, NOON, episode, incident, written
from tests.scores import DAY, FIRST, month

SHANGHAI = ZoneInfo("Asia/Shanghai")
EN = Texts.of("en")
MAY = date(2026, 5, 12)


def untold(found: Episode, why: str) -> Episode:
    found.told_at, found.withheld = None, why
    return found


def result_of(episodes: list[Episode], *truth: Incident, asked: Asked | None = None) -> Scored:
    watched = Watched(begins=NOON, ends=NOON + timedelta(days=7), sites=2)
    return scored(Alarms(watched=watched, episodes=episodes), truth, asked or Asked())


# --- why it was missed --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why", "words"),
    [
        ([], Why.NOTHING_SAID, "Nothing was said of it at all."),
        ([episode(15, 16)], Why.TOO_LATE, "3 mins after the latest"),
        ([episode(9, 16)], Why.TOO_EARLY, "was told before it began"),
        (
            [untold(episode(11, 16), "inhibited:site_outage")],
            Why.NOT_TOLD,
            "nobody was told: “Whole site silent” spoke for it",
        ),
        ([untold(episode(11, 16), "silenced:3")], Why.NOT_TOLD, "it was silenced"),
        ([untold(episode(11, 16), "way_not_set_up")], Why.NOT_TOLD, "nobody was told"),
        ([episode(11, 12, "heat")], Why.ANOTHER_RULE, "only “Overheating"),
        ([episode(11, 12, channel=2)], Why.ELSEWHERE, "about town/north/pile-1 #2"),
    ],
)
def test_a_miss_says_what_came_nearest(said: list[Episode], why: Why, words: str) -> None:
    [miss] = matched(said, [incident(10, 20, latest=12)]).missed
    assert miss.why == why
    assert words.partition("Overheating")[0] in miss_in_words(miss, EN)


def test_what_comes_nearest_is_the_expected_rule_before_any_other() -> None:
    said = [episode(11, 12, "heat"), episode(15, 16)]
    [miss] = matched(said, [incident(10, 20, latest=12)]).missed
    assert (miss.why, miss.said) == (Why.TOO_LATE, said[1])


def test_who_is_told_already_need_not_be_told_again() -> None:
    """A pile's sum falls below its limit for a while, and its alarm goes on."""
    first, again = incident(10, 20), incident(30, 40)
    found = matched([episode(11, 45)], [first, again])
    assert [each.delay_s for each in found.findings] == [60, 0]
    assert not found.missed
    assert not found.false


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(episode(11, 30), id="is over before it can be known"),
        pytest.param(episode(5, 45), id="was false when it was told"),
        pytest.param(episode(11, 45, channel=2), id="is of another socket"),
        pytest.param(episode(11, 45, channel=None), id="is of the whole device"),
        pytest.param(episode(11, 45, "heat"), id="is of another rule"),
        pytest.param(untold(episode(11, 45), "silenced:3"), id="was never told"),
    ],
)
def test_nothing_is_found_by_an_earlier_alarm_that(said: Episode) -> None:
    first, again = incident(10, 20), incident(30, 40)
    assert matched([said], [first, again]).findings[1].delay_s is None


# --- where a false alarm comes from -------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "happened", "whence"),
    [
        (episode(50, 51), [], Whence.UNKNOWN),
        (episode(50, 51), [incident(10, 20)], Whence.ECHO),
        (episode(5, 6), [incident(10, 20)], Whence.HERALD),
        (episode(15, 16, channel=2), [incident(10, 20)], Whence.NEIGHBOUR),
        (episode(15, 16), [incident(10, 20, (), must_not=["overload"])], Whence.FORBIDDEN),
        (
            episode(15, 16),
            [incident(10, 20, (), kind="loss", severity="trap")],
            Whence.MEANWHILE,
        ),
        (episode(150, 151), [incident(10, 20)], Whence.UNKNOWN),
        (episode(50, 51), [incident(10, 20, device="town/south/p")], Whence.UNKNOWN),
    ],
)
def test_a_false_alarm_says_what_it_may_come_from(
    said: Episode, happened: list[Incident], whence: Whence
) -> None:
    [alarm] = matched([said], happened).false
    assert alarm.whence == whence
    assert (alarm.near is None) is (whence is Whence.UNKNOWN)
    assert "{" not in false_alarm_in_words(alarm, EN)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_cause_has_words(lang: str) -> None:
    keys = Texts.of(lang).messages
    assert {f"score.miss.{why}" for why in Why} <= keys.keys()
    assert {f"score.false.{whence}" for whence in Whence} <= keys.keys()


# --- what a trap excuses ------------------------------------------------------------------


def of_a_trap(kind: str, *said: Episode, must_not: tuple[str, ...] = ()) -> list[str]:
    """Return the rules that are false while a trap of that class goes on."""
    trap = incident(10, 20, (), kind=kind, severity="trap", channel=None, must_not=must_not)
    return [each.episode.rule for each in matched(said, [trap]).false]


SAID = [episode(12, 13, rule) for rule in ("smoke", "overload", "undeclared_device", "fire")]


def test_a_trap_excuses_only_what_it_can_be_mistaken_for() -> None:
    assert of_a_trap("fryer", *SAID, must_not=("fire",)) == [
        "overload",
        "undeclared_device",
        "fire",
    ]
    assert of_a_trap("flood", *SAID) == ["smoke", "overload", "fire"]
    assert of_a_trap("loss", *SAID) == ["smoke", "overload", "undeclared_device", "fire"]


def test_a_trap_that_only_people_know_excuses_what_it_does_not_forbid() -> None:
    assert of_a_trap("a wedding", *SAID, must_not=("fire",)) == ["fire"]


def test_what_really_happened_excuses_all_that_is_said_of_its_subject() -> None:
    real = incident(10, 20, (), kind="loss", severity="warning", channel=None)
    assert matched(SAID, [real]).false == []


def test_what_happened_beside_a_trap_bears_out_the_rule_of_its_name() -> None:
    """Nobody could know of it, so that nothing is expected; to say it is right all the same."""
    unit = incident(5, 30, (), kind="wrong_unit", channel=None, must_not=["overload"])
    said = [episode(12, 13)]
    assert [each.whence for each in matched(said, [unit]).false] == [Whence.FORBIDDEN]
    assert matched(said, [unit, incident(10, 20, ())]).false == []


def test_every_trap_of_the_simulator_is_known() -> None:
    kinds = {
        each.kind
        for name in names()
        for each in village(name, 1, MAY, Size(days=2, sites=4)).happens
        if each.severity == TRAP
    }
    assert kinds >= {"loss", "fryer", "power_dips"}
    assert kinds <= MISTAKEN_FOR.keys()


def test_a_trap_excuses_rules_that_there_are() -> None:
    rules = {rule.name for side in rules_in_force() for rule in side}
    assert set().union(*MISTAKEN_FOR.values()) <= rules


# --- figures ------------------------------------------------------------------------------


def test_precision_is_the_share_of_alarms_that_were_right() -> None:
    truth = [incident(10, 20), incident(30, 31, (), kind="inrush", must_not=["overload"])]
    said = [episode(11, 12), episode(30, 31), episode(300, 301, "heat")]
    score = result_of(said, *truth).report.score
    assert score.precision == pytest.approx(1 / 3, abs=1e-4)
    assert score.per_rule["overload"].precision == 0.5
    assert score.per_rule["heat"].precision == 0.0
    assert score.per_class["overload"].precision == 1.0
    assert score.per_class["inrush"].precision == 0.0


def test_what_is_neither_expected_nor_forbidden_is_neither_right_nor_false() -> None:
    score = result_of([episode(11, 12), episode(13, 14, "heat")], incident(10, 20)).report.score
    assert score.precision == 1.0
    assert score.alerts_per_incident == 2.0


def test_an_alarm_that_says_again_what_was_said_is_a_duplicate_and_not_false() -> None:
    said = [episode(11, 12), episode(13, 14), episode(15, 16, channel=None)]
    score = result_of(said, incident(10, 20)).report.score
    assert (score.duplicates, score.false_alarms) == (1, 0)
    assert score.per_rule["overload"].duplicates == 1
    assert score.per_class["overload"].duplicates == 1


def test_notifications_are_counted_if_somebody_counted_them_all() -> None:
    one, other = episode(11, 12), episode(13, 14)
    assert result_of(
        [one, other], incident(10, 20)
    ).report.score.notifications_per_incident is (None)
    one.notifications, other.notifications = 3, 1
    score = result_of([one, other], incident(10, 20), incident(100, 110)).report.score
    assert score.notifications_per_incident == 2.0


# --- will it do? --------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["smoke", "fire", "overload"])
def test_does_not_do_if_one_is_missed_that_must_not_be(rule: str) -> None:
    result = result_of([], incident(10, 20, (rule,), kind="something")).report
    assert not result.ok
    assert len(result.must_not_be_missed) == 1


def test_does_if_what_is_missed_may_be() -> None:
    assert result_of([], incident(10, 20, ("silence",), kind="dead")).report.ok
    asked = Asked(must_find=["dead"])
    assert not result_of([], incident(10, 20, ("silence",), kind="dead"), asked=asked).report.ok


def test_does_not_do_if_there_are_more_false_alarms_than_are_allowed() -> None:
    said = [episode(1, 2), episode(50, 51), episode(99, None)]
    assert result_of(said).report.ok
    assert result_of(said, asked=Asked(false_alarms_allowed=1.5)).report.ok
    assert not result_of(said, asked=Asked(false_alarms_allowed=1.4)).report.ok


def test_nothing_outside_of_the_time_that_is_asked_for_counts() -> None:
    asked = Asked(begins=NOON + 8 * MINUTE, ends=NOON + 40 * MINUTE)
    truth = (incident(1, 2), incident(10, 20), incident(50, 60))
    result = result_of([episode(1, 2), episode(11, 12), episode(45, 46)], *truth, asked=asked)
    assert (result.report.score.incidents, result.report.score.false_alarms) == (1, 0)


def test_does_not_score_a_time_that_nobody_knows() -> None:
    with pytest.raises(NothingToScore, match="say --from and --to"):
        scored(Alarms(watched=Watched(), episodes=[]), (), Asked())


def test_the_time_and_the_sites_are_those_that_are_known_if_nobody_says_them() -> None:
    alarms = Alarms(watched=Watched(), episodes=[episode(1, 2)])
    report = scored(alarms, (incident(10, 20),), Asked()).report
    assert (report.begins, report.ends) == (NOON + MINUTE, NOON + 21 * MINUTE)
    assert report.sites == 1


# --- files of alarms ----------------------------------------------------------------------


def test_a_file_of_alarms_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    alarms, _ = month()
    write_alarms(tmp_path / "alarms.jsonl", alarms)
    assert read_alarms(tmp_path / "alarms.jsonl") == alarms


def test_an_alert_of_the_api_is_a_line_too(tmp_path: Path) -> None:
    alert = {
        "id": 17,
        "rule": "overload",
        "device": "town/north/pile-1",
        "scope": "",
        "channel": 3,
        "severity": "critical",
        "fired_at": "2026-01-05T04:00:00Z",
        "resolved_at": None,
        "evidence": {"measured": 1203.0, "limit": 1000.0, "unit": "W", "detail": "x"},
        "withheld": "",
        "drill": False,
    }
    outage = alert | {"device": "", "scope": "site:town/north", "withheld": "silenced:1"}
    lines = [alert, alert | {"drill": True}, alert | {"fired_at": None}, outage]
    path = written(tmp_path / "alerts.jsonl", "\n".join(map(json.dumps, lines)))
    other, one = read_alarms(path).episodes
    assert (one.site, one.measured, one.unit) == ("town/north", 1203.0, "W")
    assert one.told_at == one.fired_at, "nobody says when it was told: when it fired"
    assert (other.site, other.device, other.told_at) == ("town/north", None, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "line 1: "),
        ('\n{"rule": "smoke"}', "line 2: Object missing required field `fired_at`"),
        ('{"rule": "smoke", "fired_at": "2026-01-05T04:00:00"}', "line 1: Expected"),
        ('{"alerts": 2}', "alerts of form 2, not 1"),
        ("x" * 70_000, "line 1: longer than 65536 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_not_read_by_half(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(AlertsUnreadable) as caught:
        read_alarms(written(tmp_path / "alerts.jsonl", text))
    assert reason in str(caught.value)


@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_unreadable(
    tmp_path_factory: pytest.TempPathFactory, said: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(said)
    with suppress(AlertsUnreadable):
        read_alarms(path)


# --- JUnit --------------------------------------------------------------------------------


def test_junit_has_a_case_for_each_incident_and_one_for_false_alarms() -> None:
    alarms, truth = month()
    result = scored(alarms, truth, Asked(false_alarms_allowed=0.01))
    root = ET.fromstring(junit(result, EN))
    cases = root.findall("testsuite/testcase")
    assert len(cases) == len(truth) + 1
    failed = root.findall("testsuite/testcase/failure")
    forbidden = result.report.score.forbidden
    assert len(failed) == len(result.report.score.missed) + forbidden + 1
    assert root.get("failures") == str(len(failed))
    assert {each.get("name") for each in root} == {each.kind for each in truth} | {
        "false alarms"
    }


def test_junit_can_be_read_whatever_a_device_is_called() -> None:
    odd = 'town/north/<b>"\x00\x1b]]>&'
    found = episode(50, 51)
    found.device = odd
    result = result_of([found], incident(10, 20, device=odd, kind="\x01<k>"))
    root = ET.fromstring(junit(result, EN))
    assert "<b>" in str(root.find("testsuite/testcase").attrib["name"])  # type: ignore[union-attr]


# --- the page -----------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_fetches_nothing_and_runs_nothing(lang: str) -> None:
    alarms, truth = month()
    html = page(scored(alarms, truth, Asked()), SHANGHAI, Texts.of(lang))
    assert "<script" not in html
    assert "default-src &#39;none&#39;" in html
    for word in ("http://", "https://", "src=", "href=", "url(", "style=", "@import", "onload"):
        assert word not in html
    assert html.count('<details class="site"') == len(
        {each.place for each in truth} | {each.site for each in alarms.episodes}
    )


def test_a_devices_name_is_text_on_the_page() -> None:
    found = episode(50, 51)
    found.device = "town/north/<script>alert(1)</script>"
    odd = incident(10, 20, device='town/north/"><img src=x>', kind="<i>kind</i>")
    html = page(result_of([found], odd), SHANGHAI, EN)
    for markup in ("<script>", "<img", "<i>kind"):
        assert markup not in html
    assert "&lt;script&gt;" in html


def test_the_page_unfolds_the_sites_with_misses_first_and_counts_the_quiet_ones() -> None:
    alarms, truth = month()
    html = page(scored(alarms, truth, Asked()), SHANGHAI, EN)
    sites = html.split('<details class="site"')[1:]
    assert "missed" in sites[0].partition(">")[0]
    assert sites[0].partition(">")[0].endswith(" open")
    assert not sites[-1].partition(">")[0].endswith(" open")
    named = {each.place for each in truth} | {each.site for each in alarms.episodes}
    assert f"Quiet sites: {50 - len(named)}" in html


def test_a_month_is_shown_by_the_day_and_an_evening_as_one() -> None:
    alarms, truth = month(days=1)
    watched = msgspec.structs.replace(alarms.watched, ends=FIRST + DAY)
    day = scored(msgspec.structs.replace(alarms, watched=watched), truth, Asked())
    assert "<h3>" not in page(day, SHANGHAI, EN)
    assert "<h3>2026-05-" in page(scored(*month(), Asked()), SHANGHAI, EN)


@given(st.integers(1, 60 * 24 * 60), st.integers(0, 1440))
def test_an_axis_has_a_few_round_moments(minutes: int, after: int) -> None:
    begins = FIRST + after * MINUTE
    found, _ = ticks(Span(begins=begins, ends=begins + minutes * MINUTE), SHANGHAI)
    assert len(found) <= 8
    assert all(begins < each < begins + minutes * MINUTE for each in found)
    assert all(each.second == 0 for each in found)


def test_a_share_is_not_rounded_up_to_the_whole() -> None:
    assert percent(0.9999) == "99.9 %"
    assert percent(1.0) == "100 %"
    assert percent(None) == "–"
