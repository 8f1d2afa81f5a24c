"""The simulator's connections from the command line: shared or each, logins, limits."""

import os
import re
import resource
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ingest.clock import Now
from simulator import __main__ as command_line
from simulator import open_files, performing
from simulator.__main__ import app
from simulator.line import Broker, Return
from simulator.player import Player
from simulator.publisher import Crowd, Publisher
from tests.brokers import HOST, Mosquitto
from tests.guarded_broker import GuardedBroker, guarded_broker, service_client
from tests.processes import eventually

pytest_plugins = ["tests.system_fixtures"]

ROOT = Path(__file__).parents[1]
PLACE = """
[text]
zh = "试"
en = "A trial"
[areas]
town = { zh = "镇", en = "Town" }
[sites."town/north"]
zh = "北"
en = "North"
piles = 2
sensors = 2
"""
DEVICES = {f"town/north/{each}" for each in ("pile-01", "pile-02", "smoke-01", "smoke-02")}


def simulate(tmp_path: Path, *words: str | Path, place: str = PLACE) -> Result:
    scenario = tmp_path / "trial.toml"
    scenario.write_text(place, encoding="utf-8")
    runner = CliRunner(env={"COLUMNS": "300"})
    return runner.invoke(app, [str(scenario), *map(str, words)])


