"""Scenario files: what may stand in them, what is said of mistakes, and the library."""

import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from typer.testing import CliRunner

from api.backtest.truth import read_truth
from api.policy_file import parsed as parsed_policy
from api.sites import read_sites
from ingest.wire import Rejected, Said
from rules.catalog import rules_in_force
from simulator.__main__ import app
from simulator.building import built
from simulator.casting import EventImpossible
from simulator.faults import FAULTS
from simulator.library import Size, names
from simulator.library import village as of_library
from simulator.player import Player
from simulator.scenario import schema
from simulator.scenario_file import ScenarioWrong, found, library, parsed, read
from simulator.tables import faults_table, scenarios_table
from simulator.village import incidents, policy_toml, sites_toml
from tests.simulated import DAY, PLACE, played, understood, village

RULES = {rule.name for kind in rules_in_force() for rule in kind}
DIALECTS = ["native", "tasmota", "zigbee2mqtt"]
SMALL = Size(days=1, sites=4)


# --- the library --------------------------------------------------------------------


def test_there_are_twenty_scenarios_and_more() -> None:
    assert len(names()) >= 20
    assert {"village-evening", "quiet-month", "wuhan-rescan", "typhoon", "attack"} <= {*names()}


@pytest.mark.parametrize("name", names())
def test_a_scenario_of_the_library_says_what_it_is_for(name: str) -> None:
    path = library()[name]
    assert path.read_text(encoding="utf-8").startswith("# ")
    text = read(path).text
    assert text.en.isascii()
    assert not text.zh.isascii()


@pytest.mark.parametrize("name", names())
def test_a_scenario_of_the_library_fits_the_published_schema(name: str) -> None:
    said = tomllib.loads(library()[name].read_text(encoding="utf-8"))
    jsonschema_rs.validate(json.loads(schema()), said)


@pytest.mark.parametrize("name", names())
def test_a_scenario_of_the_library_is_declared_and_true(name: str, tmp_path: Path) -> None:
    here = of_library(name, 3, DAY, SMALL)
    sites, truth = tmp_path / "sites.toml", tmp_path / "truth.jsonl"
    sites.write_text(sites_toml(here), encoding="utf-8")
    truth.write_bytes(incidents(here))
    declared = read_sites(sites, DIALECTS, here.starts.year)
    assert len(declared.devices) == len(here.piles) + len(here.sensors)
    parsed_policy(policy_toml(here).encode())
    known = {str(device.id) for device in declared.devices}
    known |= {plan.id for plan in here.intruders}
    for incident in read_truth(truth):
        assert {*incident.expected_rules, *incident.must_not_rules} <= RULES
        assert here.starts <= incident.begins <= incident.knowable_at
        assert incident.ends is None or incident.ends <= here.ends
        assert incident.latest is None or incident.latest >= incident.knowable_at
        assert incident.device is None or incident.device in known


@pytest.mark.parametrize("name", names())
def test_a_scenario_of_the_library_plays(name: str) -> None:
    here = of_library(name, 3, DAY, Size(days=1, sites=2))
    until, last = here.starts + timedelta(hours=2), here.starts
    count = 0
    for emission in Player(here.devices()).play(until):
        assert last <= emission.at <= until
        last = emission.at
        count += 1
        assert isinstance(understood(emission), Said | Rejected | None)
    assert count > 20


def test_nothing_is_wrong_in_a_quiet_month() -> None:
    here = of_library("quiet-month", 3, DAY, Size(days=6, sites=6))
    assert here.truth() == ()
    assert {incident.kind for incident in here.happens} <= {"self_test"}


def test_a_scenario_can_be_cut_down_to_a_size() -> None:
    here = of_library("busy-week", 7, DAY, Size(days=1, sites=5))
    assert len(here.sites) == 5
    assert {site.kind for site in here.sites} == {"village", "residential", "dormitory"}
    assert here.lasts == timedelta(days=1)


