"""`rules list`, `rules explain` and `check-policy`, as somebody types them."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from api.policy_shape import tables
from api.rules_shown import levels_of
from api.text import LANGUAGES, Texts
from rules.catalog import rules_in_force
from rules.policies import BUILT_IN
from rules.rule import Rule
from rules.verdict import Severity

CATALOGUE = Path(__file__).parents[1] / "rules" / "catalog"
EXAMPLES = Path(__file__).parents[1] / "examples"
SITES, POLICY = str(EXAMPLES / "sites.toml"), str(EXAMPLES / "policy.toml")
DORMITORY = "riverside/factory-dormitory"
WIDE = {"COLUMNS": "200", "LANG": "C.UTF-8", "LC_ALL": ""}


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no `.env` of anybody's be read."""
    monkeypatch.chdir(tmp_path)


def typed(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(app, words, env=WIDE | environment)


def explained(*words: str) -> dict[str, Any]:
    asked = ("rules", "explain", "--sites", SITES, "--policy", POLICY, "--json", *words)
    done = typed(*asked)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    return found


def limits(found: dict[str, Any]) -> dict[str, tuple[object, str]]:
    return {f"{x['rule']}.{x['key']}": (x["value"], x["layer"]) for x in found["limits"]}


# --- rules list --------------------------------------------------------------------------


def test_the_list_has_every_rule_with_its_levels_and_basis() -> None:
    rules = msgspec.json.decode(typed("rules", "list", "--json", "--language", "en").stdout)
    listed = {rule["rule"]: rule for rule in rules["rules"]}
    assert set(listed) == {rule.name for rules in rules_in_force() for rule in rules}
    assert listed["overload"]["levels"] == ["warning", "critical"]
    assert listed["smoke"]["levels"] == ["critical"]
    assert all(rule["basis"] for rule in listed.values())


@pytest.mark.parametrize(
    "rule", [rule for rules in rules_in_force() for rule in rules], ids=lambda rule: rule.name
)
def test_the_levels_are_those_that_the_rule_answers(rule: Rule) -> None:
    code = (CATALOGUE / f"{rule.name}.py").read_text(encoding="utf-8")
    named = {Severity[word] for word in re.findall(r"Severity\.([A-Z]+)", code)}
    levels = levels_of(rule.name, rule.severity)
    assert set(levels) == named
    assert sorted(levels, key=lambda level: level.rank) == list(levels)


@pytest.mark.parametrize(
    ("words", "environment", "seen"),
    [
        (("--language", "en"), {"LANG": "zh_CN.UTF-8"}, "Socket overload"),
        ((), {"LANG": "en_GB.UTF-8"}, "Socket overload"),
        ((), {"LANG": "en_GB.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, "插座功率过高"),
        ((), {"CHARGEWATCH_LANGUAGE": "en"}, "Socket overload"),
        ((), {}, "插座功率过高"),
    ],
)
def test_the_language_is_asked_for_or_the_terminals_or_the_settings(
    words: tuple[str, ...], environment: dict[str, str], seen: str
) -> None:
    assert seen in typed("rules", "list", *words, **environment).stdout


# --- rules explain -----------------------------------------------------------------------


def test_every_value_in_force_is_there_with_the_level_it_comes_from() -> None:
    found = explained("--site", DORMITORY, "--device", "pile-1")
    assert (found["device"], found["declared"]) == (f"{DORMITORY}/pile-1", True)
    values = limits(found)
    assert len(values) == len(list(BUILT_IN.explain(DORMITORY, None)))
    assert values["overload.act_w"] == (800, f"site {DORMITORY}")
    assert values["overload.hold"] == ("30 s", "built in")
    assert values["silence.charger_after"] == ("5 min", f"site {DORMITORY}")


def test_a_device_of_another_site_has_the_default() -> None:
    values = limits(explained("--site", "riverside/willow-village"))
    assert values["overload.act_w"] == (1000, "built in")
    assert values["after_hours.grace"] == ("10 min", "default")


def test_the_time_of_silence_that_the_sites_file_has_for_a_device_wins() -> None:
    values = limits(explained("--site", "trial/always-closed", "--device", "smoke-1"))
    assert values["silence.smoke_after"] == ("25 h", "sites file")
    assert values["silence.charger_after"] == ("8 min", "built in")


def test_opening_hours_are_there_as_the_sites_file_has_them() -> None:
    hours = explained("--site", DORMITORY)["opening_hours"]
    said = {each["key"]: (each["value"], each["layer"]) for each in hours}
    assert said["calendar"] == ("CN", "sites file")
    assert said["closed"][0].startswith("workdays 08:00-17:00, workdays 23:30")
    assert said["exceptions"][0] == "2027-02-05 … 2027-02-11: 00:00-24:00"


def test_without_files_all_is_built_in() -> None:
    found = msgspec.json.decode(typed("rules", "explain", "--site", "a/b", "--json").stdout)
    assert {each["layer"] for each in (*found["limits"], *found["opening_hours"])} == {
        "built in"
    }
    assert not found["declared"]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("When it is closed", "Socket overload", "overload.act_w", "800 W", "site")),
        ("zh", ("关闭时段", "插座功率过高", "overload.act_w", "800 W", "站点", "内置")),
    ],
)
def test_people_get_tables_in_their_language(language: str, words: tuple[str, ...]) -> None:
    done = typed(
        *("rules", "explain", "--site", DORMITORY, "--device", "pile-9"),
        *("--sites", SITES, "--policy", POLICY, "--language", language),
    )
    assert [word for word in words if word not in done.stdout] == [], done.output
    undeclared = {"en": "Nobody declared", "zh": "没有人登记过"}[language]
    assert undeclared in done.stdout


