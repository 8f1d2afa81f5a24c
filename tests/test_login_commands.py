"""What the command line does about logins and the log of deeds, beside a running service."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from tests.http_doubles import PAGE, Client, World, csrf_on, log_in_as, somebody
from tests.test_chain import tamper

pytest_plugins = ["tests.http_fixtures"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARGEWATCH_DATA_DIR", str(tmp_path))
    return tmp_path


def said(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def password_of(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


# --- logins ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_the_first_administrator_logs_in_and_must_choose_a_password(
    here: World, client: Client
) -> None:
    password = password_of(said("login", "admin", "wang", "--name", "王莉"))
    assert here.directory.people == {}, "the service has not been told"
    assert log_in_as(client, "wang", password).headers["location"] == "/password"
    fresh = "an evening by the river"
    form = {"csrf": csrf_on(client, "/password"), "old": password, "new": fresh, "again": fresh}
    assert client.post("/password", data=form, headers=PAGE).headers["location"] == "/"
    assert client.get("/quarantine", headers=PAGE).status_code == 200
    assert here.directory.people["wang"].name == "王莉"


@pytest.mark.usefixtures("here")
def test_a_second_administrator_is_made_only_if_that_is_meant(folder: Path) -> None:
    first = password_of(said("login", "admin", "wang"))
    refused = said("login", "admin", "zhou")
    assert refused.exit_code == 2
    assert "wang" in refused.stderr
    again = password_of(said("login", "admin", "wang", "--reset"))
    assert again != first
    password_of(said("login", "admin", "zhou", "--reset"))
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        everything = "\n".join(connection.iterdump())
    connection.close()
    for password in (first, again):
        assert password not in everything


@pytest.mark.parametrize("who", ["Wang", "", "a b", "x" * 65, "王", "-x", "token:x"])
@pytest.mark.usefixtures("folder")
def test_an_id_that_nobody_could_type_is_refused(who: str) -> None:
    assert said("login", "admin", "--", who).exit_code == 2


@pytest.mark.usefixtures("folder")
def test_nobody_becomes_an_administrator_by_a_new_password(
    here: World, runner: asyncio.Runner, client: Client
) -> None:
    client.get("/login")
    runner.run(here.add(somebody("li"), "correct horse battery"))
    refused = said("login", "admin", "li")
    assert refused.exit_code == 2
    assert "police" in refused.stderr


@pytest.mark.usefixtures("folder")
def test_a_new_password_ends_every_login_at_once(
    here: World, runner: asyncio.Runner, client: Client
) -> None:
    old = "correct horse battery"
    runner.run(here.add(somebody("li"), old))
    log_in_as(client, "li", old)
    assert client.get("/", headers=PAGE).status_code == 200
    fresh = password_of(said("login", "reset", "li"))
    assert client.get("/", headers=PAGE).status_code == 303
    assert log_in_as(client, "li", old).status_code == 401
    assert log_in_as(client, "li", fresh).headers["location"] == "/password"
    assert said("login", "reset", "nobody").exit_code == 2


@pytest.mark.usefixtures("folder")
def test_logins_are_ended_by_command(
    here: World, runner: asyncio.Runner, client: Client
) -> None:
    runner.run(here.add(somebody("li"), "correct horse battery"))
    log_in_as(client, "li", "correct horse battery")
    assert said("login", "end", "li").stdout == "li: 1 ended\n"
    assert client.get("/", headers=PAGE).status_code == 303
    assert said("login", "end", "li").stdout == "li: 0 ended\n"
    assert said("login", "end", "nobody").exit_code == 2


@pytest.mark.parametrize(
    "command", [("login", "list"), ("login", "reset", "li"), ("audit", "verify")]
)
def test_without_a_ledger_there_is_nothing_to_do(
    folder: Path, command: tuple[str, ...]
) -> None:
    result = said(*command)
    assert result.exit_code == 2
    assert "there is no ledger" in result.stderr
    assert list(folder.iterdir()) == []


# --- the log of deeds ------------------------------------------------------------------------


@pytest.fixture
def written(folder: Path) -> Path:
    """Return the folder of a ledger with three deeds."""
    said("login", "admin", "wang")
    said("login", "reset", "wang")
    said("login", "reset", "wang")
    return folder


@pytest.mark.usefixtures("written")
def test_deeds_are_listed_for_people_and_for_programs() -> None:
    lines = said("audit", "list", "--language", "en").stdout.splitlines()
    assert [line.split("  ", 3)[3] for line in lines] == [
        "Reset a password  wang",
        "Reset a password  wang",
        "Made an administrator  wang",
    ]
    found = said("audit", "list", "--what", "admin.", "--who", "chargewatch", "--json").stdout
    assert json.loads(found)["what"] == "admin.made"
    assert said("audit", "list", "--since", "2199-01-01T00:00:00Z").stdout == ""
    assert said("audit", "list", "--since", "2199-01-01T00:00:00").exit_code == 2


def test_a_log_that_was_touched_is_found_out(written: Path) -> None:
    whole = said("audit", "verify")
    assert whole.exit_code == 0
    assert [line.split(":")[:2] for line in whole.stdout.splitlines()] == [
        ["alert_events", "0"],
        ["policy_changes", "0"],
        ["audit", "3"],
    ]
    tamper(written / "ledger.sqlite", "UPDATE audit SET about = 'nobody' WHERE id = 2")
    broken = said("audit", "verify")
    assert broken.exit_code == 1
    assert broken.stderr == "audit: broken at line 2\n"


def test_a_log_that_was_written_anew_as_a_whole_differs_from_what_was_noted(
    written: Path,
) -> None:
    noted = said("audit", "verify").stdout.splitlines()
    said("login", "reset", "wang")
    told = [word for line in noted for word in ("--noted", line)]
    assert said("audit", "verify", *told).exit_code == 0, "what came later changes nothing"
    ledger = written / "ledger.sqlite"
    tamper(ledger, "DELETE FROM audit")
    tamper(ledger, "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'audit'")
    for _ in range(4):
        said("login", "reset", "wang")
    assert said("audit", "verify").exit_code == 0
    found = said("audit", "verify", *told)
    assert found.exit_code == 1
    assert noted[-1] in found.stderr


@pytest.mark.parametrize(
    "line", ["", "audit", "audit:x:00", "nothing:1:00", f"audit:{10**30}:0"]
)
@pytest.mark.usefixtures("written")
def test_what_was_noted_wrongly_is_said(line: str) -> None:
    assert said("audit", "verify", "--noted", line).exit_code == 1
