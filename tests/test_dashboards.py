"""The dashboards themselves: built from source, known to Grafana, readable by everybody."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from api.settings import PLACEHOLDERS as SERVICE_PLACEHOLDERS
from api.settings import Settings
from api.text.catalogue import Texts
from dashboards import shared
from dashboards.board import COLUMNS, uid_of
from dashboards.boards import BOARDS
from dashboards.build import BUILT, CONSOLE, built, write
from dashboards.grafana import PLACEHOLDERS, Access, Secret
from dashboards.influxql import NoSuchName, ask, ask_of, tag_values
from dashboards.palette import PALETTE
from dashboards.push import folder_of, settings_of
from dashboards.queries import placed
from dashboards.source import SOURCE_TYPE, SOURCE_UID
from dashboards.words import LANGUAGES, words_of
from ingest.measurements import ALL, SITE_NOW, SOCKET
from rules.policy import Policy

ROOT = Path(__file__).parents[1]
PROVISIONING = ROOT / "dashboards" / "provisioning"
EVERY = [(lang, name) for lang in LANGUAGES for name in BOARDS]
UNITS = {value for name, value in vars(units).items() if name[0].isupper()}

register_default_plugins()


def dashboard(lang: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((BUILT / lang / f"{name}.json").read_text("utf-8"))
    return found


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for lang, name in EVERY:
        for panel in dashboard(lang, name)["panels"]:
            yield f"{lang}/{name} {panel['title']}", panel


def everything(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value of a JSON document with its path."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from everything(each, f"{path}.{key}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from everything(each, f"{path}[{number}]")
    else:
        yield path, value


@pytest.mark.parametrize(("lang", "name"), EVERY)
def test_what_is_checked_in_is_what_the_source_builds(lang: str, name: str) -> None:
    text = (BUILT / lang / f"{name}.json").read_text("utf-8")
    assert text == built(lang, name), "run: python -m dashboards build"


def test_nothing_else_is_checked_in() -> None:
    there = {path.relative_to(BUILT).as_posix() for path in BUILT.rglob("*.json")}
    assert there == {f"{lang}/{name}.json" for lang, name in EVERY}


def test_building_again_gives_the_same_and_takes_away_what_is_no_more(tmp_path: Path) -> None:
    (tmp_path / "zh").mkdir()
    (tmp_path / "zh" / "old.json").write_text("{}")
    first = {path: path.read_bytes() for path in write(tmp_path)}
    assert {path: path.read_bytes() for path in write(tmp_path)} == first
    assert set(tmp_path.rglob("*.json")) == set(first)


def test_links_to_the_console_lead_where_one_says() -> None:
    text = built("zh", "overview", "https://console.example/")
    assert "https://console.example" in text
    assert CONSOLE not in text


@pytest.mark.parametrize(("lang", "name"), EVERY)
def test_grafanas_own_types_know_every_option(lang: str, name: str) -> None:
    """What the SDK of our version of Grafana does not know gets lost on the way through it."""
    ours = dashboard(lang, name)
    known = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    for each in (*ours["annotations"]["list"], *known["annotations"]["list"]):
        each.pop("target")  # of a data source that the SDK does not know
    lost = list(unknown(ours, known))
    assert lost == []


def unknown(ours: object, known: object, path: str = "") -> Iterator[str]:
    """Yield what is in `ours` and not, or different, in `known`."""
    if isinstance(ours, dict) and isinstance(known, dict):
        for key, value in ours.items():
            if key in known:
                yield from unknown(value, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(ours, list) and isinstance(known, list) and len(ours) == len(known):
        for number, (one, other) in enumerate(zip(ours, known, strict=True)):
            yield from unknown(one, other, f"{path}[{number}]")
    elif ours != known:
        yield path


def test_an_option_that_grafana_does_not_know_is_noticed() -> None:
    ours = dashboard("zh", "overview")
    ours["panels"][0]["options"]["colourMode"] = "value"
    known = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    assert list(unknown(ours, known)) == [".panels[0].options.colourMode"]


def test_grafanas_own_types_know_every_setting_of_single_fields() -> None:
    for where, panel in panels():
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["id"] in {"byName", "byRegexp"}, where
            assert lost_settings(panel, override["properties"]) == [], where


def lost_settings(panel: dict[str, Any], properties: list[dict[str, Any]]) -> list[str]:
    """Return what the SDK does not know, were these the settings of all fields of a panel.

    Into settings of single fields it does not look.
    """
    defaults = deepcopy(panel["fieldConfig"]["defaults"])
    for each in properties:
        kind, _, custom = each["id"].partition(".")
        place = defaults.setdefault("custom", {}) if custom else defaults
        place[custom or kind] = each["value"]
    ours = {**panel, "fieldConfig": {"defaults": defaults, "overrides": []}}
    known = json.loads(json.dumps(Panel.from_json(ours), cls=JSONEncoder))
    return list(unknown(ours, known))


def test_a_setting_that_grafana_does_not_know_is_noticed() -> None:
    (stations,) = (p for where, p in panels() if where == "zh/overview 各站点")
    for wrong in ("custom.widht", "colour"):
        assert len(lost_settings(stations, [{"id": wrong, "value": 100}])) == 1


TRANSFORMATIONS = {"organize", "sortBy", "limit", "groupBy", "joinByField"}


def test_transformations_are_those_that_grafana_registers() -> None:
    for where, panel in panels():
        for step in panel.get("transformations", []):
            assert step["id"] in TRANSFORMATIONS, where


def test_panels_lie_side_by_side_and_never_on_each_other() -> None:
    for lang, name in EVERY:
        places = [panel["gridPos"] for panel in dashboard(lang, name)["panels"]]
        assert all(p["x"] >= 0 and p["x"] + p["w"] <= COLUMNS for p in places)
        for one, other in combinations(places, 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert beside or below, (name, one, other)


def test_every_panel_says_what_it_is_what_it_means_and_what_nothing_means() -> None:
    for where, panel in panels():
        texts = (
            panel["title"],
            panel["description"],
            panel["fieldConfig"]["defaults"]["noValue"],
        )
        assert all(text.strip() for text in texts), where
        assert len(panel["description"]) > len(panel["title"]), where


def test_titles_and_numbers_are_unique_in_a_dashboard() -> None:
    for lang, name in EVERY:
        there = dashboard(lang, name)["panels"]
        assert max(Counter(panel["id"] for panel in there).values()) == 1
        assert max(Counter(panel["title"] for panel in there).values()) == 1
        for panel in there:
            letters = [target["refId"] for target in panel["targets"]]
            assert len(set(letters)) == len(letters)
    uids = [dashboard(lang, name)["uid"] for lang, name in EVERY]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[a-z0-9-]{1,40}", uid) for uid in uids)


def test_both_languages_have_the_same_words_and_all_are_used() -> None:
    zh, en = (words_of(lang).messages for lang in LANGUAGES)
    assert zh.keys() == en.keys()
    assert all(zh.values())
    assert all(en.values())
    shown = {lang: "".join(built(lang, name) for name in BOARDS) for lang in LANGUAGES}
    for lang, messages in (("zh", zh), ("en", en)):
        unused = {
            key
            for key, words in messages.items()
            if json.dumps(words, ensure_ascii=False)[1:-1].split("$")[0] not in shown[lang]
        }
        assert unused <= {"folder"}  # what push calls the folder


def test_the_chinese_dashboards_speak_chinese() -> None:
    for where, panel in panels():
        if where.startswith("zh/"):
            assert re.search(r"[\u4e00-\u9fff]", panel["title"] + panel["description"]), where


def test_every_unit_is_one_of_grafanas() -> None:
    for lang, name in EVERY:
        for path, value in everything(dashboard(lang, name)):
            if path.endswith(".defaults.unit"):
                assert known_unit(value), path
    for where, panel in panels():
        for override in panel["fieldConfig"]["overrides"]:
            for each in override["properties"]:
                if each["id"] == "unit":
                    assert known_unit(each["value"]), where


def known_unit(unit: object) -> bool:
    """Return whether Grafana knows it: by name, as a form of a time, or as what follows."""
    return unit in UNITS or re.fullmatch(r"time:[YMD-]+|suffix:\w+", str(unit)) is not None


def test_an_empty_cell_is_not_taken_for_an_empty_table() -> None:
    """Grafana puts a panel's words for nothing into every empty cell, but where a column has
    its own."""
    for where, panel in panels():
        if panel["type"] not in {"table", "geomap"}:
            continue
        for override in panel["fieldConfig"]["overrides"]:
            said = {each["id"]: each["value"] for each in override["properties"]}
            assert said["noValue"] == "–", where


def test_large_numbers_show_numbers_and_not_the_time_beside_them() -> None:
    for where, panel in panels():
        if panel["type"] == "stat":
            assert panel["options"]["reduceOptions"].get("fields", "") == "", where


def test_every_panel_asks_our_data_source_and_no_other() -> None:
    ours = {"type": SOURCE_TYPE, "uid": SOURCE_UID}
    for where, panel in panels():
        assert panel["datasource"] == ours, where
        assert all(target["datasource"] == ours for target in panel["targets"]), where


def test_nothing_comes_from_the_internet() -> None:
    """The only address is the console's, and a browser asks it only when it is clicked."""
    for lang, name in EVERY:
        for path, value in everything(dashboard(lang, name)):
            if "://" in str(value):
                assert path.startswith(".templating"), path
                assert value == CONSOLE
    (site_map,) = (p for where, p in panels() if p["type"] == "geomap" and "zh/" in where)
    assert site_map["options"]["basemap"]["type"] == "geojson"
    source = site_map["options"]["basemap"]["config"]["src"]
    kind, _, content = source.partition(",")
    assert kind == "data:application/json"
    assert json.loads(content) == {"type": "FeatureCollection", "features": []}


