"""The whole service as a process, with a real broker and real clients around it."""

import json
import os
import random
import re
import resource
import secrets
import shlex
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from ingest.clock import utc_now
from ingest.wire import Refusal
from tests.brokers import Mosquitto
from tests.killing import ANY_MOMENT, killed
from tests.processes import (
    ROOT,
    ServiceProcess,
    WebhookReceiver,
    eventually,
    program,
    publish,
    publisher_process,
    service,
)

pytest_plugins = ["tests.system_fixtures"]

OUTAGE_S = float(os.environ.get("CHARGEWATCH_TEST_OUTAGE_S", "5"))
"""How long the broker stays away in the test of an outage."""

Messages = list[tuple[str, str]]


@pytest.fixture
def watch(
    tmp_path: Path, broker: Mosquitto, receiver: WebhookReceiver
) -> Iterator[ServiceProcess]:
    """Yield the service, not started yet, with the sites and the policy of examples/."""
    sites, policy = (ROOT / "examples" / name for name in ("sites.toml", "policy.toml"))
    with service(tmp_path, broker, sites=sites, policy=policy, receiver=receiver) as process:
        yield process


def telemetry(device: str, seq: int, **values: float) -> tuple[str, str]:
    """Return a numbered message of a native pile's first socket; `seq` is its energy too."""
    said = {
        "boot": "b1",
        "seq": seq,
        "readings": [{"channel": 1, "energy_kwh": seq, **values}],
    }
    return f"chargewatch/v1/{device}/telemetry", json.dumps(said)


def smoke(device: str) -> tuple[str, str]:
    said = {"boot": "b1", "seq": 1, "event": "smoke"}
    return f"chargewatch/v1/{device}/event", json.dumps(said)


def note(text: str) -> None:
    """Say something that pytest shows if the test fails."""
    sys.stdout.write(f"{text}\n")


def all_is_carried(watch: ServiceProcess, broker: Mosquitto) -> None:
    """Return when the history has everything that is in the journal by now.

    It is carried in the order of the journal: what is said last is there last.
    """
    marker = f"marker/site/{secrets.token_hex(4)}"
    publish(broker, [telemetry(marker, 1)])
    eventually(
        "the history has caught up",
        lambda: watch.readings(marker),
        45,
        shown=lambda: (watch.ready(), watch.log_text()),
    )


def told_of_smoke(watch: ServiceProcess, receiver: WebhookReceiver, sensor: str) -> None:
    """Return when the webhook has heard of a sensor's smoke."""
    eventually(
        "somebody is told of the smoke",
        lambda: ("smoke", sensor, "firing") in receiver.heard(),
        shown=lambda: (watch.ready(), watch.log_text()),
    )


def in_history(watch: ServiceProcess, like: str) -> Counter[tuple[str, float | None]]:
    """Count the rows of devices whose id begins so, by device and energy counter.

    The service must have ended: DuckDB's file belongs to one process.
    """
    with duckdb.connect(watch.data / "history.duckdb", read_only=True) as connection:
        rows = connection.execute(
            "SELECT device, energy_kwh, count(*) FROM readings WHERE starts_with(device, $1)"
            " GROUP BY ALL",
            [like],
        ).fetchall()
    return Counter({(device, seq): count for device, seq, count in rows})


def told_is_in_order(receiver: WebhookReceiver) -> None:
    """Check that all is signed, and that a key stands for one thing, always the same."""
    told = list(receiver.requests)
    assert all(each.signed for each in told)
    assert all(each.key for each in told)
    meant = {(each.key, each.notice["episode"], each.what) for each in told}
    assert len(meant) == len({key for key, _, _ in meant})
    assert len(meant) == len({(episode, what) for _, episode, what in meant})


# --- the main path --------------------------------------------------------------------


def by_hand(readme: str) -> list[list[str]]:
    """Return the mosquitto_pub commands of a README, block by block."""
    text = (ROOT / readme).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    commands = [
        [line for line in block.splitlines() if line.startswith("mosquitto_pub ")]
        for block in blocks
    ]
    return [block for block in commands if block]


