"""`./chargewatch backtest` as people type it."""

import json
import os
import subprocess
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from api.cli import app
from tests.backtests import SITES, an_hour, kept, lines, written
from tests.processes import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    said = lines(*an_hour((0, 200), (10, 1500), (20, 200)))
    (tmp_path / "recording.jsonl").write_bytes(b"".join(said))
    written(tmp_path / "sites.toml", SITES)
    return tmp_path


def backtest(
    folder: Path, *words: str, said: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Type it in `folder`; its ledger and history are there too, if there are any."""
    return subprocess.run(
        [ROOT / "chargewatch", "backtest", *words],
        cwd=folder,
        input=said,
        capture_output=True,
        timeout=60,
        check=False,
        env=os.environ | {"CHARGEWATCH_DATA_DIR": str(folder)},
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "either --recording FILE, or --history"),
        (["--recording", "recording.jsonl", "--history"], "either --recording FILE"),
        (["--history", "--from", "2026-01-05T00:00:00Z"], "either --recording FILE"),
        (["--history", "--from", "today", "--to", "2026-01-05"], "today is no ISO instant"),
        (
            ["--history", "--from", "2026-01-05", "--to", "2026-01-06"],
            "2026-01-05 has no offset",
        ),
        (
            [
                "--history",
                *("--from", "2026-01-05T00:00:00Z"),
                *("--to", "2026-01-06T00:00:00Z"),
            ],
            "there is no history",
        ),
        (["--recording", "nowhere.jsonl"], "nowhere.jsonl: No such file or directory"),
        (["--recording", "sites.toml"], "sites.toml: there is no message in it: line 2:"),
        (["--recording", "recording.jsonl", "--policy", "none.toml"], "none.toml: No such"),
        (["--recording", "recording.jsonl", "--truth", "none"], "none: No such file"),
    ],
)
def test_a_mistake_is_said_in_a_sentence(
    folder: Path, words: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CHARGEWATCH_DATA_DIR", str(folder))
    done = CliRunner().invoke(app, ["backtest", *words], env={"COLUMNS": "100"})
    assert done.exit_code == 2
    assert reason in " ".join(done.stderr.replace("│", " ").split())
    assert done.stdout == ""


def test_it_prints_one_json_object_and_nothing_else(folder: Path) -> None:
    asked = ("--recording", "recording.jsonl", "--sites", "sites.toml", "--json")
    done = backtest(folder, *asked)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    result = json.loads(done.stdout)
    assert result["in_force"]["per_rule"] == {"overload": 1}
    assert result["speed"]["readings_per_s"] > 0
    assert result["difference"] is None
    piped = backtest(folder, "--recording", "-", *asked[2:], said=recording(folder))
    assert json.loads(piped.stdout)["in_force"] == result["in_force"]


def test_it_compares_and_scores_in_words(folder: Path) -> None:
    written(folder / "new.toml", "[default.overload]\nwarn_w = 2000\nact_w = 2000\n")
    truth = {
        "class": "two_bikes",
        "site": "town/north",
        "begins": "2026-01-05T04:10:00Z",
        "expected_rules": ["overload"],
    }
    written(folder / "truth.jsonl", json.dumps(truth))
    words = ["--recording", "recording.jsonl", "--sites", "sites.toml"]
    done = backtest(folder, *words, "--policy", "new.toml", "--truth", "truth.jsonl")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    text = done.stdout.decode()
    assert "only under the policy in force: 1" in text
    assert "proposed: 0 alerts; 0 of 1 incidents found" in text


def test_it_plays_the_history_of_the_data_folder(folder: Path) -> None:
    kept(folder, an_hour((0, 200), (10, 1500), (20, 200)))
    asked = ("--from", "2026-01-05T12:00:00+08:00", "--to", "2026-01-05T13:00:00+08:00")
    done = backtest(folder, "--history", *asked, "--sites", "sites.toml", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["in_force"]["per_rule"] == {"overload": 1}
    with duckdb.connect(folder / "history.duckdb"):
        done = backtest(folder, "--history", *asked, "--sites", "sites.toml")
    assert done.returncode == 2
    assert b"if the service has it open" in done.stderr


def recording(folder: Path) -> bytes:
    return (folder / "recording.jsonl").read_bytes()
