"""Everything that the containers run, run without them: commands, health checks, start order.

Broker, database and service are real, and Grafana is a stand-in. InfluxDB's and Grafana's own
entry points are programs of their images, and cannot run here (docs/deploy.md).
"""

import getpass
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from api.ports import free_port
from tests.brokers import HOST
from tests.deployment import ROOT, Json, Said, a_project, rendered
from tests.grafana_logins import Grafana
from tests.image import Dockerfile, app_folder
from tests.influx import Influx, influxdb
from tests.outside import Outside
from tests.processes import eventually, program

WITHIN_S = 60
STOPS_WITHIN_S = 20
CONFIG = "/mosquitto/config/mosquitto.conf"


class Village:
    """All services of the demo, on this machine instead of in containers."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.project = folder / "project"
        self.project.mkdir()
        a_project(self.project)
        self.console, self.broker, self.devices = free_port(), free_port(), free_port()
        self.influx_url = ""
        self.grafana = Grafana()
        stack.callback(self.grafana.close)
        self._app = app_folder(folder)
        self._config: Json = {}

    def first_start(self) -> Said:
        """Run `./chargewatch deploy init --demo`, as a person does."""
        init = [str(ROOT / "chargewatch"), "deploy", "init", "--demo"]
        done = subprocess.run(
            init,
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        self._config = rendered(self.project, "demo")
        self.grafana.admin_password = self.secret("grafana_admin_password")
        self._own_broker_configuration()
        return Said(done.returncode, done.stdout, done.stderr)

    def secret(self, name: str) -> str:
        return (self.project / "var/deploy/secrets" / name).read_text().strip()

    def service(self, name: str) -> Outside:
        return Outside(
            self._config,
            name,
            app=self._app,
            volumes=self._folder / "volumes",
            here={
                CONFIG: str(self._folder / "mosquitto.conf"),
                "http://influxdb:8086": self.influx_url,
                "http://grafana:3000": self.grafana.url,
                "mqtt://mosquitto": f"mqtt://{HOST}:{self.broker}",
                "mosquitto_sub": program("mosquitto_sub", "mosquitto-clients"),
                "1883": str(self.broker),
                "0.0.0.0": HOST,
            },
        )

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service; the addresses of two of them are not in URLs."""
        found = self.service(name).environment
        if name == "chargewatch":
            found["CHARGEWATCH_BROKER__HOST"] = HOST
            found["CHARGEWATCH_HTTP__PORT"] = str(self.console)
        return found

    def run(self, name: str, command: list[str]) -> Said:
        """Run something in the place of a service, to its end."""
        done = subprocess.run(
            command,
            env=self.environment(name),
            cwd=self._app,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def start_influxdb(self) -> Influx:
        server = self._stack.enter_context(influxdb(self._folder))
        self.influx_url = server.url
        return server

    def once(self, name: str) -> Said:
        return self.run(name, self.service(name).command())

    def health(self, name: str) -> Said:
        return self.run(name, self.service(name).healthcheck)

    def start(self, name: str, *more: str) -> "subprocess.Popen[bytes]":
        """Start a service that goes on, until the test ends."""
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*self.service(name).command(), *more],
                env=self.environment(name),
                cwd=self._app,
                stdout=log,
                stderr=log,
            )
        self._stack.callback(_end, process)
        return process

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def wait_healthy(self, name: str) -> None:
        eventually(
            f"{name} is healthy",
            lambda: self.health(name).status == 0,
            within_s=WITHIN_S,
            shown=lambda: self.log(name) + str(self.health(name)),
        )

    def _own_broker_configuration(self) -> None:
        """Write the shipped configuration with this machine's ports, folders and user."""
        text = (ROOT / "deploy/mosquitto.conf").read_text()
        data = self._folder / "volumes/mosquitto"
        data.mkdir(parents=True, exist_ok=True)
        text = text.replace("/mosquitto/credentials", str(self.project / "var/deploy/broker"))
        text = text.replace("/mosquitto/data", str(data))
        for port, here in ((1883, self.broker), (8883, self.devices)):
            text, found = re.subn(rf"(?m)^listener {port}$", f"listener {here} {HOST}", text)
            assert found == 1
        (self._folder / "mosquitto.conf").write_text(f"user {getpass.getuser()}\n{text}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    with ExitStack() as stack:
        yield Village(tmp_path, stack)


def test_the_whole_start_in_its_order(village: Village, tmp_path: Path) -> None:
    assert village.first_start().status == 0
    checked = village.once("check")
    assert (checked.status, checked.err) == (0, "")

    village.start("mosquitto")
    village.wait_healthy("mosquitto")

    influx = village.start_influxdb()
    assert village.once("setup").status == 0
    assert village.once("setup").status == 0, "it is done at every start"

    token_file = tmp_path / "volumes/grafana-token/influx_grafana_token"
    assert token_file.stat().st_mode & 0o077 == 0

    assert village.once("dashboards").status == 0
    overview = tmp_path / "volumes/dashboards/zh/overview.json"
    assert '"http://127.0.0.1:8000"' in overview.read_text()

    service = village.start("chargewatch")
    eventually(
        "the service is ready",
        lambda: ready(village),
        within_s=WITHIN_S,
        shown=lambda: village.log("chargewatch"),
    )
    assert village.health("chargewatch") == Said(0, "", "")

    made = village.once("manager")
    assert (made.status, made.out) == (0, "")
    manager = village.grafana.users["manager"]
    assert manager["role"] == "Viewer"
    assert manager["password"] == village.secret("grafana_manager_password")

    village.start("simulator", "--speed=600")
    token = village.run("chargewatch", village.service("chargewatch").command("token"))
    eventually(
        "the village is heard",
        lambda: tallies(village, token.out.strip()).get("messages"),
        within_s=WITHIN_S,
        shown=lambda: village.log("simulator") + village.log("chargewatch"),
    )
    eventually(
        "its readings are in InfluxDB",
        lambda: influx.query("SELECT COUNT(power_w) FROM socket"),
        within_s=WITHIN_S,
        shown=lambda: village.log("chargewatch"),
    )

    backup = village.service("chargewatch").command("backup", "/var/lib/chargewatch/backup.zip")
    assert village.run("chargewatch", backup).status == 0
    assert (tmp_path / "volumes/chargewatch/backup.zip").stat().st_mode & 0o077 == 0

    service.terminate()
    assert service.wait(STOPS_WITHIN_S) == 0
    assert village.health("chargewatch").status == 1


def ready(village: Village) -> bool:
    with suppress(httpx.TransportError):
        url = f"http://{HOST}:{village.console}/health/ready"
        return httpx.get(url, trust_env=False).is_success
    return False


def tallies(village: Village, token: str) -> Json:
    answer = httpx.get(
        f"http://{HOST}:{village.console}/api/v1/summary",
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )
    assert answer.status_code == httpx.codes.OK, answer.text
    found: Json = answer.json()["tallies"]
    return found


def test_nothing_starts_with_a_placeholder(village: Village) -> None:
    village.first_start()
    secret = village.project / "var/deploy/secrets/influx_operator_token"
    secret.write_text("change-me\n")
    said = village.once("check")
    assert said.status == 2
    assert "influx_operator_token: " in said.err
    assert "a placeholder" in said.err
    assert "openssl rand" in said.err
    assert "change-me" not in said.err


def test_a_broker_that_does_not_know_us_is_not_healthy(village: Village) -> None:
    village.first_start()
    village.start("mosquitto")
    village.wait_healthy("mosquitto")
    (village.project / "var/deploy/secrets/mosquitto_sub").write_text("-u chargewatch\n-P no\n")
    assert village.health("mosquitto").status != 0


def test_the_image_runs_the_service_where_nothing_else_is_said() -> None:
    assert Dockerfile().command() == ["/app/chargewatch", "serve"]
