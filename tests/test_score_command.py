"""`./chargewatch score` as people type it, on files and against a service."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import chdir
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.score.asking import ServiceSilent, alarms_of
from api.score.told import read_alarms, write_alarms
from rules.readings import Reading
from tests.browsing import Served, served
from tests.http_doubles import NOON, PILE, READ_TOKEN, World
from tests.processes import ROOT
from tests.scores import as_lines, month

pytest_plugins = ["tests.http_fixtures"]

OVERLOAD = {
    "class": "two_bikes",
    "device": str(PILE),
    "channel": 3,
    "begins": NOON.isoformat(),
    "ends": (NOON + timedelta(minutes=5)).isoformat(),
    "expected_rules": ["overload"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    alarms, truth = month()
    write_alarms(tmp_path / "alarms.jsonl", alarms)
    (tmp_path / "truth.jsonl").write_bytes(as_lines(truth))
    return tmp_path


@pytest.fixture
def server(here: World) -> Iterator[Served]:
    with served(here.app) as running:
        yield running


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def score(folder: Path, *words: str, truth: str = "truth.jsonl", token: str = "") -> Done:
    """Type it in `folder`, in this process: starting Python takes longer than scoring."""
    with chdir(folder):
        done = CliRunner().invoke(
            app,
            ["score", "--truth", truth, *words],
            env={"CHARGEWATCH_TOKEN": token, "COLUMNS": "100"},
        )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "either --api URL or --alerts FILE"),
        (["--alerts", "alarms.jsonl", "--api", "http://x"], "either --api URL or --alerts"),
        (["--alerts", "alarms.jsonl", "--json", "--junit"], "either --json or --junit"),
        (["--alerts", "none.jsonl"], "none.jsonl: No such file"),
        (["--alerts", "truth.jsonl"], "truth.jsonl, line 1: Object missing required field"),
        (["--alerts", "alarms.jsonl", "--from", "today"], "today is no ISO instant"),
        (["--alerts", "alarms.jsonl", "--html", "p.html", "--zone", "Mars"], "no zone 'Mars'"),
        (["--alerts", "alarms.jsonl", "--html", "no/p.html"], "no/p.html: No such file"),
        (["--api", "ftp://x"], "not http://host:port"),
        (["--api", "http://127.0.0.1:9"], "http://127.0.0.1:9/api/v1/: "),
        (["--alerts", "alarms.jsonl", "--token-file", "none"], "none"),
    ],
)
def test_a_mistake_is_said_in_a_sentence(folder: Path, words: list[str], reason: str) -> None:
    done = score(folder, *words)
    assert done.returncode == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_it_says_all_in_words_and_its_status_is_the_verdict(folder: Path) -> None:
    done = score(folder, "--alerts", "alarms.jsonl", "--html", "page.html", "--language", "en")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("not good enough: 2 missed of what must not be missed")
    assert [line for line in lines if "Nothing was said of it at all." in line]
    assert [line for line in lines if "Cause unknown" in line]
    assert "How good the alarms were" in (folder / "page.html").read_text()
    silent = score(folder, "--alerts", "alarms.jsonl", "--must-find", "silence")
    assert silent.returncode == 0
    strict = (*("--must-find", "silence"), *("--max-false-per-site-week", "0.01"))
    assert score(folder, "--alerts", "alarms.jsonl", *strict).returncode == 1


def test_it_prints_one_json_object_or_one_document_and_nothing_else(folder: Path) -> None:
    done = score(folder, "--alerts", "alarms.jsonl", "--json")
    report = json.loads(done.stdout)
    assert done.stderr == ""
    assert report["ok"] is False
    assert {"why", "incident", "said"} == report["score"]["missed"][0].keys()
    assert {"whence", "episode", "near"} == report["score"]["false"][0].keys()
    document = score(folder, "--alerts", "alarms.jsonl", "--junit").stdout
    root = ET.fromstring(document)
    assert (
        int(root.get("tests", ""))
        == len((folder / "truth.jsonl").read_bytes().splitlines()) + 1
    )


def test_it_asks_a_service_for_its_alarms_and_who_was_told(
    here: World, server: Served, tmp_path: Path
) -> None:
    server.do(here.hear(PILE, Reading(channel=3, power_w=1203.0)))
    server.do(here.wait(timedelta(seconds=31)))
    (tmp_path / "truth.jsonl").write_text(json.dumps(OVERLOAD))
    (tmp_path / "token").write_text(READ_TOKEN + "\n")
    words = ("--api", server.url, "--json", "--keep", "kept.jsonl")
    done = score(tmp_path, *words, token=READ_TOKEN)
    [kept] = read_alarms(tmp_path / "kept.jsonl").episodes
    assert (kept.rule, kept.measured) == ("overload", 1203.0)
    assert kept.told_at is None, "nobody delivers here"
    assert kept.withheld == "new_alert"
    report = json.loads(done.stdout)
    assert done.returncode == 1, "what nobody is told of finds nothing"
    assert report["score"]["missed"][0]["why"] == "not_told"
    assert report["sites"] == len(here.watch.registry.sites)
    again = score(tmp_path, "--alerts", "kept.jsonl", "--json")
    assert json.loads(again.stdout)["score"] == report["score"]
    refused = score(tmp_path, "--api", server.url)
    assert refused.returncode == 2
    assert "CHARGEWATCH_TOKEN" in refused.stderr
    by_file = score(tmp_path, "--api", server.url, "--token-file", "token")
    assert by_file.returncode == 1


def test_it_reads_all_pages_and_no_more_than_was_asked_for(
    here: World, server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.score.asking.PAGE", 2)
    for channel in (1, 2, 3, 4, 5):
        server.do(here.hear(PILE, Reading(channel=channel, power_w=1203.0)))
    server.do(here.wait(timedelta(seconds=31)))
    found = asyncio.run(alarms_of(server.url, READ_TOKEN, None, None))
    assert sorted(each.channel or 0 for each in found.episodes if each.rule == "overload") == [
        *range(1, 6)
    ]
    later = NOON + timedelta(hours=1)
    assert asyncio.run(alarms_of(server.url, READ_TOKEN, later, None)).episodes == []


def test_what_is_no_chargewatch_is_not_believed(server: Served) -> None:
    with pytest.raises(ServiceSilent, match="HTTP 404"):
        asyncio.run(alarms_of(f"{server.url}/elsewhere", READ_TOKEN, None, None))


def test_a_backtest_writes_alarms_that_score_as_it_does(tmp_path: Path) -> None:
    said = ("--date", "2026-05-12", "--duration", "25", "--out", "e.jsonl")
    files = ("--truth", "truth.jsonl", "--sites-toml", "s.toml", "--policy-toml", "p.toml")
    run(tmp_path, "simulate", "village-evening", *said, *files)
    played = ("--recording", "e.jsonl", "--sites", "s.toml", "--truth", "truth.jsonl")
    backtest = run(tmp_path, "backtest", *played, "--alerts", "a.jsonl", "--json")
    expected = json.loads(backtest)["in_force"]["score"]
    found = json.loads(score(tmp_path, "--alerts", "a.jsonl", "--json").stdout)["score"]
    assert expected["per_class"]["overload"] == found["per_class"]["overload"]
    assert expected["per_class"]["smoke"] == found["per_class"]["smoke"]
    assert found["per_class"]["smoke"]["recall"] == 1.0
    assert expected["site_weeks"] == found["site_weeks"]


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [ROOT / "chargewatch", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"CHARGEWATCH_POLICY_FILE": "p.toml"},
    )
    return done.stdout
