"""`./chargewatch health`: what a container or unit asks, answered in words and by a status."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from api.ports import free_port
from tests.brokers import HOST

WELL = {"name": "broker", "ok": True, "reason": "", "since": None, "vital": True}
LIMPS = {"name": "history", "ok": False, "reason": "disk full", "since": None, "vital": False}
LOST = {"name": "broker", "ok": False, "reason": "connecting", "since": None, "vital": True}


class Service:
    """Answers as told."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.path == "/health/ready"
                self.send_response(service.status)
                self.send_header("Content-Length", str(len(service.body)))
                self.end_headers()
                self.wfile.write(service.body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = HTTPServer((HOST, 0), Handler)

    def says(self, *parts: object, ready: bool) -> None:
        self.status = 200 if ready else 503
        self.body = json.dumps({"ready": ready, "parts": parts}).encode()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    running = Service()
    thread = threading.Thread(target=running.server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("CHARGEWATCH_HTTP__PORT", str(running.server.server_port))
    monkeypatch.setenv("CHARGEWATCH_HTTP__HOST", "0.0.0.0")
    yield running
    running.server.shutdown()
    running.server.server_close()
    thread.join()


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["health", *arguments])


def test_a_service_that_is_ready_is_well(service: Service) -> None:
    service.says(WELL, ready=True)
    assert (asked().exit_code, asked().stdout) == (0, "ready\n")
    assert asked("--quiet").output == ""


def test_what_limps_is_said_and_does_not_count(service: Service) -> None:
    service.says(WELL, LIMPS, ready=True)
    assert asked("--quiet").exit_code == 0
    assert asked("--quiet").output == "history: disk full\n"


def test_what_is_not_well_is_named(service: Service) -> None:
    service.says(LOST, ready=False)
    assert (asked().exit_code, asked().stderr) == (1, "broker: connecting\n")


@pytest.mark.parametrize("body", [b"", b"not json", b'{"ready": "perhaps"}', b"[]"])
def test_an_answer_that_is_none_is_not_well(body: bytes, service: Service) -> None:
    service.body = body
    assert asked().exit_code == 1
    assert "does not answer" in asked().output


def test_nobody_there_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGEWATCH_HTTP__PORT", str(free_port()))
    assert asked().exit_code == 1
    assert "Connection refused" in asked().output