# --- mistakes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('lasts = "2 hours"', ("my.toml:1: lasts", "found '2 hours'", '"8 h"')),
        ("lasts = 5", ("my.toml:1: lasts", "found 5")),
        ('strats = "19:00"', ("my.toml:1: strats", "no such key", "did you mean 'starts'?")),
        ("[limits]\nsocket_w = -1", ("my.toml:2: limits.socket_w", "found -1")),
        ("[limits]\nsocket = 1", ("my.toml:2: limits.socket", "did you mean 'socket_w'?")),
        (
            '[[events]]\nfault = "smoke"\nat = "20:00"\n[[events]]\nfault = "smok"\n',
            ("my.toml:5: events[2].fault", "found 'smok'", "did you mean 'smoke'?", "overload"),
        ),
        (
            '[[events]]\nfault = "smoke"\nat = "8 pm"',
            ("my.toml:3: events[1].at", "found '8 pm'", "random: 2 per site-week"),
        ),
        (
            '[[events]]\nfault = "overload"\nat = "20:00"\nextra = 3',
            ("my.toml:4: events[1].extra", "no such key", "extra_w"),
        ),
        (
            '[[events]]\nfault = "bike"\nat = "20:00"\nbattery = "lead"',
            ("events[1]", "no battery 'lead'", "lead-acid 48 V 20 Ah"),
        ),
        ('[[events]]\nat = "20:00"', ("my.toml:1: events[1]", "`fault`")),
        (
            "[[places]]\n[behaviour.village]\nper_sockets = 1",
            ("my.toml:3: behaviour.village.per_sockets", "did you mean 'per_socket'?"),
        ),
        ("[behaviour.palace]\nlead = 1", ("behaviour", "palace")),
        ('[[places]]\nclosed = ["22-5"]', ("places[1].closed[1]", '"22:00-05:00"')),
        ("not toml", ("my.toml: not TOML", "line 1")),
    ],
)
def test_a_mistake_is_told_with_file_line_key_and_what_is_allowed(
    text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(ScenarioWrong) as raised:
        parsed(text + '\n[text]\nzh = "试"\nen = "x"\n', "my.toml")
    for word in words:
        assert word in str(raised.value)


def test_a_scenario_without_a_station_is_none() -> None:
    with pytest.raises(ScenarioWrong, match="there is no station"):
        parsed('[text]\nzh = "试"\nen = "x"', "my.toml")
    with pytest.raises(ScenarioWrong, match="the area of a/b is not in"):
        parsed('[text]\nzh = "试"\nen = "x"\n[sites]\n"a/b" = {zh="b", en="b"}', "my.toml")


def test_an_event_for_nobody_and_a_socket_that_is_taken_are_mistakes() -> None:
    with pytest.raises(EventImpossible, match=r"events\[1\] \(smoke\): where = 'town/west'"):
        village('[[events]]\nfault = "smoke"\nat = "20:00"\nwhere = "town/west"\n')
    twice = '[[events]]\nfault = "bike"\nat = "20:00"\nwhere = "town/north/pile-01#1"\n' * 2
    with pytest.raises(EventImpossible, match=r"events\[2\] .* no socket of town/nor"):
        village(twice)


def test_a_scenario_is_found_by_name_or_by_path(tmp_path: Path) -> None:
    assert found("typhoon") == library()["typhoon"]
    assert found("my.toml") == Path("my.toml")
    with pytest.raises(ScenarioWrong, match="did you mean typhoon"):
        found("tyfoon")
    with pytest.raises(ScenarioWrong, match="No such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(ScenarioWrong, match="not UTF-8"):
        read(tmp_path / "bytes.toml")


# --- the command line ---------------------------------------------------------------


def test_the_list_explains_each_scenario_in_both_languages() -> None:
    listed = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["--list"]).output
    for path in library().values():
        text = read(path).text
        assert path.stem in listed
        assert text.zh in listed
        assert text.en in listed


def test_a_file_of_ones_own_is_played(tmp_path: Path) -> None:
    mine, out = tmp_path / "mine.toml", tmp_path / "out.jsonl"
    mine.write_text('lasts = "30 min"\n' + PLACE, encoding="utf-8")
    words = [str(mine), "--date=2026-05-12", f"--out={out}", f"--truth={tmp_path / 't.jsonl'}"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert len(out.read_bytes().splitlines()) == len(
        played(village('lasts = "30 min"\n', seed=7))
    )


def test_a_mistake_on_the_command_line_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("lasts = 1", encoding="utf-8")
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(tmp_path / "bad.toml")])
    assert done.exit_code == 2
    assert "bad.toml:1: lasts" in done.output
    assert CliRunner().invoke(app, ["quiet-month", "--fill=2"]).exit_code == 2


def test_a_fill_says_the_past_as_kept_back_and_the_present_as_live(tmp_path: Path) -> None:
    mine, out = tmp_path / "mine.toml", tmp_path / "out.jsonl"
    mine.write_text('lasts = "3 d"\n' + PLACE, encoding="utf-8")
    words = [str(mine), "--live", "--fill=1", "--duration=3", f"--out={out}"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    marks = [
        msgspec.json.decode(line)["payload"].get("buffered", False)
        for line in out.read_bytes().splitlines()
    ]
    assert marks.count(True) > 2000
    assert 0 < marks.count(False) < 100
    assert sorted(marks, reverse=True) == marks


def test_every_fault_explains_itself_and_names_its_source() -> None:
    for tag, fault in FAULTS.items():
        assert fault.__doc__, tag
        assert fault.source, tag


def test_the_example_of_the_page_is_a_scenario() -> None:
    page = (Path(__file__).parents[1] / "docs" / "simulator.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    here = built("example", parsed(example, "docs/simulator.md"), DAY)
    assert {site.kind for site in here.sites} == {"dormitory"}
    assert here.limits.pile_w == 2600


def test_the_page_has_the_tables_of_faults_and_scenarios() -> None:
    page = (Path(__file__).parents[1] / "docs" / "simulator.md").read_text(encoding="utf-8")
    for row in (*faults_table(), *scenarios_table()):
        assert row in page, "run: python -m simulator.tables"
