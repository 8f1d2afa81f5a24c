"""The doctor at real servers: Mosquitto, InfluxDB, a mail server, a receiver, the service."""

import asyncio
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr

from api.doctor.examining import examine
from api.doctor.finding import Finding
from api.doctor.grafana import BUILT, expected_dashboards
from api.doctor.patient import Patient
from api.ports import free_port
from api.settings import (
    BrokerSettings,
    GrafanaSettings,
    HistorySettings,
    HttpSettings,
    InfluxSettings,
    Settings,
    SmtpSettings,
    WebhookSettings,
)
from api.settings_channels import WeComSettings
from ingest.clock import utc_now
from ingest.influx_http import InfluxAddress, InfluxHttp
from ingest.influx_setup import setup_of
from tests.brokers import HOST, mosquitto
from tests.influx import TOKEN, influxdb
from tests.processes import (
    ROOT,
    ServiceProcess,
    WebhookReceiver,
    eventually,
    program,
    publish,
    service,
)

pytest_plugins = ["tests.system_fixtures"]

SECRET = SecretStr("a-secret-of-this-test")
Outcomes = dict[str, str]


def seen(folder: Path, *only: str, **settings: object) -> list[Finding]:
    made = Settings(data_dir=folder, _env_file=None, **settings)  # type: ignore[call-arg, arg-type]
    return asyncio.run(examine(Patient(settings=made, now=utc_now()), only))


def outcomes(findings: list[Finding]) -> Outcomes:
    return {finding.check: finding.outcome for finding in findings}