def test_what_the_readme_says_to_type_raises_its_alarms_and_ends_them(
    broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    tool = program("mosquitto_pub", "mosquitto-clients")

    def typed(commands: list[str]) -> None:
        for command in commands:
            words = [tool, "-h", broker.host, "-p", str(broker.port), *shlex.split(command)[1:]]
            subprocess.run(words, check=True)

    raising, ending = by_hand("README.md")
    assert by_hand("README.zh-CN.md") == [raising, ending]
    site = "trial/always-closed"
    expected = {
        ("overload", f"{site}/pile-1", 1),
        ("after_hours", f"{site}/pile-1", 1),
        ("after_hours", f"{site}/plug-1", 1),
        ("smoke", f"{site}/smoke-1", None),
    }
    firing = {(rule, device, "firing") for rule, device, _ in expected}
    resolved = {(rule, device, "resolved") for rule, device, _ in expected}
    watch.begin()
    typed(raising)
    eventually(
        "every alarm is told",
        lambda: receiver.heard() >= firing,
        shown=lambda: (receiver.heard(), watch.alerts(), watch.log_text()),
    )
    alerts = watch.alerts(state="firing")
    assert {(each["rule"], each["device"], each["channel"]) for each in alerts} == expected
    assert len(alerts) == len(expected)
    assert receiver.heard() == firing
    typed(ending)
    eventually(
        "the end of every alarm is told",
        lambda: receiver.heard() >= resolved,
        shown=lambda: (receiver.heard(), watch.alerts(), watch.log_text()),
    )
    assert receiver.heard() == firing | resolved
    assert watch.alerts(state="firing") == []
    told_is_in_order(receiver)
    assert watch.refused() == []
    watch.stop()


def test_a_receiver_that_is_down_is_told_later_with_the_same_key(
    broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    sensor = "later/site/smoke-1"
    receiver.failing = True
    watch.begin()
    publish(broker, [smoke(sensor)])
    eventually("it is tried", lambda: receiver.requests, shown=watch.log_text)
    eventually("it is shown", lambda: "503" in watch.ready()[1]["delivery"]["reason"])
    watch.kill()
    receiver.failing = False
    watch.begin()
    told_of_smoke(watch, receiver, sensor)
    told_is_in_order(receiver)
    assert len({told.key for told in receiver.requests}) == 1
    watch.stop()


def test_smoke_overtakes_a_backlog_of_telemetry(
    broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    count, sensor = 20_000, "backlog/site/smoke-1"
    watch.begin()
    watch.stop()  # the broker keeps its sessions
    backlog = (telemetry(f"backlog/site/pile-{n % 200}", n // 200) for n in range(count))
    publish(broker, backlog)
    publish(broker, [smoke(sensor)])
    watch.begin()
    told_of_smoke(watch, receiver, sensor)
    eventually("all is judged", lambda: watch.messages() == count + 1, 30)
    watch.stop()
    with closing(sqlite3.connect(watch.data / "ledger.sqlite")) as ledger:
        [(before,)] = ledger.execute(
            "SELECT sum(messages) FROM journal WHERE committed_at <="
            " (SELECT told_at FROM outbox WHERE channel = 'webhook' AND episode LIKE 'smoke@%')"
        ).fetchall()
    assert before < count / 2


# --- crashes and outages --------------------------------------------------------------

KILLS = 21
PILES, MESSAGES_EACH, SENSORS = 200, 100, 40
RATE = 300.0
"""Messages a second: they keep coming for as long as the service is killed."""


def crowd(chance: random.Random) -> Messages:
    """Return what piles and sensors say: numbered telemetry, and smoke at random places.

    The sensors are at one site, so that the second makes it a fire, and no other again.
    """
    now, said = utc_now(), []
    for seq in range(MESSAGES_EACH):
        for pile in range(PILES):
            topic, payload = telemetry(f"kill/site-{pile % 10}/pile-{pile}", seq, voltage_v=230)
            if pile % 2:  # some devices have clocks
                at = now + timedelta(milliseconds=seq)
                payload = json.dumps(json.loads(payload) | {"at": at.isoformat()})
            said.append((topic, payload))
    for sensor in range(SENSORS):
        said.insert(chance.randrange(len(said)), smoke(f"kill/site-0/smoke-{sensor}"))
    return said


@pytest.mark.timeout(600)  # some 100 s alone; it computes a minute, and others may too
def test_twenty_kills_lose_nothing_and_repeat_nothing(
    broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    seed = int(os.environ.get("CHARGEWATCH_TEST_SEED", secrets.randbelow(1_000_000)))
    note(f"CHARGEWATCH_TEST_SEED={seed}")
    chance = random.Random(seed)
    messages = crowd(chance)
    note(f"ready after {watch.begin():.1f} s; now the broker knows the sessions")
    watch.kill()
    with publisher_process(broker, messages, rate=RATE) as publisher:
        lives = [killed(watch, chance, chance.choice(ANY_MOMENT)) for _ in range(KILLS)]
        note(f"lives: {', '.join(f'{life:.1f}' for life in lives)} s")
        note(f"ready again after {watch.begin():.1f} s")
        assert publisher.wait(90) == 0
    eventually(
        "all is judged",
        lambda: watch.messages() >= len(messages),
        60,
        shown=lambda: (watch.tallies(), watch.log_text()),
    )
    eventually("all is told", lambda: len(receiver.heard()) > SENSORS, 30)
    all_is_carried(watch, broker)
    tallies, alerts = watch.tallies(), watch.alerts()
    watch.stop()
    note(f"tallies: {tallies}; requests at the webhook: {len(receiver.requests)}")

    assert tallies["messages"] == len(messages) + 1  # and the marker
    found = in_history(watch, "kill/")
    piles = {
        (f"kill/site-{pile % 10}/pile-{pile}", float(seq))
        for pile in range(PILES)
        for seq in range(MESSAGES_EACH)
    }
    sensors = {f"kill/site-0/smoke-{sensor}" for sensor in range(SENSORS)}
    assert found == Counter(dict.fromkeys(piles | {(each, None) for each in sensors}, 1))
    raised = {("smoke", sensor, "firing") for sensor in sensors} | {("fire", "", "firing")}
    assert Counter(
        (each["rule"], each["device"] or "", each["state"]) for each in alerts
    ) == Counter(raised)
    told = {(rule, device or "", what) for rule, device, what in receiver.heard()}
    # Where all of it takes longer than three minutes, it escalates, as it should.
    assert {each for each in told if each[2] != "escalated"} == raised
    told_is_in_order(receiver)
    assert "Traceback" not in "".join(watch.log)


SILENT_SITES = """
[areas.outage]
name = { zh = "停电", en = "Outage" }
[sites."outage/site"]
name = { zh = "站", en = "Site" }
"""
SILENT_POLICY = """
[default.silence]
charger_after = "3.6 s"
hold = "0 s"
[default.site_outage]
share = 2       # more than all: each device speaks for itself
"""
SILENT_DEVICE = """
[[devices]]
id = "outage/site/pile-{number}"
kind = "charger"
sockets = 1
"""


def test_an_outage_of_the_broker_loses_nothing_and_is_no_silence(
    tmp_path: Path, broker: Mosquitto, receiver: WebhookReceiver
) -> None:
    """The devices' silence limit is 3.6 s, shorter than the outage."""
    devices, rate = 4, 40.0
    sites, policy = tmp_path / "sites.toml", tmp_path / "policy.toml"
    policy.write_text(SILENT_POLICY)
    sites.write_text(
        SILENT_SITES + "".join(SILENT_DEVICE.format(number=each) for each in range(devices))
    )
    policy = tmp_path / "policy.toml"
    policy.write_text(SILENT_POLICY)
    count = int((OUTAGE_S + 12) * rate)
    messages = [
        telemetry(f"outage/site/pile-{n % devices}", n // devices) for n in range(count)
    ]
    with service(tmp_path, broker, sites=sites, policy=policy, receiver=receiver) as watch:
        watch.begin()
        with publisher_process(broker, messages, rate=rate) as publisher:
            eventually("the first arrive", lambda: watch.messages() > rate)
            broker.stop()
            eventually("not ready", lambda: watch.ready()[0] == 503, shown=watch.ready)
            _, parts = watch.ready()
            assert not parts["broker"]["ok"]
            assert parts["broker"]["reason"]
            assert [name for name, part in parts.items() if not part["ok"]] == ["broker"]
            time.sleep(OUTAGE_S)
            assert watch.alerts() == []
            broker.start()
            began = time.monotonic()
            watch.wait_ready(60)
            note(f"ready again {time.monotonic() - began:.1f} s after the broker")
            assert publisher.wait(60) == 0
            assert watch.alerts() == []
        eventually("all is judged", lambda: watch.messages() >= count, 30)
        # And now they are silent indeed.
        eventually("silence is noticed", lambda: len(receiver.heard()) == devices)
        assert {rule for rule, _, _ in receiver.heard()} == {"silence"}
        all_is_carried(watch, broker)
        watch.stop()
        expected = {
            (f"outage/site/pile-{n % devices}", float(n // devices)) for n in range(count)
        }
        assert in_history(watch, "outage/") == Counter(dict.fromkeys(expected, 1))
        assert "Traceback" not in "".join(watch.log)


HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["locked", "a folder"])
def test_without_history_alarms_go_on_and_it_catches_up(
    how: str, broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    path = watch.data / "history.duckdb"
    sensor, pile = "trouble/site/smoke-1", "trouble/site/pile-1"
    count = 300
    watch.data.mkdir()
    holder: subprocess.Popen[str] | None = None
    try:
        if how == "locked":
            holder = subprocess.Popen(
                [sys.executable, "-c", HOLD, path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
        else:
            path.mkdir()
        watch.begin()
        publish(broker, [telemetry(pile, seq) for seq in range(count)] + [smoke(sensor)])
        told_of_smoke(watch, receiver, sensor)
        eventually("all is judged", lambda: watch.messages() == count + 1)

        def behind() -> bool:
            part = watch.ready()[1]["history"]
            return not part["ok"] and str(path) in part["reason"]

        eventually("ready says what is wrong", behind, shown=watch.ready)
        status, parts = watch.ready()
        assert status == 200  # alarms do not need it
        assert not parts["history"]["vital"]
        assert watch.alerts(rule="smoke")
    finally:
        if holder is not None:
            holder.communicate()
    if path.is_dir():
        path.rmdir()
    all_is_carried(watch, broker)
    eventually("the history is well again", lambda: bool(watch.ready()[1]["history"]["ok"]))
    watch.stop()
    expected = {(pile, float(seq)) for seq in range(count)} | {(sensor, None)}
    assert in_history(watch, "trouble/") == Counter(dict.fromkeys(expected, 1))
    assert "Traceback" not in "".join(watch.log)


@pytest.mark.parametrize("then", ["there is room again", "it is killed"])
def test_a_full_disk_acknowledges_nothing_and_loses_nothing(
    then: str, broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    sensor, pile = "full/site/smoke-1", "full/site/pile-1"
    count = 300
    watch.begin()
    publish(broker, [telemetry(pile, 0)])
    eventually("the first is kept", lambda: watch.messages() == 1)
    all_is_carried(watch, broker)
    _, hard = resource.prlimit(watch.pid, resource.RLIMIT_FSIZE)
    # Files may not grow beyond a page: for the process, the disk is full.
    resource.prlimit(watch.pid, resource.RLIMIT_FSIZE, (4096, hard))
    publish(broker, [telemetry(pile, seq) for seq in range(1, count)] + [smoke(sensor)])
    eventually("not ready", lambda: watch.ready()[0] == 503, shown=watch.log_text)
    _, parts = watch.ready()
    assert not parts["ledger"]["ok"]
    assert parts["ledger"]["reason"]
    time.sleep(3)  # it tries again meanwhile
    assert watch.runs, watch.log_text()
    assert watch.messages() == 2
    assert receiver.requests == []
    if then == "it is killed":
        watch.kill()
        watch.begin()
    else:
        resource.prlimit(watch.pid, resource.RLIMIT_FSIZE, (hard, hard))
        watch.wait_ready()
    told_of_smoke(watch, receiver, sensor)
    eventually("all is judged", lambda: watch.messages() == count + 2)
    all_is_carried(watch, broker)
    assert len(watch.alerts()) == 1
    watch.stop()
    expected = {(pile, float(seq)) for seq in range(count)} | {(sensor, None)}
    assert in_history(watch, "full/") == Counter(dict.fromkeys(expected, 1))
    told_is_in_order(receiver)
    assert "Traceback" not in "".join(watch.log)


def test_a_ledger_that_somebody_locks_is_waited_for(
    broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    """The history is well meanwhile, and its feeder wants to prune the journal."""
    sensor, pile = "locked/site/smoke-1", "locked/site/pile-1"
    watch.begin()
    publish(broker, [telemetry(pile, 0)])
    eventually("the first is kept", lambda: watch.messages() == 1)
    with closing(sqlite3.connect(watch.data / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        publish(broker, [telemetry(pile, 1), smoke(sensor)])
        eventually("not ready", lambda: watch.ready()[0] == 503, shown=watch.log_text)
        assert "locked" in watch.ready()[1]["ledger"]["reason"]
        time.sleep(6)  # longer than anything waits for a lock
        assert watch.runs, watch.log_text()
        assert watch.messages() == 1
        other.execute("ROLLBACK")
    told_of_smoke(watch, receiver, sensor)
    all_is_carried(watch, broker)
    assert watch.ready()[0] == 200
    watch.stop()
    expected = {(pile, 0.0), (pile, 1.0), (sensor, None)}
    assert in_history(watch, "locked/") == Counter(dict.fromkeys(expected, 1))
    assert "Traceback" not in "".join(watch.log)


def test_a_sensor_that_flaps_within_one_batch_stops_nothing(
    broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    sensor, count = "flapping/site/smoke-1", 1_001
    topic, _ = smoke(sensor)
    watch.begin()
    watch.stop()  # the broker keeps its sessions: all arrives in one go
    publish(
        broker,
        [
            (topic, json.dumps({"event": "smoke", "active": n % 2 == 0, "boot": "b", "seq": n}))
            for n in range(count)
        ],
    )
    watch.begin()
    told_of_smoke(watch, receiver, sensor)
    eventually("all is judged", lambda: watch.messages() == count, shown=watch.log_text)
    assert len(watch.alerts(state="firing")) == 1
    told_is_in_order(receiver)
    watch.stop()


# --- rubbish --------------------------------------------------------------------------

FINE = b'{"readings": [{"channel": 1, "power_w": 5}]}'
RUBBISH: dict[str, tuple[str, bytes, Refusal]] = {
    "nothing like JSON": ("n/a/telemetry", b"hello", Refusal.NOT_JSON),
    "cut off": ("n/a/telemetry", FINE[:-5], Refusal.NOT_JSON),
    "not UTF-8": (
        "n/b/telemetry",
        b'{"boot": "\xff\xfe", "readings": []}',
        Refusal.NOT_UTF8,
    ),
    "a megabyte": ("n/c/telemetry", FINE + b" " * 1_000_000, Refusal.TOO_LARGE),
    "deep": (
        "n/d/telemetry",
        b'{"x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        Refusal.TOO_DEEP,
    ),
    "NaN": ("n/e/telemetry", FINE.replace(b"5", b"NaN"), Refusal.NOT_JSON),
    "Infinity": ("n/e/telemetry", FINE.replace(b"5", b"1e999"), Refusal.WRONG_TYPE),
    "a word for a number": (
        "n/f/telemetry",
        FINE.replace(b"5", b'"much"'),
        Refusal.WRONG_TYPE,
    ),
    "a list for an object": ("n/f/telemetry", b"[1, 2]", Refusal.WRONG_TYPE),
    "an unknown event": ("n/f/event", b'{"event": "earthquake"}', Refusal.WRONG_TYPE),
    "a socket that cannot be": (
        "n/f/telemetry",
        FINE.replace(b"1", b"100000"),
        Refusal.WRONG_TYPE,
    ),
    "a line separator in a name": ("n/g\u2028h/telemetry", FINE, Refusal.BAD_NAME),
    "a blank name": ("n/ /telemetry", FINE, Refusal.BAD_NAME),
    "a name without end": (f"n/{'g' * 300}/telemetry", FINE, Refusal.BAD_NAME),
    "1970": (
        "n/h/telemetry",
        b'{"at": "1970-01-01T00:00:07Z", "readings": [{"channel": 1, "power_w": 5}]}',
        Refusal.CLOCK_WRONG,
    ),
    "2099": (
        "n/i/telemetry",
        b'{"at": "2099-01-01T00:00:00Z", "readings": [{"channel": 1, "power_w": 5}]}',
        Refusal.CLOCK_WRONG,
    ),
    "another device's name": (
        "n/j/telemetry",
        b'{"device": "k", "readings": []}',
        Refusal.NOT_ITS_OWN,
    ),
}
FOREIGN_RUBBISH: dict[str, tuple[str, bytes, Refusal]] = {
    "Tasmota, not JSON": ("tele/plug-x/SENSOR", b"{", Refusal.NOT_JSON),
    "Tasmota, neither on nor off": ("tele/plug-x/LWT", b"perhaps", Refusal.WRONG_TYPE),
    "Zigbee2MQTT, not UTF-8": ("zigbee2mqtt/x", b'{"smoke": "\xff"}', Refusal.NOT_UTF8),
    "Zigbee2MQTT, deep": ("zigbee2mqtt/x", b"[" * 20_000, Refusal.TOO_DEEP),
    "Zigbee2MQTT, an empty level": ("zigbee2mqtt/x//y", b"{}", Refusal.BAD_NAME),
}


def test_rubbish_is_kept_with_its_reason_and_stops_nothing(
    broker: Mosquitto, watch: ServiceProcess, receiver: WebhookReceiver
) -> None:
    sent = {
        name: (f"chargewatch/v1/rubbish/{topic}", payload, reason)
        for name, (topic, payload, reason) in RUBBISH.items()
    } | FOREIGN_RUBBISH
    retained = "chargewatch/v1/rubbish/n/retained/telemetry"
    publish(broker, [(retained, FINE)], retain=True)  # before anybody listens
    watch.begin()
    for topic, payload, _ in sent.values():
        publish(broker, [(topic, payload)])
    publish(broker, [smoke("rubbish/site/smoke-1")])
    eventually("the good one is heard", receiver.heard)
    expected = Counter((topic, reason.value) for topic, _, reason in sent.values())
    expected[retained, Refusal.RETAINED_OLD.value] = 1
    # The fast lane may have overtaken the last of the rubbish.
    eventually("all is refused", lambda: len(watch.refused()) >= expected.total())
    refused = watch.refused()
    assert Counter((each["topic"], each["reason"]) for each in refused) == expected
    publish(broker, [telemetry("rubbish/site/pile-1", 7)])
    all_is_carried(watch, broker)
    assert [row["values"] for row in watch.readings("rubbish/site/pile-1")] == [
        {"energy_kwh": 7.0}
    ]
    assert receiver.heard() == {("smoke", "rubbish/site/smoke-1", "firing")}
    watch.stop()
    assert "Traceback" not in "".join(watch.log)
