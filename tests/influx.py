"""A real InfluxDB for the tests, on free ports of the loopback.

Debian has InfluxDB 1.6, which answers InfluxQL as later ones do, but lacks the write path of
InfluxDB 2. So a proxy stands before it and translates that one path, in the way that
InfluxDB 1.8 documents: bucket "db" is database db, bucket "db/rp" its retention policy rp.
Where CHARGEWATCH_TEST_INFLUX_URL, _TOKEN and _ORG name an InfluxDB 2, that one is used, and
nothing is translated.
"""

import http
import http.client
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from api.ports import free_port

HOST = "127.0.0.1"
ANSWERS_WITHIN_S = 20.0
STOPS_WITHIN_S = 20.0
TOKEN = "a-token-that-influxdb-1-does-not-look-at"

CONFIG = """\
reporting-disabled = true
bind-address = "{host}:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "tsi1"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "{host}:{port}"
  log-enabled = false
[ifql]
  enabled = false
[logging]
  level = "warn"
"""


class Influx:
    """One server of 1.6 and the proxy before it. Data and port outlive `kill` and `start`."""

    org = "chargewatch"
    token = TOKEN

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = binary
        self._port = free_port()
        self._config = folder / "influxdb.conf"
        self.log = folder / "influxdb.log"
        self._config.write_text(
            CONFIG.format(host=HOST, port=self._port, rpc_port=free_port(), folder=folder)
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._proxy = _Proxy(self._port)
        self.url = self._proxy.url

    def start(self) -> None:
        """Start, and return when it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "-config", str(self._config)], stdout=log, stderr=log
            )
        until = time.monotonic() + ANSWERS_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                pytest.fail(f"influxd does not answer:\n{self.log.read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        self._end(kill=False)

    def kill(self) -> None:
        """End as a power cut does."""
        self._end(kill=True)

    def close(self) -> None:
        self.kill()
        self._proxy.close()

    def query(self, statement: str, database: str = "chargewatch") -> list[dict[str, Any]]:
        """Return the series that InfluxQL answers, times in nanoseconds; fails on an error."""
        return influxql(self.url, self.token, statement, database)

    def _end(self, *, kill: bool) -> None:
        if self._process is not None:
            self._process.kill() if kill else self._process.terminate()
            self._process.wait(STOPS_WITHIN_S)
            self._process = None

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"http://{HOST}:{self._port}/ping", trust_env=False).is_success
        return False


class RealInflux:
    """An InfluxDB 2 that the environment names. It cannot be stopped from here."""

    def __init__(self, url: str, token: str, org: str) -> None:
        self.url, self.token, self.org = url, token, org

    def query(self, statement: str, database: str = "chargewatch") -> list[dict[str, Any]]:
        return influxql(self.url, self.token, statement, database)


def influxql(url: str, token: str, statement: str, database: str) -> list[dict[str, Any]]:
    """Return the series of all results; an error of the server fails the test."""
    answer = httpx.post(
        f"{url}/query",
        params={"db": database, "epoch": "ns"},
        data={"q": statement},
        headers={"Authorization": f"Token {token}"},
        trust_env=False,
        verify=url.startswith("https:"),  # reading all authorities takes longer than asking
        timeout=60,
    )
    if not answer.is_success:
        pytest.fail(f"{statement}: HTTP {answer.status_code}: {answer.text}")
    found: list[dict[str, Any]] = []
    for result in json.loads(answer.text)["results"]:
        if "error" in result:
            pytest.fail(f"{statement}: {result['error']}")
        found += result.get("series", [])
    return found


def named_by_environment() -> RealInflux | None:
    """Return the InfluxDB 2 that CHARGEWATCH_TEST_INFLUX_URL, _TOKEN and _ORG name, if any."""
    names = ("URL", "TOKEN", "ORG")
    given = [os.environ.get(f"CHARGEWATCH_TEST_INFLUX_{name}", "") for name in names]
    return RealInflux(*given) if all(given) else None


@contextmanager
def influxdb(folder: Path) -> Iterator[Influx]:
    """Yield a running InfluxDB 1.6 behind the proxy, empty and without a database.

    Without the program the test is skipped, and fails where CI is set: there it must run.
    """
    binary = shutil.which("influxd", path=os.environ.get("PATH", "") + ":/usr/bin")
    if binary is None:
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell("no influxd on this machine; install it with: apt-get install influxdb")
    place = folder / "influxdb"
    place.mkdir(exist_ok=True)
    server = Influx(binary, place)
    try:
        server.start()
        yield server
    finally:
        server.close()


class _Proxy:
    """Forwards everything; /api/v2/write becomes /write."""

    def __init__(self, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._forward()

            def do_POST(self) -> None:
                self._forward()

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kept = {
                    name: value
                    for name, value in self.headers.items()
                    if name.lower() not in {"host", "connection", "authorization"}
                }
                upstream = http.client.HTTPConnection(HOST, port, timeout=60)
                try:
                    upstream.request(self.command, _translated(self.path), body, kept)
                    answer = upstream.getresponse()
                    said = answer.read()
                except (OSError, http.client.HTTPException):
                    self.close_connection = True  # as if nobody were there
                    return
                finally:
                    upstream.close()
                with suppress(ConnectionError):
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in {"transfer-encoding", "content-length"}:
                            self.send_header(name, value)
                    if answer.status != http.HTTPStatus.NO_CONTENT:
                        self.send_header("Content-Length", str(len(said)))
                    self.end_headers()
                    self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _translated(target: str) -> str:
    """Return the path that 1.6 knows: bucket and organisation become db and rp."""
    parts = urlsplit(target)
    if parts.path != "/api/v2/write":
        return target
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    database, _, policy = asked["bucket"].partition("/")
    known = {"db": database, "precision": asked.get("precision", "ns")}
    if policy:
        known["rp"] = policy
    return f"/write?{urlencode(known)}"
