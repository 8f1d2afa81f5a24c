import string
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.text import LANGUAGES, Texts, alert_text, alert_title, explained, plain
from ingest.ledger.outbox import OutboxState, Reason
from ingest.ledger.queries import AlertRow
from ingest.registry import Registry
from ingest.wire import Refusal
from rules.alerts import Alert, AlertKey, Group, GroupKind, State
from rules.catalog import rules_in_force
from rules.cutting import Failure
from rules.readings import DeviceId, Kind
from rules.rule import Rule
from rules.session import Phase
from rules.verdict import Evidence, Severity
from tests.http_doubles import NOON, ODD, PILE, registry

ZH, EN = Texts.of("zh"), Texts.of("en")
RULES = [rule for rules in rules_in_force() for rule in rules]
SHANGHAI = ZoneInfo("Asia/Shanghai")


def firing(rule: str, evidence: Evidence, device: DeviceId = PILE) -> Alert:
    return Alert(
        key=AlertKey(rule, device, 3),
        severity=Severity.CRITICAL,
        within=(Group(GroupKind.SITE, "/".join(device.split("/")[:2])),),
        state=State.FIRING,
        began_at=NOON,
        since=NOON + timedelta(seconds=30),
        evidence=evidence,
    )


def row_of(alert: Alert) -> AlertRow:
    return AlertRow(
        id=1,
        episode=alert.episode,
        rule=alert.key.rule,
        device=alert.key.device or "",
        channel=alert.key.channel,
        site=alert.site,
        severity=alert.severity,
        state=alert.state,
        began_at=alert.began_at,
        fired_at=alert.since,
        resolved_at=None,
        evidence=alert.evidence,
        acknowledged_at=None,
        acknowledged_by=None,
        note="",
    )


def placeholders(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name is not None}


def test_both_languages_have_the_same_keys_with_the_same_placeholders() -> None:
    assert ZH.messages.keys() == EN.messages.keys()
    for key, words in ZH.messages.items():
        assert words.strip(), key
        assert EN.messages[key].strip(), key
        assert placeholders(words) == placeholders(EN.messages[key]), key


@pytest.mark.parametrize("say", [ZH, EN], ids=["zh", "en"])
def test_every_word_of_the_code_has_words_for_people(say: Texts) -> None:
    families = {
        "severity": Severity,
        "state": State,
        "kind": Kind,
        "refusal": Refusal,
        "reason": Reason,
        "outbox": OutboxState,
        "phase": Phase,
    }
    wanted = {f"{family}.{word}" for family, words in families.items() for word in words}
    wanted |= {
        f"part.{name}" for name in ("broker", "ledger", "history", "delivery", "commands")
    }
    wanted |= {f"title.{state}" for state in State}
    wanted |= {
        f"rule.{rule.name}.{part}"
        for rule, part in product(RULES, ("name", "text", "basis", "advice"))
    }
    wanted |= {
        f"rule.cut_failed.detail.{failure}"
        for failure in Failure
        if failure is not Failure.SUPERSEDED
    }
    assert wanted <= say.messages.keys()


def test_the_english_basis_is_the_one_that_the_rule_states() -> None:
    for rule in RULES:
        ours = EN(f"rule.{rule.name}.basis").casefold().rstrip(".")
        assert set(rule.basis.casefold().split()) - set(ours.split()) <= {"found", "brigade's"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.name))
@pytest.mark.parametrize("say", [ZH, EN], ids=["zh", "en"])
def test_every_rule_explains_itself_from_the_engine_and_from_the_ledger(
    rule: Rule, say: Texts
) -> None:
    evidence = Evidence(1203.4, 1000.0, "W", since=NOON, until=NOON + timedelta(hours=7))
    alert = firing(rule.name, evidence)
    text = alert_text(alert, registry(), say)
    assert text == alert_text(row_of(alert), registry(), say)
    assert alert_title(alert, registry(), say) == alert_title(row_of(alert), registry(), say)
    assert "{" not in text
    assert say("text.basis", basis="") in text
    assert say("text.advice", advice="") in text