def test_colours_are_those_that_a_colour_blind_person_can_tell_apart() -> None:
    named = {"green", "red", "yellow", "orange", "blue", "purple"}
    for lang, name in EVERY:
        for path, value in everything(dashboard(lang, name)):
            if re.search(r"[cC]olou?r", path) and isinstance(value, str):
                assert value not in named, path
            if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
                assert value in PALETTE, path


def test_no_state_is_said_by_a_colour_alone() -> None:
    """States of another colour have another word, and that word another first sign."""
    for where, panel in panels():
        mappings = [panel["fieldConfig"]["defaults"]["mappings"]]
        for override in panel["fieldConfig"]["overrides"]:
            mappings += [e["value"] for e in override["properties"] if e["id"] == "mappings"]
        for mapping in mappings:
            results = [
                result
                for each in mapping
                for result in (
                    each["options"].values()
                    if each["type"] == "value"
                    else [each["options"]["result"]]
                )
                if "color" in result
            ]
            by_colour: dict[str, set[str]] = {}
            for result in results:
                by_colour.setdefault(result["color"], set()).add(result["text"][0])
            firsts = [first for signs in by_colour.values() for first in signs]
            assert len(set(firsts)) == len(firsts), (where, by_colour)


def test_refresh_is_never_faster_than_what_is_written() -> None:
    sane = {"": 0, "30s": 30, "1m": 60, "5m": 300}
    for lang, name in EVERY:
        assert dashboard(lang, name)["refresh"] in sane
        assert dashboard(lang, name)["timezone"] == "Asia/Shanghai"
        assert not dashboard(lang, name)["editable"]


