"""The real service with a real broker: a silence, a kill, an acknowledgement, another kill."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ingest.clock import utc_now
from tests.brokers import Mosquitto
from tests.processes import (
    ROOT,
    ServiceProcess,
    WebhookReceiver,
    eventually,
    publish,
    service,
)

pytest_plugins = ["tests.system_fixtures"]

DEVICE = "riverside/willow-village/pile-1"
TOPIC = f"chargewatch/v1/{DEVICE}/telemetry"
AT_ONCE = '[default.overload]\nhold = "0 s"\nkeep_firing = "0 s"\n'
DRAWS = '{"readings": [{"channel": 1, "power_w": 1200}]}'
RESTS = '{"readings": [{"channel": 1, "power_w": 1}]}'


@pytest.fixture
def watch(
    tmp_path: Path, broker: Mosquitto, receiver: WebhookReceiver
) -> Iterator[ServiceProcess]:
    policy = tmp_path / "policy.toml"
    policy.write_text(AT_ONCE)
    sites = ROOT / "examples" / "sites.toml"
    with service(tmp_path, broker, sites=sites, policy=policy, receiver=receiver) as running:
        running.begin()
        yield running


def overload(watch: ServiceProcess) -> dict[str, object]:
    [found] = watch.alerts(rule="overload")
    return dict(found)


def heard(receiver: WebhookReceiver) -> list[str]:
    """Return what was told of the overload; a kill may repeat a message, never its key."""
    told = {each.key: each.what for each in receiver.accepted()}
    return [transition for rule, _, transition in told.values() if rule == "overload"]


def test_what_is_silenced_and_what_is_acknowledged_survive_kills(
    watch: ServiceProcess, broker: Mosquitto, receiver: WebhookReceiver
) -> None:
    ends = (utc_now() + timedelta(hours=1)).isoformat()
    made = watch.post("/silences", owner="me", reason="a test", device=DEVICE, ends=ends)
    assert made["in_force"]
    publish(broker, [(TOPIC, DRAWS)])
    eventually("it fires", lambda: watch.alerts(rule="overload"))
    assert overload(watch)["withheld"] == "silenced:1"

    watch.kill()
    watch.begin()
    publish(broker, [(TOPIC, DRAWS)])
    eventually("it is heard again", lambda: watch.tallies()["messages"] >= 2)
    assert overload(watch)["withheld"] == "silenced:1"
    assert heard(receiver) == []

    watch.post("/silences/1/end")
    eventually("people hear of it", lambda: heard(receiver) == ["firing"])
    number = overload(watch)["id"]
    assert watch.post(f"/alerts/{number}/acknowledge", note="on my way")["acknowledged_by"]

    watch.kill()
    watch.begin()
    assert overload(watch)["note"] == "on my way"
    publish(broker, [(TOPIC, RESTS)])
    eventually("people hear of its end", lambda: heard(receiver) == ["firing", "resolved"])
    watch.stop()