def certificate(folder: Path, days: int) -> tuple[Path, Path]:
    cert, key = folder / f"cert-{days}.pem", folder / f"key-{days}.pem"
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days {days}"
    )
    names = ["-subj", "/CN=here", "-addext", f"subjectAltName=IP:{HOST}"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return cert, key


# --- the broker ---------------------------------------------------------------------------


def test_a_broker_that_lets_anybody_in_works_and_is_a_warning(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        here = BrokerSettings(host=HOST, port=broker.port)
        assert outcomes(seen(tmp_path, "broker", "access", "broker_limits", broker=here)) == {
            "broker": "fine",
            "access": "open",
            "broker_limits": "unreadable",
        }
        broker.stop()
        [finding] = seen(tmp_path, "broker", broker=here)
        assert finding.outcome == "unreachable"


def test_a_broker_with_logins_and_tls_is_fine_until_password_or_certificate_are_not(
    tmp_path: Path,
) -> None:
    passwords = tmp_path / "passwords"
    made = [program("mosquitto_passwd", "mosquitto"), "-b", "-c", str(passwords)]
    subprocess.run([*made, "chargewatch", SECRET.get_secret_value()], check=True)
    passwords.chmod(0o600)
    cert, key = certificate(tmp_path, 20)
    extra = (
        f"password_file {passwords}\ncertfile {cert}\nkeyfile {key}\n"
        "tls_version tlsv1.2\nallow_anonymous false\n"
    )
    with mosquitto(tmp_path, extra=extra) as broker:
        here = BrokerSettings(
            host=HOST,
            port=broker.port,
            tls=True,
            ca_file=cert,
            username="chargewatch",
            password=SECRET,
        )
        look = ("broker", "access", "certificate")

        def seen_with(**changed: object) -> Outcomes:
            return outcomes(seen(tmp_path, *look, broker=here.model_copy(update=changed)))

        assert seen_with() == {"broker": "fine", "access": "fine", "certificate": "soon"}
        assert seen_with(password=SecretStr("wrong")) == {"broker": "refused"}
        assert seen_with(ca_file=None) == {"broker": "untrusted"}
        assert seen_with(ca_file=tmp_path / "none") == {"broker": "untrusted"}
        assert seen_with(tls=False) == {"broker": "unusable"}


def test_what_is_no_broker_is_said_to_be_none(tmp_path: Path) -> None:
    with mailbox() as server:
        here = BrokerSettings(host=HOST, port=server.port)
        assert outcomes(seen(tmp_path, "broker", broker=here)) == {"broker": "unusable"}


# --- mail and webhook ---------------------------------------------------------------------


class Mailbox:
    """A mail server that wants a login, and counts what it is given: it must stay nothing."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.port = free_port()
        self.envelopes = 0
        self.controller = Controller(
            self,
            hostname=HOST,
            port=self.port,
            tls_context=tls,
            require_starttls=tls is not None,
            auth_require_tls=False,
            authenticator=self._may,
        )

    def _may(
        self,
        _server: SMTP,
        _session: Session,
        _envelope: Envelope,
        _mechanism: str,
        login: LoginPassword,
    ) -> AuthResult:
        known = login.password == SECRET.get_secret_value().encode()
        return AuthResult(success=known, handled=False)

    async def handle_DATA(self, *_: object) -> str:  # noqa: N802  (aiosmtpd's interface)
        self.envelopes += 1
        return "250 queued"


@contextmanager
def mailbox(tls: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    server = Mailbox(tls)
    server.controller.start()
    try:
        yield server
    finally:
        server.controller.stop()
    assert server.envelopes == 0, "the doctor sends nothing"


def test_a_mail_server_is_greeted_and_left(tmp_path: Path) -> None:
    with mailbox() as server:
        smtp = SmtpSettings(
            host=HOST,
            port=server.port,
            security="none",
            username="watch",
            password=SECRET,
            recipients=("duty@example.org",),
        )

        def seen_with(**changed: object) -> Outcomes:
            return outcomes(seen(tmp_path, "mail", smtp=smtp.model_copy(update=changed)))

        assert seen_with() == {"mail": "fine"}
        assert seen_with(password=SecretStr("wrong")) == {"mail": "refused"}
        assert seen_with(recipients=()) == {"mail": "nobody"}
        assert seen_with(security="starttls") == {"mail": "unreachable"}
        assert seen_with(port=free_port()) == {"mail": "unreachable"}
    assert outcomes(seen(tmp_path, "mail", "channels")) == {
        "mail": "none",
        "channels": "only_log",
    }


def test_a_robot_alone_is_somebody_who_is_told(tmp_path: Path) -> None:
    robot = WeComSettings(url=SecretStr("https://robot.example/send?key=0123456789"))
    assert outcomes(seen(tmp_path, "channels", wecom=robot)) == {"channels": "fine"}


def test_certificates_that_nobody_knows_are_not_trusted(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, 90)
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(cert, key)
    with mailbox(own) as server:
        smtp = SmtpSettings(host=HOST, port=server.port, recipients=("duty@example.org",))
        assert outcomes(seen(tmp_path, "mail", smtp=smtp)) == {"mail": "untrusted"}
    with mosquitto(tmp_path, extra=f"certfile {cert}\nkeyfile {key}\n") as anything:
        url = f"https://{HOST}:{anything.port}/a-token"
        [finding] = seen(tmp_path, "webhook", webhook=WebhookSettings(url=url, secret=SECRET))
        assert finding.outcome == "untrusted"
        assert "a-token" not in str(finding.facts)


def test_a_receiver_of_webhooks_is_reached_and_told_nothing(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    there = WebhookSettings(url=receiver.url, secret=SECRET)
    assert outcomes(seen(tmp_path, "webhook", "channels", webhook=there)) == {
        "webhook": "fine",
        "channels": "fine",
    }
    assert receiver.requests == []
    gone = WebhookSettings(url=f"http://{HOST}:{free_port()}", secret=SECRET)
    assert outcomes(seen(tmp_path, "webhook", webhook=gone)) == {"webhook": "unreachable"}
    nowhere = WebhookSettings(url="https://no-such-host.invalid/", secret=SECRET)
    assert outcomes(seen(tmp_path, "webhook", webhook=nowhere)) == {"webhook": "unreachable"}


# --- history and Grafana ------------------------------------------------------------------


def test_an_influxdb_is_asked_whether_it_keeps_what_is_set(tmp_path: Path) -> None:
    with influxdb(tmp_path) as server:
        influx = InfluxSettings(url=server.url, token=SecretStr(TOKEN))

        def seen_with(
            url: str = server.url, database: str = "chargewatch", days: int = 30
        ) -> str:
            there = influx.model_copy(update={"url": url, "database": database})
            kept = HistorySettings(kind="influxdb", keep_days=days)
            return outcomes(seen(tmp_path, "history", influx=there, history=kept))["history"]

        assert seen_with() == "no_bucket"
        with closing(InfluxHttp(InfluxAddress(url=server.url, database="chargewatch"))) as http:
            assert list(setup_of(http).places(timedelta(days=30)))
        assert seen_with() == "fine"
        assert seen_with(days=400) == "retention"
        assert seen_with(database="other") == "no_bucket"
        assert seen_with(url=f"http://{HOST}:{free_port()}") == "unreachable"


BUILT_HERE = expected_dashboards(BUILT, "zh")


class Grafana:
    """Answers as Grafana does to what the doctor asks. (A real one does not run here.)"""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, object]] = {
            "/api/health": (200, {"database": "ok"}),
            "/api/search": (200, [{"uid": uid} for uid in ("village", *BUILT_HERE)]),
            "/api/datasources": (200, [{"uid": "influx", "name": "InfluxDB"}]),
            "/api/datasources/uid/influx/health": (200, {"status": "OK"}),
        }
        grafana = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = grafana.answers[self.path.partition("?")[0]]
                if self.headers["Authorization"] != f"Bearer {SECRET.get_secret_value()}":
                    status = 401
                said = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_port}"


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    made = Grafana()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("path", "answer", "outcome"),
    [
        ("/api/health", (200, {}), "fine"),
        ("/api/health", (503, {}), "unreachable"),
        ("/api/search", (401, {}), "token"),
        ("/api/search", (200, []), "no_dashboards"),
        ("/api/datasources", (403, {}), "fine"),
        ("/api/datasources/uid/influx/health", (400, {}), "source"),
        ("/api/datasources/uid/influx/health", (404, {}), "fine"),
    ],
)
def test_grafana_is_asked_for_dashboards_and_data(
    grafana: Grafana, tmp_path: Path, path: str, answer: tuple[int, object], outcome: str
) -> None:
    grafana.answers[path] = answer
    there = GrafanaSettings(url=grafana.url, token=SECRET)
    assert outcomes(seen(tmp_path, "grafana", grafana=there)) == {"grafana": outcome}


def test_a_grafana_that_is_away_is_unreachable(tmp_path: Path) -> None:
    assert outcomes(seen(tmp_path, "grafana", grafana=GrafanaSettings(url=None))) == {
        "grafana": "none"
    }
    gone = GrafanaSettings(url=f"http://{HOST}:{free_port()}", token=SECRET)
    assert outcomes(seen(tmp_path, "grafana", grafana=gone)) == {"grafana": "unreachable"}


# --- the service --------------------------------------------------------------------------


def command(watch: ServiceProcess) -> tuple[int, Outcomes, str]:
    """Run the command with the settings of the service."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CHARGEWATCH_")}
    run = subprocess.run(
        [str(ROOT / "chargewatch"), "doctor", "--json"],
        env=inherited | watch.environment,
        cwd=watch.data.parent,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert run.returncode in {0, 1, 2, 3}, run.stderr
    told = json.loads(run.stdout)
    assert told["exit_status"] == run.returncode
    return run.returncode, {f["check"]: f["outcome"] for f in told["findings"]}, run.stdout


def test_the_service_running_and_stopped_and_its_broker_gone(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    sites = ROOT / "examples" / "sites.toml"
    with (
        mosquitto(tmp_path) as broker,
        service(tmp_path, broker, sites=sites, receiver=receiver) as watch,
    ):
        watch.begin()
        publish(
            broker,
            [("chargewatch/v1/riverside/willow-village/pile-1/telemetry", '{"readings": []}')],
        )
        eventually("it is heard", watch.messages)
        status, found_here, said = command(watch)
        assert status == 1
        wanted = dict.fromkeys(("service", "ledger", "log", "journal", "messages"), "fine")
        wanted |= {"history": "in_use", "access": "open", "webhook": "fine", "files": "fine"}
        assert wanted.items() <= found_here.items()
        assert receiver.secret not in said
        assert watch.ready()[0] == 200, "the service was not disturbed"
        assert not any("broker.lost" in line for line in watch.log)

        def now() -> Outcomes:
            here = BrokerSettings(host=HOST, port=broker.port)
            looked = ("broker", "service", "ledger", "history")
            return outcomes(
                seen(watch.data, *looked, broker=here, http=HttpSettings(port=watch.port))
            )

        broker.stop()
        eventually("it notices", lambda: watch.ready()[0] == 503)
        assert (now()["broker"], now()["service"]) == ("unreachable", "unwell")
        watch.stop()
        gone = now()
        assert gone["service"] == "not_running"
        assert (gone["ledger"], gone["history"]) == ("fine", "fine")


def test_a_service_that_is_not_there_is_the_worst(tmp_path: Path) -> None:
    nowhere = HttpSettings(port=free_port(), url=f"http://{HOST}:{free_port()}")
    assert outcomes(seen(tmp_path, "service", "console", http=nowhere)) == {
        "service": "not_running",
        "console": "unreachable",
    }