def test_links_lead_to_dashboards_that_are_there_in_the_same_language() -> None:
    for lang, name in EVERY:
        text = built(lang, name)
        targets = set(re.findall(r"/d/([a-z0-9-]+)", text))
        assert targets <= {uid_of(board, lang) for board in BOARDS}
    assert "/d/cw-station-zh?var-site=" in built("zh", "overview")
    assert "/alerts/${__data.fields.episode:percentencode}" in built("zh", "alerts")


def test_raw_readings_are_asked_for_only_of_one_device_or_one_site() -> None:
    """They are a hundred times the samples: a month of them is no question for a dashboard."""
    for question in placed():
        if re.search(r'FROM "(socket|device)"', question.query):
            assert question.dashboard == "station"
            assert '"site" =~' in question.query


def test_a_question_cannot_name_what_is_not_in_the_database() -> None:
    with pytest.raises(NoSuchName, match="wurst"):
        ask(SITE_NOW, 'last("wurst")')
    with pytest.raises(NoSuchName, match="socket"):
        ask(SITE_NOW, 'last("worst")', by=("socket",))
    with pytest.raises(NoSuchName, match="other"):
        ask_of(ask(SITE_NOW, 'last("worst") AS "worst"'), 'sum("other")')
    with pytest.raises(NoSuchName):
        tag_values(SOCKET, "power_w")


