"""Drills with the real service, a real broker, and somebody who takes webhooks."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto
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
SMOKE = "chargewatch/v1/riverside/willow-village/smoke-1/event"


@pytest.fixture
def watch(
    tmp_path: Path, broker: Mosquitto, receiver: WebhookReceiver
) -> Iterator[ServiceProcess]:
    sites = ROOT / "examples" / "sites.toml"
    with service(tmp_path, broker, sites=sites, receiver=receiver) as running:
        running.begin()
        yield running


def drill(watch: ServiceProcess, *options: str) -> "subprocess.CompletedProcess[str]":
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CHARGEWATCH_")}
    return subprocess.run(
        [str(ROOT / "chargewatch"), "drill", "--language", "en", *options],
        env=inherited | watch.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def notices(receiver: WebhookReceiver, *, drill: bool) -> list[Json]:
    return [told.notice for told in receiver.accepted() if told.notice["drill"] is drill]


def test_a_drill_goes_the_whole_way_is_marked_everywhere_and_hides_no_real_smoke(
    watch: ServiceProcess, broker: Mosquitto, receiver: WebhookReceiver
) -> None:
    before = watch.get("/summary")
    done = drill(watch, "--site", SITE)
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

    [alert] = watch.alerts()
    assert (alert["rule"], alert["site"], alert["drill"]) == ("smoke", SITE, True)
    assert alert["state"] == "resolved"
    assert watch.alerts(drill="false") == []
    full = watch.get(f"/alerts/{alert['id']}")
    assert full["explanation"]["zh"]["title"].startswith("演练 · ")
    assert full["explanation"]["en"]["title"].startswith("DRILL · ")
    whole = {line["what"]: line["who"] for line in full["log"]}
    assert whole["drill"] == "admin"
    assert whole["resolved"] == "chargewatch"

    told = eventually(
        "its end is told", lambda: notices(receiver, drill=True)[1:], shown=watch.log_text
    )
    assert [each["transition"] for each in told] == ["resolved"]
    for notice in notices(receiver, drill=True):
        assert notice["title"].startswith("DRILL · ")
        assert notice["text"].startswith("This is a drill")
    after = watch.get("/summary")
    assert after["alerts"] == before["alerts"] == []
    assert after["tallies"].get("messages", 0) == before["tallies"].get("messages", 0)
    assert not watch.get("/devices", q="_drill")["devices"]

    again = drill(watch)
    assert again.returncode == 2
    assert "HTTP 429" in again.stderr

    publish(broker, [(SMOKE, '{"event": "smoke"}')])
    eventually("real smoke is told", lambda: notices(receiver, drill=False))
    assert not notices(receiver, drill=False)[0]["title"].startswith("DRILL")


def test_nobody_else_can_make_a_drill_and_what_fails_is_named(
    watch: ServiceProcess, broker: Mosquitto, receiver: WebhookReceiver
) -> None:
    publish(broker, [("chargewatch/v1/_drill/drill/abc/event", '{"event": "smoke"}')])
    publish(broker, [(SMOKE, '{"event": "smoke", "drill": true}')])
    eventually("real smoke is told", lambda: notices(receiver, drill=False))
    [refused] = watch.refused()
    assert (refused["reason"], refused["detail"]) == (
        "not_its_own",
        "nobody ordered this drill",
    )
    assert [alert["drill"] for alert in watch.alerts()] == [False]

    receiver.failing = True
    failed = drill(watch, "--wait", "3")
    assert failed.returncode == 2
    assert "told: log" in failed.stdout
    assert "not told: webhook: HTTP 503" in failed.stdout

    receiver.failing = False
    broker.stop()

    def no_more_too_soon() -> str:
        tried = drill(watch, "--wait", "8")
        return tried.stdout if "HTTP 429" not in tried.stderr else ""

    said = eventually("it may be tried again", no_more_too_soon)
    assert said.startswith("The drill is stuck: the broker did not take the message.")
