"""A manager's login at Grafana: it looks, is made once, and never is an administrator's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.deploy.grafana import GrafanaRefused, add_viewer
from tests.brokers import HOST
from tests.grafana_logins import ADMIN_PASSWORD, Grafana


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    running = Grafana()
    try:
        yield running
    finally:
        running.close()


def test_a_manager_may_look(grafana: Grafana) -> None:
    assert add_viewer(grafana.url, ADMIN_PASSWORD, "wang.li", "a good password") == "made"
    wang = grafana.users["wang.li"]
    assert wang["role"] == "Viewer"
    assert wang["password"] == "a good password"


def test_the_second_time_the_password_stays_and_the_role_is_that_of_one_who_looks(
    grafana: Grafana,
) -> None:
    add_viewer(grafana.url, ADMIN_PASSWORD, "wang", "a good password")
    grafana.users["wang"]["role"] = "Editor"
    assert add_viewer(grafana.url, ADMIN_PASSWORD, "wang", "another password") == "known"
    assert grafana.users["wang"]["password"] == "a good password"
    assert grafana.users["wang"]["role"] == "Viewer"


def test_an_administrator_is_not_made_a_manager(grafana: Grafana) -> None:
    with pytest.raises(GrafanaRefused, match="choose another login"):
        add_viewer(grafana.url, ADMIN_PASSWORD, "root", "a good password")
    assert grafana.users["root"]["role"] == "Admin"


@pytest.mark.parametrize("login", ["", "a b", "x/../admin", "x&admin=1", "x" * 65])
def test_a_login_is_a_plain_word(login: str, grafana: Grafana) -> None:
    with pytest.raises(GrafanaRefused, match="a login is"):
        add_viewer(grafana.url, ADMIN_PASSWORD, login, "a good password")
    assert not grafana.asked


def test_a_wrong_password_and_no_grafana_are_said_in_words(grafana: Grafana) -> None:
    with pytest.raises(GrafanaRefused, match=r"HTTP 401: .*Invalid username"):
        add_viewer(grafana.url, "not the password", "wang", "a good password")
    with pytest.raises(GrafanaRefused, match="Connection refused"):
        add_viewer(f"http://{HOST}:9", ADMIN_PASSWORD, "wang", "a good password")


def test_the_command_prints_a_password_it_made_up_and_only_then(
    grafana: Grafana, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEWATCH_GRAFANA__URL", grafana.url)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "admin").write_text(ADMIN_PASSWORD + "\n")
    (tmp_path / "given").write_text("a password that was given\n")
    command = ["deploy", "viewer", "--admin-password-file=admin"]
    first = CliRunner().invoke(app, [*command, "wang"])
    assert first.stdout.strip() == grafana.users["wang"]["password"]
    assert len(first.stdout.strip()) == 20
    given = CliRunner().invoke(app, [*command, "zhang", "--password-file=given"])
    assert (given.exit_code, given.stdout) == (0, "")
    assert grafana.users["zhang"]["password"] == "a password that was given"
    again = CliRunner().invoke(app, [*command, "wang"])
    assert (again.exit_code, again.stdout) == (0, "")