def test_the_files_of_the_settings_are_used_if_none_are_named() -> None:
    settings = {"CHARGEWATCH_SITES_FILE": SITES, "CHARGEWATCH_POLICY_FILE": POLICY}
    done = typed("rules", "explain", "--site", DORMITORY, "--json", **settings)
    assert limits(msgspec.json.decode(done.stdout))["overload.act_w"][0] == 800


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ("riverside/factory-dormitry", f"did you mean '{DORMITORY}'?"),
        ("riverside", "a site is called \"area/site\", not 'riverside'"),
    ],
)
def test_a_site_that_nobody_knows_is_an_error(site: str, said: str) -> None:
    done = typed("rules", "explain", "--site", site, "--sites", SITES)
    assert done.exit_code == 2
    assert said in done.stderr


# --- check-policy ------------------------------------------------------------------------


def test_a_file_in_order_is_counted() -> None:
    done = typed("check-policy", POLICY, "--sites", SITES)
    assert (done.exit_code, done.stdout) == (0, f"{POLICY}: 13 values in 3 layers\n")


def test_every_mistake_of_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[default.overload]\nhold = 30\nwarm_w = 3\n")
    done = typed("check-policy", str(path))
    assert done.exit_code == 2
    assert f"{path}:2: default.overload.hold: found 30" in done.stderr
    assert f"{path}:3: default.overload.warm_w: no such key" in done.stderr


def test_limits_for_places_that_nobody_knows_are_named(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[area.riversid.overload]\nhold = "3 s"\n')
    done = typed("check-policy", str(path), "--sites", SITES)
    assert done.exit_code == 0
    assert "warning: area.\"riversid\": there is no such area; did you mean 'riverside'?" in (
        done.stdout
    )


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_table_of_the_policy_has_words_in_each_language(lang: str) -> None:
    messages = Texts.of(lang).messages
    wordless = [
        table
        for table in (*tables(), "opening_hours")
        if not messages.keys() & {f"rule.{table}.name", f"rules.table.{table}"}
    ]
    assert not wordless, "a table that is no rule wants `rules.table.<name>`"
