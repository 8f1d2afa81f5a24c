"""A manager's login at Grafana: it looks, is made once, and never is an administrator's."""

import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from api.cli import app
from api.deploy.grafana import GrafanaRefused, add_viewer
from tests.brokers import HOST

ADMIN_PASSWORD = "the administrator's password"
Json = dict[str, Any]


class Grafana:
    """Answers the three calls as Grafana 11 does."""

    def __init__(self, admin_password: str = ADMIN_PASSWORD) -> None:
        self.admin_password = admin_password
        self.users: dict[str, Json] = {
            "root": {"id": 1, "login": "root", "isGrafanaAdmin": True, "role": "Admin"}
        }
        self.asked: list[str] = []
        grafana = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(*grafana.answer("GET", self.path, {}, self._authorization()))

            def do_POST(self) -> None:
                self._with_body("POST")

            def do_PATCH(self) -> None:
                self._with_body("PATCH")

            def _with_body(self, method: str) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(*grafana.answer(method, self.path, body, self._authorization()))

            def _authorization(self) -> str:
                return self.headers.get("Authorization", "")

            def _answer(self, status: int, said: Json) -> None:
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def answer(
        self, method: str, path: str, body: Json, authorization: str
    ) -> tuple[int, Json]:
        self.asked.append(f"{method} {path}")
        admin = b64encode(f"admin:{self.admin_password}".encode()).decode()
        if authorization != f"Basic {admin}":
            return 401, {"message": "Invalid username or password"}
        if path.startswith("/api/users/lookup?loginOrEmail="):
            user = self.users.get(unquote(path.partition("=")[2]))
            return (200, user) if user else (404, {"message": "user not found"})
        if (method, path) == ("POST", "/api/admin/users"):
            number = len(self.users) + 1
            self.users[body["login"]] = {"id": number, "isGrafanaAdmin": False, **body}
            return 200, {"id": number, "message": "User created"}
        if method == "PATCH" and (found := re.fullmatch(r"/api/orgs/1/users/(\d+)", path)):
            for user in self.users.values():
                if user["id"] == int(found[1]):
                    user["role"] = body["role"]
            return 200, {"message": "Organization user updated"}
        return 500, {"message": f"not expected: {method} {path}"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


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