@pytest.fixture
def logins(guarded: GuardedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that `./chargewatch devices import --declared --out` writes."""
    sites, out = tmp_path / "sites.toml", tmp_path / "new-logins.csv"
    simulate(tmp_path, "--sites-toml", sites, "--out", tmp_path / "said.jsonl", "--duration=0")
    monkeypatch.setenv("CHARGEWATCH_SITES_FILE", str(sites))
    guarded.change("import", "--declared", "--out", str(out))
    return out


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[GuardedBroker]:
    with guarded_broker(tmp_path) as broker:
        yield broker


def played_at(guarded: GuardedBroker, tmp_path: Path, *words: str | Path) -> Result:
    address = f"mqtts://{HOST}:{guarded.outside}"
    return simulate(
        tmp_path,
        *("--broker", address, "--ca-file", guarded.authority),
        *("--speed", "600", "--duration", "10", *words),
    )


def test_each_device_comes_with_tls_and_its_own_login_as_the_page_says(
    guarded: GuardedBroker, tmp_path: Path, logins: Path
) -> None:
    with service_client(guarded, ["chargewatch/v1/+/+/+/status"]) as service:
        done = played_at(guarded, tmp_path, "--connections=each", "--logins", logins)
        assert done.exit_code == 0, done.output
        assert "said and acknowledged" in done.output
        births = {f"chargewatch/v1/{each}/status" for each in DEVICES}
        eventually("all are born", lambda: births <= {topic for topic, _ in service.heard})


def test_who_has_no_login_in_the_file_is_named_before_anything_is_said(
    guarded: GuardedBroker, tmp_path: Path, logins: Path
) -> None:
    kept = [line for line in logins.read_text().splitlines() if "smoke-02" not in line]
    logins.write_text("\n".join(kept), encoding="utf-8")
    done = played_at(guarded, tmp_path, "--connections=each", "--logins", logins)
    assert done.exit_code == 2
    assert "has no login for 1 of 4: town/north/smoke-02" in done.output


def test_the_lines_of_the_page_run_as_they_are_written(
    guarded: GuardedBroker, tmp_path: Path
) -> None:
    """Only ports and paths are others, the evening is quicker, and this broker is our own."""
    page = (ROOT / "docs" / "simulator-connections.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    block = block.replace("./chargewatch", str(ROOT / "chargewatch"))
    block = block.replace("127.0.0.1:8883", f"{HOST}:{guarded.outside}")
    before, reload, after = block.partition("sudo systemctl reload mosquitto\n")
    assert reload
    environment = os.environ | {"CHARGEWATCH_DATA_DIR": str(tmp_path), "COLUMNS": "300"}

    def shell(lines: str) -> str:
        done = subprocess.run(
            ["/bin/sh", "-ec", lines],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    shell(before)
    guarded.mosquitto.stop()
    guarded.mosquitto.start()
    after = after.replace("var/broker/ca.crt", str(guarded.authority)).rstrip()
    topics = ["tele/+/LWT", "zigbee2mqtt/#", "chargewatch/v1/+/+/+/status"]
    with service_client(guarded, topics) as service:
        said = shell(f"{after} --speed 600 --duration 20")
        assert "said and acknowledged" in said
        assert "broker.lost" not in said
        heard = {topic for topic, _ in service.heard}
    assert {f"tele/mixed_tasmota_pile-0{n}/LWT" for n in (1, 2)} <= heard
    assert {"zigbee2mqtt/bridge/state", "zigbee2mqtt/mixed/zigbee/pile-01"} <= heard
    assert "chargewatch/v1/mixed/native/pile-01/status" in heard


def test_one_says_now_and_then_how_it_goes(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(performing, "TOLD_EVERY_S", 0.2)
    words = ("--broker", broker.url, "--speed=600", "--duration=10", "--connections=each")
    done = simulate(tmp_path, *words)
    assert done.exit_code == 0, done.output
    assert "4 connected, " in done.output
    assert " messages/s" in done.output


def test_logins_without_a_connection_for_each_are_a_mistake(tmp_path: Path) -> None:
    done = simulate(tmp_path, "--logins", tmp_path / "logins.csv")
    assert done.exit_code == 2
    assert "goes with --connections each" in done.output


def test_a_file_of_logins_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    done = simulate(tmp_path, "--connections=each", "--logins", tmp_path / "none.csv")
    assert done.exit_code == 2
    assert "none.csv" in done.output


@pytest.mark.parametrize(
    "words", [("--return=never",), ("--keep-alive=1",), ("--connections=2",)]
)
def test_what_there_is_not_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert simulate(tmp_path, *words).exit_code == 2


class Limits:
    """What the machine allows of open files, as `resource` has it."""

    RLIM_INFINITY, RLIMIT_NOFILE = resource.RLIM_INFINITY, resource.RLIMIT_NOFILE

    def __init__(self, soft: int, hard: int) -> None:
        self.now = (soft, hard)

    def getrlimit(self, _: int) -> tuple[int, int]:
        return self.now

    def setrlimit(self, _: int, limits: tuple[int, int]) -> None:
        self.now = limits


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 20_000), (20_000, 20_000)),
        ((15_000, 20_000), (15_000, 20_000)),
        ((1024, resource.RLIM_INFINITY), (10_100, resource.RLIM_INFINITY)),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY),) * 2,
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_must_be(
    monkeypatch: pytest.MonkeyPatch, before: tuple[int, int], after: tuple[int, int]
) -> None:
    limits = Limits(*before)
    monkeypatch.setattr(open_files, "resource", limits)
    open_files.allow(10_000)
    assert limits.now == after


def test_more_connections_than_the_machine_allows_are_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_files, "resource", limits := Limits(50, 300))
    place = PLACE + "[[places]]\ncount = 3\npiles = [50, 50]\nsensors = [50, 50]\n"
    done = simulate(tmp_path, "--connections=each", "--days=1", place=place)
    assert done.exit_code == 2
    assert "304 connections need 404 open files" in done.output
    assert "allows a process 300 (ulimit -Hn)" in done.output
    assert limits.now == (50, 300)


def test_how_they_come_back_and_how_long_they_are_quiet_is_as_was_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    come: list[Crowd | None] = []

    class Noting(Publisher):
        def __init__(
            self, player: Player, broker: Broker, now: Now, speed: float, crowd: Crowd
        ) -> None:
            super().__init__(player, broker, now, speed, crowd)
            come.append(crowd)

        async def run(self, until: datetime) -> None:
            """Say nothing: there is no broker."""

    monkeypatch.setattr(command_line, "Publisher", Noting)
    done = simulate(tmp_path, "--connections=each", "--return=storm", "--keep-alive=15")
    assert done.exit_code == 0, done.output
    assert simulate(tmp_path).exit_code == 0
    assert come == [
        Crowd(each=True, returns=Return.STORM, keep_alive_s=15),
        Crowd(each=False, returns=Return.JITTERED, keep_alive_s=60),
    ]