def test_an_overload_says_what_where_how_much_against_which_limit_and_since_when() -> None:
    alert = firing("overload", Evidence(1203.4, 1000.0, "W", NOON))
    assert (
        alert_title(alert, registry(), ZH)
        == "【紧急】插座功率过高：人民路充电站 · pile-1 · 3 号插座"
    )
    assert alert_text(alert, registry(), EN).splitlines()[:3] == [
        "One socket draws too much: 1,203.4 W at its highest, the limit is 1,000 W.",
        "Where: Xuhui, Renmin Road station, pile-1, socket 3",
        "Since: 23 Nov 2026, 12:00:00 (China Standard Time, UTC+08:00)",
    ]


def test_a_silent_device_has_its_limit_as_a_length_of_time() -> None:
    alert = firing("silence", Evidence(limit=90_000.0, unit="s", since=NOON))
    assert explained(alert, registry(), EN).limit == "1 day 1 hour"
    assert "2026年11月23日 12:00:00（中国标准时间，UTC+08:00）" in alert_text(
        alert, registry(), ZH
    )


def test_the_time_is_that_of_the_site_not_ours() -> None:
    alert = firing("smoke", Evidence(since=NOON), ODD)
    assert "05:00:00 (Central European Standard Time, UTC+01:00)" in alert_text(
        alert, registry(), EN
    )


def test_a_rule_or_a_site_that_nobody_knows_any_more_is_explained_all_the_same() -> None:
    alert = firing("abolished", Evidence(3.0, 2.0, "A"))
    nobody = Registry([], [], [])
    assert alert_title(alert, nobody, EN).startswith("Critical: Other alert (abolished), ")
    assert "Measured 3 A, the limit is 2 A." in alert_text(alert, nobody, EN)


def test_what_a_device_calls_itself_stays_text() -> None:
    wicked = DeviceId("xuhui/renmin-lu/a\r\nBcc: x@y\x1b[31m\u202e<script>{title}")
    title = alert_title(firing("smoke", Evidence(), wicked), registry(), EN)
    assert title.isprintable()
    assert "<script>{title}" in title
    assert "a��Bcc: x@y�[31m�" in title


@given(st.text())
def test_plain_text_is_printable_and_keeps_its_length(text: str) -> None:
    assert plain(text).isprintable()
    assert len(plain(text)) == len(text)


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (0, "0秒", "0 seconds"),
        (59, "59秒", "59 seconds"),
        (480, "8分钟", "8 minutes"),
        (3_605, "1小时", "1 hour"),
        (3_900, "1小时 5分钟", "1 hour 5 minutes"),
        (90_000, "1天 1小时", "1 day 1 hour"),
    ],
)
def test_lengths_of_time_are_written_in_their_two_largest_units(
    seconds: int, zh: str, en: str
) -> None:
    assert ZH.span(timedelta(seconds=seconds)) == zh
    assert EN.span(timedelta(seconds=seconds)) == en


def test_how_long_ago_is_told_in_one_unit() -> None:
    assert ZH.ago(NOON, NOON) == "刚刚"
    assert EN.ago(NOON, NOON + timedelta(seconds=75)) == "1 min ago"
    assert ZH.ago(NOON, NOON + timedelta(hours=30)) == "1天前"


def test_numbers_and_moments_are_written_as_the_language_does() -> None:
    assert {lang: Texts.of(lang).number(12034.56, "W", 0) for lang in LANGUAGES} == {
        "zh": "12,035 W",
        "en": "12,035 W",
    }
    moment = datetime(2026, 7, 1, 16, 5, tzinfo=UTC)
    assert ZH.moment(moment, SHANGHAI) == "2026年7月2日 00:05:00"
    assert EN.moment(moment, SHANGHAI) == "2 Jul 2026, 00:05:00"


def test_a_key_that_is_not_in_the_catalogue_is_found_at_once() -> None:
    with pytest.raises(KeyError):
        ZH("no.such.key")
