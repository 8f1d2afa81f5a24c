"""The real service with a real broker, while somebody edits its policy file."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import mosquitto
from tests.processes import ROOT, ServiceProcess, eventually, publish, service

DEVICE = "riverside/willow-village/pile-1"
TOPIC = f"chargewatch/v1/{DEVICE}/telemetry"
AT_800 = '[default.overload]\nhold = "0 s"\nkeep_firing = "0 s"\n'
AT_1100 = AT_800 + "warn_w = 1100\nact_w = 1200\nclear_w = 1000\n"
WRONG = "[default.overload]\nhold = 30\n"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(AT_1100)
    return path


@pytest.fixture
def watch(tmp_path: Path, policy: Path) -> Iterator[ServiceProcess]:
    """Yield the service at work, with a bike that draws 900 W."""
    sites = ROOT / "examples" / "sites.toml"
    with (
        mosquitto(tmp_path) as broker,
        service(tmp_path, broker, sites=sites, policy=policy) as running,
    ):
        running.begin()
        publish(broker, [(TOPIC, '{"readings": [{"channel": 1, "power_w": 900}]}')])
        eventually("the reading is kept", running.messages)
        yield running


def overloads(watch: ServiceProcess) -> list[str]:
    return [alert["state"] for alert in watch.alerts(rule="overload")]


def test_edited_while_it_runs_and_broken_when_it_starts_again(
    watch: ServiceProcess, policy: Path
) -> None:
    assert overloads(watch) == []
    policy.write_text(AT_800)
    eventually("a lower limit is in force", lambda: overloads(watch) == ["firing"])

    policy.write_text(AT_1100)
    os.kill(watch.pid, signal.SIGHUP)
    eventually("a signal has it read", lambda: overloads(watch) == ["resolved"])

    policy.write_text(WRONG)
    eventually("the mistake is told", lambda: watch.get("/policy")["error"])
    status, parts = watch.ready()
    assert (status, parts["policy"]["ok"]) == (200, False)
    assert "policy.toml:2: default.overload.hold: found 30" in parts["policy"]["reason"]
    eventually("it is logged", lambda: "policy.refused" in watch.log_text())

    digest = watch.get("/policy")["digest"]
    watch.kill()
    watch.begin()
    assert watch.get("/policy")["digest"] == digest
    assert watch.get("/policy")["error"]
    log = watch.get("/policy/changes")["changes"]
    assert [line["how"] for line in log] == ["signal", "file", "start"]
    watch.stop()
