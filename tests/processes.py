"""Real processes for the tests: the service, a publisher, and a receiver of webhooks.

Also a program: `python -m tests.processes HOST PORT CLIENT_ID RATE < messages.jsonl`
publishes lines of {"topic": …, "payload": …} with QoS 1, and ends when the broker has
confirmed all of them, however often it went away.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from api.channels import posting, webhook
from api.ports import free_port
from api.tokens import read_tokens
from ingest.clock import utc_now
from tests.brokers import HOST, Mosquitto

ROOT = Path(__file__).parent.parent
READY_WITHIN_S = 90.0
"""Start-up takes 2 to 3 s of computing; other tests may share the machine."""
STOPS_WITHIN_S = 15.0
PAUSE_S = 0.05
RECONNECT_MAX_S = 1

T = TypeVar("T")
Json = dict[str, Any]


def eventually(
    what: str,
    answer: Callable[[], T],
    within_s: float = 15.0,
    *,
    shown: Callable[[], object] | None = None,
) -> T:
    """Return what `answer` says once it is true; fail after `within_s`, naming `what`.

    `shown` says more in case of failure.
    """
    until = time.monotonic() + within_s
    while not (said := answer()):
        if time.monotonic() > until:
            more = f"\n{shown()}" if shown else ""
            pytest.fail(f"not within {within_s:g} s: {what}; last answer: {said!r}{more}")
        time.sleep(PAUSE_S)
    return said


def program(name: str, package: str) -> str:
    """Return a program's path; without it the test is skipped, and fails where CI is set."""
    for folder in (*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin"):
        if os.access(Path(folder) / name, os.X_OK):
            return str(Path(folder) / name)
    tell = pytest.fail if os.environ.get("CI") else pytest.skip
    return tell(f"no {name} on this machine; install it with: apt-get install {package}")


# --- the receiver of webhooks ---------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """One request at the receiver."""

    key: str
    signed: bool
    """The signature is valid."""
    accepted: bool
    """It was answered with 200."""
    notice: Json

    @property
    def what(self) -> tuple[str, str, str]:
        """The alert and its transition, in the receiver's words."""
        return self.notice["rule"], self.notice["device"], self.notice["transition"]


class WebhookReceiver:
    """Records every request, signed or not; answers 503 while `failing`."""

    def __init__(self) -> None:
        self.secret = secrets.token_hex(24)
        self.failing = False
        self.requests: list[Told] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(dict(self.headers.items()), body, self.answer)

            def answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing: the requests are recorded."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}/alerts"

    def take(self, headers: dict[str, str], body: bytes, answer: Callable[[int], None]) -> None:
        accepted = not self.failing
        self.requests.append(
            Told(
                key=headers.get(posting.KEY_HEADER, ""),
                signed=webhook.verify(self.secret.encode(), headers, body, utc_now()),
                accepted=accepted,
                notice=json.loads(body),
            )
        )
        with suppress(ConnectionError):  # the sender may just have been killed
            answer(200 if accepted else 503)

    def accepted(self) -> list[Told]:
        return [told for told in list(self.requests) if told.accepted]

    def heard(self) -> set[tuple[str, str, str]]:
        """Return (rule, device, transition) of all that was accepted."""
        return {told.what for told in self.accepted()}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def webhook_receiver() -> Iterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    try:
        yield receiver
    finally:
        receiver.close()


# --- the service ----------------------------------------------------------------------


class ServiceProcess:
    """`./chargewatch serve`. It keeps its port and its data over `kill` and `start`."""

    def __init__(  # noqa: PLR0913  (as many things may be set)
        self,
        folder: Path,
        broker: Mosquitto,
        *,
        sites: Path | None = None,
        policy: Path | None = None,
        receiver: WebhookReceiver | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`settings` are further ones, by their names after CHARGEWATCH_."""
        self.data = folder / "data"
        self.port = free_port()
        self.log: list[str] = []
        """All that was written to standard error and output, by every process so far."""
        self._folder = folder
        self._settings = {
            "DATA_DIR": str(self.data),
            "LANGUAGE": "en",
            "BROKER__HOST": broker.host,
            "BROKER__PORT": str(broker.port),
            "HTTP__HOST": HOST,
            "HTTP__PORT": str(self.port),
        }
        if sites is not None:
            self._settings["SITES_FILE"] = str(sites)
        if policy is not None:
            self._settings["POLICY_FILE"] = str(policy)
        if receiver is not None:
            self._settings["WEBHOOK__URL"] = receiver.url
            self._settings["WEBHOOK__SECRET"] = receiver.secret
        self._settings |= settings or {}
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._http = httpx.Client(  # without TLS, so no authorities need be loaded
            base_url=f"http://{HOST}:{self.port}", timeout=10, trust_env=False, verify=False
        )

    @property
    def environment(self) -> dict[str, str]:
        """Return its settings, for the other commands."""
        return {f"CHARGEWATCH_{name}": value for name, value in self._settings.items()}

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("not running")
        return self._process.pid

    def start(self) -> None:
        """Start, and return at once."""
        if self._process is not None:
            raise RuntimeError("already running")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("CHARGEWATCH_")
        }
        self._process = subprocess.Popen(
            [str(ROOT / "chargewatch"), "serve"],
            cwd=self._folder,
            env=inherited | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # a pipe: a test may forbid its writing to files
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,))
        self._reader.start()

    def begin(self) -> float:
        """Start, wait until it is ready, and return how long that took."""
        began = time.monotonic()
        self.start()
        self.wait_ready()
        return time.monotonic() - began

    def wait_ready(self, within_s: float = READY_WITHIN_S) -> None:
        eventually("the service is ready", self._is_ready, within_s, shown=self.log_text)

    def stop(self) -> None:
        """End in order, as Ctrl-C does; fails if that takes too long, or goes wrong."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                status = self._process.wait(STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                pytest.fail(f"it does not stop:\n{self.log_text()}")
            finally:
                self.kill()
            if status != 0:
                pytest.fail(f"it stopped with status {status}:\n{self.log_text()}")

    def kill(self) -> None:
        """End as a power cut does (of the service: what the kernel has, it keeps)."""
        if self._process is not None and self._reader is not None:
            self._process.kill()
            self._process.wait(STOPS_WITHIN_S)
            self._reader.join()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = self._reader = None

    def close(self) -> None:
        self.kill()
        self._http.close()

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log_text(self) -> str:
        return "".join(self.log[-200:])

    # --- its API ----------------------------------------------------------------------

    def get(self, path: str, **query: str | int) -> Any:
        """Return what /api/v1 answers; the admin's token is the one of the first start."""
        [token] = [each for each in read_tokens(self.data) if each.name == "admin"]
        answer = self._http.get(
            f"/api/v1{path}", params=query, headers={"Authorization": f"Bearer {token.secret}"}
        )
        if not answer.is_success:
            pytest.fail(f"{path}: HTTP {answer.status_code}: {answer.text}\n{self.log_text()}")
        return answer.json()

    def post(self, path: str, **body: object) -> Any:
        """Return what /api/v1 answers to an order of the admin's."""
        [token] = [each for each in read_tokens(self.data) if each.name == "admin"]
        answer = self._http.post(
            f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {token.secret}"}
        )
        if not answer.is_success:
            pytest.fail(f"{path}: HTTP {answer.status_code}: {answer.text}\n{self.log_text()}")
        return answer.json()

    def ready(self) -> tuple[int, dict[str, Json]]:
        """Return the status of /health/ready, and the parts by name; (0, {}): no answer."""
        try:
            answer = self._http.get("/health/ready")
        except httpx.TransportError:
            return 0, {}
        return answer.status_code, {part["name"]: part for part in answer.json()["parts"]}

    def alerts(self, **query: str | int) -> list[Json]:
        found: list[Json] = self.get("/alerts", limit=1000, **query)["alerts"]
        return found

    def tallies(self) -> dict[str, int]:
        counts: dict[str, int] = self.get("/summary")["tallies"]
        return counts

    def messages(self) -> int:
        """Return how many messages were understood and kept since the ledger began."""
        return self.tallies().get("messages", 0)

    def refused(self) -> list[Json]:
        found: list[Json] = self.get("/quarantine", limit=200)["refused"]
        return found

    def readings(self, device: str) -> list[Json]:
        """Return what the history has of a device's first socket; nothing if unknown."""
        if not any(
            known["id"] == device for known in self.get("/devices", q=device)["devices"]
        ):
            return []
        found: list[Json] = self.get("/readings", device=device, channel=1)["readings"]
        return found

    def _is_ready(self) -> bool:
        if not self.runs:
            pytest.fail(f"the service has ended:\n{self.log_text()}")
        return self.ready()[0] == httpx.codes.OK

    def _read(self, process: "subprocess.Popen[str]") -> None:
        if process.stdout is not None:
            self.log.extend(process.stdout)


@contextmanager
def service(  # noqa: PLR0913  (as many things may be set)
    folder: Path,
    broker: Mosquitto,
    *,
    sites: Path | None = None,
    policy: Path | None = None,
    receiver: WebhookReceiver | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[ServiceProcess]:
    """Yield a service that is not started yet; whatever happens, no process is left."""
    running = ServiceProcess(
        folder, broker, sites=sites, policy=policy, receiver=receiver, settings=settings
    )
    try:
        yield running
    finally:
        running.close()


# --- publishers -----------------------------------------------------------------------


def publish(
    broker: Mosquitto, messages: Iterable[tuple[str, str | bytes]], *, retain: bool = False
) -> None:
    """Publish with QoS 1, and return when the broker has confirmed all."""
    client = _client("")
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        sent = [client.publish(topic, said, 1, retain) for topic, said in messages]
        for each in sent:
            each.wait_for_publish(60)
            if not each.is_published():
                pytest.fail("the broker does not confirm what was published")
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def publisher_process(
    broker: Mosquitto, messages: Iterable[tuple[str, str]], *, rate: float
) -> Iterator["subprocess.Popen[str]"]:
    """Publish from a process of its own, `rate` messages a second, come what may."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.processes"),
            *(broker.host, str(broker.port), "publisher", str(rate)),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdin is None:
            raise RuntimeError("no pipe")
        for topic, payload in messages:
            process.stdin.write(json.dumps({"topic": topic, "payload": payload}) + "\n")
        process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait()


def _client(client_id: str) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=not client_id
    )
    client.max_inflight_messages_set(1000)
    client.max_queued_messages_set(0)
    client.reconnect_delay_set(1, RECONNECT_MAX_S)
    return client


def _publish_lines(host: str, port: int, client_id: str, rate: float) -> None:
    lines = [json.loads(line) for line in sys.stdin]
    confirmed = threading.Semaphore(0)
    client = _client(client_id)
    client.on_publish = lambda *_: confirmed.release()
    client.connect(host, port)
    client.loop_start()
    began = time.monotonic()
    for number, line in enumerate(lines):
        ahead_s = began + number / rate - time.monotonic()
        if ahead_s > 0:
            time.sleep(ahead_s)
        client.publish(line["topic"], line["payload"], 1)
    for _ in lines:
        confirmed.acquire()
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    _publish_lines(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