def test_questions_are_asked_where_the_points_are() -> None:
    kept = {each.name: each.kept for each in ALL}
    for question in placed():
        for place, name in re.findall(r'FROM ("long"\.)?"(\w+)"', question.query):
            assert bool(place) == (kept[name] == "long"), question.place


def test_names_of_rules_are_those_of_the_service() -> None:
    for lang in LANGUAGES:
        texts = Texts.of(lang)
        theirs = {
            key.split(".")[1]: words
            for key, words in texts.messages.items()
            if re.fullmatch(r"rule\.\w+\.name", key)
        }
        assert words_of(lang).family("rule") == theirs
        for kind in ("charger", "smoke", "unknown"):
            assert words_of(lang).family("kind")[kind] == texts(f"kind.{kind}")


def test_limits_that_stand_as_words_are_those_of_the_built_in_policy() -> None:
    policy = Policy()
    assert policy.charging.min_w == shared.CHARGES_FROM_W
    assert (policy.overload.warn_w, policy.overload.act_w) == shared.OVERLOAD_W


def test_settings_are_those_of_the_service() -> None:
    assert Settings.model_fields["http"].default.url == CONSOLE
    assert PLACEHOLDERS == SERVICE_PLACEHOLDERS


def test_the_page_lists_every_panel_with_what_it_means() -> None:
    page = (ROOT / "docs" / "dashboards.md").read_text("utf-8")
    for lang, name in EVERY:
        assert dashboard(lang, name)["title"] in page
    for where, panel in panels():
        if where.startswith("en/"):
            assert f"| {panel['title']} | {panel['description']} |" in page, where


def test_provisioning_names_what_the_dashboards_name() -> None:
    source = (PROVISIONING / "datasources" / "chargewatch.yaml").read_text("utf-8")
    assert f"uid: {SOURCE_UID}\n" in source
    assert "$__file{/run/secrets/influx_grafana_token}" in source
    access = Access("", Secret(""), "${CHARGEWATCH_INFLUX__URL}", "", Secret(""))
    pushed = settings_of(access)
    for name in ("version", "httpMode", "timeInterval", "maxSeries", "httpHeaderName1"):
        assert f"{name}: {pushed['jsonData'][name]}" in source
    assert f"url: {pushed['url']}\n" in source
    boards = (PROVISIONING / "dashboards" / "chargewatch.yaml").read_text("utf-8")
    for lang in LANGUAGES:
        assert f"folderUid: {folder_of(lang)}\n" in boards
        assert f"folder: {words_of(lang)('folder')}\n" in boards
        assert f"path: /etc/chargewatch/dashboards/{lang}\n" in boards
