"""The whole way: a robot is told, its link is followed, a button is pressed, and nobody else is
told any more. Real service, real broker, real programs.
"""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from api.tokens import add_token, read_tokens
from tests.brokers import Mosquitto
from tests.processes import ServiceProcess, eventually, program, publish, service
from tests.receivers import HOST, Receiver, receiving

pytest_plugins = ["tests.system_fixtures"]

SMOKE = ("chargewatch/v1/a/s/smoke-1/event", '{"boot": "b", "seq": 1, "event": "smoke"}')
BUTTON = "chargewatch/v1/a/s/button-1"
LINK = re.compile(r"\[Acknowledge\]\((http[^)]+)\)")
POLICY = '[default.escalation]\nafter = "10 s"\n'
HTML = {"Accept": "text/html"}


@pytest.fixture
def robot() -> Iterator[Receiver]:
    with receiving() as server:
        server.confirmation = b'{"errcode":0}'
        yield server


@pytest.fixture
def watch(tmp_path: Path, broker: Mosquitto, robot: Receiver) -> Iterator[ServiceProcess]:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    settings = {
        "DINGTALK__URL": f"http://{HOST}:{robot.server_port}/robot/send?access_token=0123456",
        "DINGTALK__SECRET": "SEC0123456789abcdef",
    }
    with service(tmp_path, broker, policy=policy, settings=settings) as watch:
        add_token(watch.data, "admin", "write")
        add_token(watch.data, "screen", "read")
        watch._settings["HTTP__URL"] = f"http://{HOST}:{watch.port}"
        watch.begin()
        yield watch


def told(robot: Receiver) -> list[str]:
    return [post.json["markdown"]["text"] for post in list(robot.posts)]


def escalated(robot: Receiver, device: str) -> int:
    return sum(device in each and "Nobody has answered" in each for each in told(robot))


def tier_of(watch: ServiceProcess, device: str) -> int:
    return {alert["device"]: int(alert["tier"]) for alert in watch.alerts()}[device]


def test_a_link_from_a_robot_acknowledges_once_and_stops_the_escalation(
    watch: ServiceProcess, broker: Mosquitto, robot: Receiver
) -> None:
    publish(broker, [SMOKE])
    [text] = eventually("the robot is told", lambda: told(robot), shown=watch.log_text)
    found = LINK.search(text)
    assert found, text
    link = found[1]
    assert len(link.removeprefix(f"http://{HOST}:{watch.port}")) <= 80

    seen = httpx.get(link, headers=HTML)
    assert seen.status_code == 200
    assert watch.alerts()[0]["acknowledged_by"] is None, "a preview answers nothing"

    answered = httpx.post(link, data={"name": "Wang Fang"}, headers=HTML)
    assert answered.status_code == 303
    [alert] = watch.alerts()
    assert alert["acknowledged_by"] == "Wang Fang via dingtalk"
    again = httpx.post(link, data={"name": "Somebody Else"}, headers=HTML)
    assert again.status_code == 409
    assert "Wang Fang" in again.text
    assert watch.alerts()[0]["acknowledged_by"] == "Wang Fang via dingtalk"
    assert link.rpartition("/")[2] not in watch.log_text()

    # Another alarm, which nobody answers, escalates; the one that was answered does not.
    tier, before = tier_of(watch, "a/s/smoke-1"), escalated(robot, "smoke-1")
    publish(broker, [(SMOKE[0].replace("s/smoke-1", "t/smoke-2"), SMOKE[1])])
    eventually(
        "the other escalates",
        lambda: escalated(robot, "smoke-2"),
        within_s=40.0,
        shown=watch.log_text,
    )
    assert tier_of(watch, "a/t/smoke-2") > 1
    assert (tier_of(watch, "a/s/smoke-1"), escalated(robot, "smoke-1")) == (tier, before)


def test_a_link_is_good_over_a_restart(
    watch: ServiceProcess, broker: Mosquitto, robot: Receiver
) -> None:
    publish(broker, [SMOKE])
    [text, *_] = eventually("the robot is told", lambda: told(robot), shown=watch.log_text)
    link = LINK.search(text)
    assert link
    watch.kill()
    watch.begin()
    answered = httpx.post(link[1], data={"name": "Li"}, headers=HTML)
    assert answered.status_code == 303
    watch.kill()
    watch.begin()
    assert httpx.post(link[1], data={"name": "Li"}, headers=HTML).status_code == 409


@contextmanager
def listening(broker: Mosquitto) -> Iterator[list[dict[str, object]]]:
    """Yield what the button's lamp hears."""
    heard: list[dict[str, object]] = []
    subscribed = threading.Event()
    lamp = paho.Client(CallbackAPIVersion.VERSION2)
    lamp.on_subscribe = lambda *_: subscribed.set()
    lamp.on_message = lambda _c, _d, message: heard.append(json.loads(message.payload))
    lamp.connect(broker.host, broker.port)
    lamp.subscribe(f"{BUTTON}/answered", 1)
    lamp.loop_start()
    assert subscribed.wait(10)
    try:
        yield heard
    finally:
        lamp.disconnect()
        lamp.loop_stop()


def press(broker: Mosquitto, payload: str, *more: str) -> None:
    """Publish as a button does, with Mosquitto's own program."""
    pub = program("mosquitto_pub", "mosquitto-clients")
    where = ["-h", broker.host, "-p", str(broker.port), "-t", f"{BUTTON}/answer", "-q", "1"]
    subprocess.run([pub, *where, "-m", payload, *more], check=True)


def test_a_button_acknowledges_with_a_token_and_is_told_so(
    watch: ServiceProcess, broker: Mosquitto
) -> None:
    publish(broker, [SMOKE])
    [alert] = eventually("the alarm", watch.alerts, shown=watch.log_text)
    tokens = {each.name: each.secret for each in read_tokens(watch.data)}
    number = alert["id"]

    def answer(token: str, alert: int = number, **more: object) -> str:
        return json.dumps({"alert": alert, "token": token, **more})

    refused = {
        "no_such_token": answer("x" * 32),
        "not_allowed": answer(tokens["screen"]),
        "no_such_alert": answer(tokens["admin"], number + 1),
        "malformed": answer(tokens["admin"], more="than is known"),
    }
    with listening(broker) as heard:
        for payload in refused.values():
            press(broker, payload)
        assert watch.alerts()[0]["acknowledged_by"] is None
        press(broker, answer(tokens["admin"], note="the button at the gate"))
        eventually("the refusals", lambda: len(heard) > len(refused), shown=watch.log_text)
        assert [said["outcome"] for said in heard[: len(refused)]] == list(refused)
        done = {"alert": number, "outcome": "acknowledged", "acknowledged_by": "admin"}
        assert heard[-1] == done
    assert watch.alerts()[0]["note"] == "the button at the gate"
    [deed] = watch.get("/audit", what="alert.acknowledged")["deeds"]
    assert (deed["who"], deed["via"]) == ("admin", "mqtt")
    assert tokens["admin"] not in watch.log_text()


def test_rubbish_on_the_buttons_topic_disturbs_no_message_of_a_device(
    watch: ServiceProcess, broker: Mosquitto
) -> None:
    rubbish = ["", "{", "[]", "null", "x" * 9_000, '{"alert": -1}', "\u0000"] * 20
    publish(broker, [(f"{BUTTON}/answer", each) for each in rubbish])
    publish(broker, [SMOKE])
    eventually("the alarm", watch.alerts, shown=watch.log_text)
    assert watch.refused() == []
    assert watch.messages() == 1
    status, parts = watch.ready()
    assert (status, parts["broker"]["ok"]) == (200, True)
