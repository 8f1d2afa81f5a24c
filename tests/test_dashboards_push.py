"""Pushing to a Grafana: a small double of its HTTP interface says what it was told.

The double knows what Grafana's documents say of the few addresses that we use. A real
Grafana cannot run where these tests run (docs/dashboards.md).
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from api.ports import free_port
from dashboards.annotations import MAINTENANCE
from dashboards.boards import BOARDS
from dashboards.commands import app
from dashboards.grafana import GrafanaNotSet, access_of
from dashboards.source import SOURCE_UID

TOKEN = "glsa_a-token-of-this-test"
READ_TOKEN = "a-token-that-may-read"


class Request(NamedTuple):
    method: str
    path: str
    body: dict[str, Any]


class Grafana:
    """Keeps folders, data sources and dashboards by their ids; refuses other tokens."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.kept: dict[str, dict[str, Any]] = {}
        self.refusal: tuple[int, str] | None = None
        """What everything but asking is answered with, if set."""
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def do_PUT(self) -> None:
                self._answer()

            def _answer(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(raw) if raw else {}
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    status, said = 401, {"message": "Invalid API key"}
                else:
                    double.requests.append(Request(self.command, self.path, body))
                    status, said = double.answer(self.command, self.path, body)
                text = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if method == "GET":
            found = self.kept.get(path)
            return (404, {"message": "not found"}) if found is None else (200, found)
        if self.refusal is not None:
            return self.refusal[0], {"message": self.refusal[1]}
        match path:
            case "/api/folders":
                self.kept[f"/api/folders/{body['uid']}"] = body
            case "/api/datasources":
                self.kept[f"/api/datasources/uid/{body['uid']}"] = body
            case "/api/dashboards/db":
                uid = body["dashboard"]["uid"]
                self.kept[f"/api/dashboards/uid/{uid}"] = body
                return 200, {"status": "success", "uid": uid, "url": f"/d/{uid}"}
            case "/api/annotations":
                return 200, {"message": "Annotation added", "id": 1}
            case _:
                pass
        return 200, body

    def told(self, method: str, path: str) -> list[dict[str, Any]]:
        return [r.body for r in self.requests if (r.method, r.path) == (method, path)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch) -> Iterator[Grafana]:
    double = Grafana()
    for name, value in {
        "CHARGEWATCH_GRAFANA__URL": double.url,
        "CHARGEWATCH_GRAFANA__TOKEN": TOKEN,
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    yield double
    double.close()


def push(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["push", *arguments])
    return result.exit_code, result.output


def test_all_dashboards_arrive_in_the_folder_of_their_language(grafana: Grafana) -> None:
    status, said = push()
    assert status == 0, said
    told = grafana.told("POST", "/api/dashboards/db")
    assert {(d["folderUid"], d["dashboard"]["uid"]) for d in told} == {
        (f"chargewatch-{lang}", f"cw-{name}-{lang}") for lang in ("zh", "en") for name in BOARDS
    }
    assert all(d["overwrite"] is True and "id" not in d["dashboard"] for d in told)
    folders = {f["uid"]: f["title"] for f in grafana.told("POST", "/api/folders")}
    assert folders == {"chargewatch-zh": "充电守望", "chargewatch-en": "Chargewatch (English)"}
    assert f"{grafana.url}/d/cw-overview-zh" in said


def test_pushing_again_makes_nothing_twice(grafana: Grafana) -> None:
    push()
    push()
    assert len(grafana.told("POST", "/api/folders")) == 2
    assert len(grafana.told("POST", "/api/datasources")) == 1
    assert len(grafana.told("PUT", f"/api/datasources/uid/{SOURCE_UID}")) == 1


def test_one_language_is_pushed_alone(grafana: Grafana) -> None:
    push("--language", "en")
    assert len(grafana.told("POST", "/api/dashboards/db")) == len(BOARDS)


def test_the_data_source_reads_with_a_token_that_nobody_sees(
    grafana: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEWATCH_INFLUX__URL", "http://influxdb:8086")
    monkeypatch.setenv("CHARGEWATCH_INFLUX__TOKEN", READ_TOKEN)
    status, said = push()
    assert status == 0
    (source,) = grafana.told("POST", "/api/datasources")
    assert source["url"] == "http://influxdb:8086"
    assert source["jsonData"]["version"] == "InfluxQL"
    assert source["jsonData"]["dbName"] == "chargewatch"
    assert source["jsonData"]["httpHeaderName1"] == "Authorization"
    assert source["secureJsonData"] == {"httpHeaderValue1": f"Token {READ_TOKEN}"}
    assert READ_TOKEN not in said
    assert TOKEN not in said


def test_a_data_source_that_was_provisioned_is_left_alone(grafana: Grafana) -> None:
    grafana.kept[f"/api/datasources/uid/{SOURCE_UID}"] = {"uid": SOURCE_UID, "readOnly": True}
    status, said = push()
    assert status == 0
    assert "provisioned" in said
    assert grafana.told("PUT", f"/api/datasources/uid/{SOURCE_UID}") == []


def test_links_lead_to_the_console_that_the_service_has(
    grafana: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEWATCH_HTTP__URL", "https://console.example")
    push("--language", "zh")
    variables = grafana.told("POST", "/api/dashboards/db")[0]["dashboard"]["templating"]["list"]
    (console,) = (each for each in variables if each["name"] == "console")
    assert console["query"] == "https://console.example"


def test_a_maintenance_is_marked_where_the_dashboards_look_for_it(grafana: Grafana) -> None:
    status, said = push("--language", "zh", "--annotate", "更换 1 号桩")
    assert status == 0, said
    (mark,) = grafana.told("POST", "/api/annotations")
    assert mark["text"] == "更换 1 号桩"
    assert mark["tags"] == [MAINTENANCE]
    shown = grafana.told("POST", "/api/dashboards/db")[0]["dashboard"]["annotations"]["list"]
    assert [MAINTENANCE] in [each["target"].get("tags") for each in shown]


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((403, "You'll need additional permissions"), "the role Admin"),
        ((400, "Cannot save provisioned dashboard"), "provisioned"),
        ((500, "database is locked"), "database is locked"),
    ],
)
def test_what_grafana_does_not_take_is_said(
    grafana: Grafana, refusal: tuple[int, str], words: str
) -> None:
    grafana.refusal = refusal
    status, said = push()
    assert status == 1
    assert words in said
    assert "Traceback" not in said


@pytest.mark.usefixtures("grafana")
def test_a_token_that_grafana_does_not_know_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGEWATCH_GRAFANA__TOKEN", "glsa_another-token")
    status, said = push()
    assert status == 1
    assert "does not know the token" in said
    assert "glsa_another-token" not in said


def test_a_grafana_that_is_not_there_is_said(
    grafana: Grafana, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARGEWATCH_GRAFANA__URL", f"http://127.0.0.1:{free_port()}")
    status, said = push()
    assert status == 1
    assert "does not answer" in said
    assert grafana.requests == []


URL = {"CHARGEWATCH_GRAFANA__URL": "https://grafana.example/"}


def test_settings_come_from_the_environment_or_the_folder_of_secrets(tmp_path: Path) -> None:
    (tmp_path / "chargewatch_grafana__token").write_text(f"{TOKEN}\n", encoding="utf-8")
    access = access_of({**URL, "CHARGEWATCH_SECRETS_DIR": str(tmp_path)})
    assert (access.url, access.token) == ("https://grafana.example", TOKEN)
    assert TOKEN not in repr(access)
    both = {**URL, "CHARGEWATCH_SECRETS_DIR": str(tmp_path)}
    both["CHARGEWATCH_GRAFANA__TOKEN"] = "glsa_of-the-environment"
    assert access_of(both).token == "glsa_of-the-environment"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "CHARGEWATCH_GRAFANA__URL"),
        ({"CHARGEWATCH_GRAFANA__URL": "grafana:3000"}, "http://"),
        (URL, "service account"),
        ({**URL, "CHARGEWATCH_GRAFANA__TOKEN": "change-me"}, "placeholder"),
        ({**URL, "CHARGEWATCH_GRAFANA__TOKEN": "short"}, "12 characters"),
        (
            {**URL, "CHARGEWATCH_GRAFANA__TOKEN": TOKEN, "CHARGEWATCH_INFLUX__TOKEN": "secret"},
            "CHARGEWATCH_INFLUX__TOKEN is a placeholder",
        ),
    ],
)
def test_what_is_missing_or_a_placeholder_is_refused(
    environment: dict[str, str], words: str
) -> None:
    with pytest.raises(GrafanaNotSet, match=words):
        access_of(environment)


def test_a_secret_that_cannot_be_read_is_said_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "chargewatch_grafana__token").write_bytes(b"\xff\xfe secret bytes")
    with pytest.raises(GrafanaNotSet, match="cannot be read"):
        access_of({**URL, "CHARGEWATCH_SECRETS_DIR": str(tmp_path)})


def test_build_writes_where_it_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["build", "--to", str(tmp_path), "--console", "https://console.example"]
    )
    assert result.exit_code == 0
    assert len(list(tmp_path.rglob("*.json"))) == 2 * len(BOARDS)
    assert "https://console.example" in (tmp_path / "zh" / "alerts.json").read_text("utf-8")
