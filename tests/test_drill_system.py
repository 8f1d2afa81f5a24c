"""Drills with the real service, a real broker, and somebody who takes webhooks."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
from tests.drilling import rehearsed
from tests.processes import (
    ROOT,
    Json,
    ServiceProcess,
    WebhookReceiver,
    eventually,
    publish,
    service,
)

pytest_plugins = ["tests.system_fixtures"]

SITE = "riverside/willow-village"
SMOKE = f"chargewatch/v1/{SITE}/smoke-1/event"


@pytest.fixture
def watch(
    tmp_path: Path, broker: Mosquitto, receiver: WebhookReceiver
) -> Iterator[ServiceProcess]:
    sites = ROOT / "examples" / "sites.toml"
    with service(tmp_path, broker, sites=sites, receiver=receiver) as running:
        running.begin()
        yield running


def notices(receiver: WebhookReceiver, *, drill: bool) -> list[Json]:
    return [told.notice for told in receiver.accepted() if told.notice["drill"] is drill]


def test_a_drill_goes_the_whole_way_or_says_where_it_is_stuck_and_hides_nothing_real(
    watch: ServiceProcess, broker: Mosquitto, receiver: WebhookReceiver
) -> None:
    before = watch.get("/summary")
    goes_the_whole_way(watch)
    is_marked_everywhere(watch, receiver)
    after = watch.get("/summary")
    assert after["alerts"] == before["alerts"] == []
    assert after["tallies"].get("messages", 0) == before["tallies"].get("messages", 0)
    assert not watch.get("/devices", q="_drill")["devices"]

    publish(broker, [("chargewatch/v1/_drill/drill/abc/event", '{"event": "smoke"}')])
    publish(broker, [(SMOKE, '{"event": "smoke", "drill": true}')])
    [real] = eventually("real smoke is told", lambda: notices(receiver, drill=False))
    assert not real["title"].startswith("DRILL")
    [refused] = watch.refused()
    assert (refused["reason"], refused["detail"]) == (
        "not_its_own",
        "nobody ordered this drill",
    )
    assert [alert["drill"] for alert in watch.alerts(rule="smoke")] == [False, True]

    receiver.failing = True
    failed = rehearsed(watch.data, watch.port, 4)
    assert not failed.ok
    assert "not told: webhook: HTTP 503" in failed.lines
    assert any(line.startswith("told: log") for line in failed.lines)

    receiver.failing = False
    broker.stop()
    stuck = rehearsed(watch.data, watch.port, 8)
    assert not stuck.ok
    [line] = stuck.lines
    assert line.startswith("The drill is stuck: the broker did not take the message.")


def goes_the_whole_way(watch: ServiceProcess) -> None:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CHARGEWATCH_")}
    done = subprocess.run(
        [str(ROOT / "chargewatch"), "drill", "--site", SITE, "--language", "en"],
        env=inherited | watch.environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert [line.partition(", after ")[0] for line in said] == [
        "the broker has taken it",
        "it came back from the broker",
        "the rules have decided",
        "it is in the ledger",
        "told: log",
        "told: webhook",
        "the drill is over",
        "The drill went the whole way.",
    ]


def is_marked_everywhere(watch: ServiceProcess, receiver: WebhookReceiver) -> None:
    [alert] = watch.alerts()
    assert (alert["rule"], alert["site"], alert["drill"]) == ("smoke", SITE, True)
    assert alert["state"] == "resolved"
    assert watch.alerts(drill="false") == []
    full = watch.get(f"/alerts/{alert['id']}")
    assert full["explanation"]["zh"]["title"].startswith("演练 · ")
    assert full["explanation"]["en"]["title"].startswith("DRILL · ")
    logged = {line["what"]: line["who"] for line in full["log"]}
    assert logged["drill"] == "admin"
    assert logged["resolved"] == "chargewatch"
    eventually("its end is told", lambda: notices(receiver, drill=True)[1:])
    for notice in notices(receiver, drill=True):
        assert notice["title"].startswith("DRILL · ")
        assert notice["text"].startswith("This is a drill")
