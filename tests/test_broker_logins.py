"""Who gets in at the shipped broker, who is thrown out, and what it does with nonsense."""

import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import mqtt5
import pytest

from api.credentials import passwords
from api.credentials.logins import SERVICE, USERNAME_BYTES_MAX
from tests.brokers import HOST, mosquitto_program
from tests.guarded_broker import (
    Client,
    GuardedBroker,
    command,
    device_client,
    guarded_broker,
    service_client,
)
from tests.processes import ROOT, eventually, program

REFUSED, LET_IN = "Not authorized", "Success"
TELEMETRY = "chargewatch/v1/+/+/+/telemetry"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    with guarded_broker(tmp_path_factory.mktemp("guarded")) as broker:
        yield broker


def let_in(guarded: GuardedBroker, device: str, *more: str) -> str:
    """Give a device a login that the broker knows, and return its password."""
    return guarded.add(device, "--reload", str(guarded.pid_file), *more)


def own(device: str) -> str:
    return f"chargewatch/v1/{device}/telemetry"


def answer_to(guarded: GuardedBroker, username: str | None, password: str | None) -> str:
    with Client(guarded.outside, username, password, authority=guarded.authority) as client:
        return client.answer


def test_nobody_gets_in_without_the_right_password(guarded: GuardedBroker) -> None:
    password = let_in(guarded, "town/site/pile-1")
    assert answer_to(guarded, "town/site/pile-1", password) == LET_IN
    for username, wrong in (
        (None, None),
        ("", ""),
        ("town/site/pile-1", None),
        ("town/site/pile-1", ""),
        ("town/site/pile-1", password[:-1]),
        ("town/site/pile-1", password + "x"),
        ("town/site/pile-1", password.swapcase()),
        ("town/site/pile-2", password),
        ("TOWN/site/pile-1", password),
        (SERVICE, password),
        ("simulator", ""),
    ):
        assert answer_to(guarded, username, wrong) == REFUSED, (username, wrong)


def test_the_hashes_are_those_of_mosquittos_own_tool(tmp_path: Path) -> None:
    file = tmp_path / "passwd"
    file.touch(0o600)
    tool = program("mosquitto_passwd", "mosquitto")
    subprocess.run([tool, "-b", file, "pile", "a password"], check=True, capture_output=True)
    [known] = passwords.parsed(file.read_text()).values()
    assert passwords.fits("a password", known)
    assert not passwords.fits("another", known)


def test_devices_have_to_encrypt(guarded: GuardedBroker) -> None:
    with socket.create_connection((HOST, guarded.outside), timeout=5) as plain:
        plain.sendall(mqtt5.ConnectPacket("x", username="x", password=b"x").write())
        with suppress(ConnectionResetError):
            assert plain.recv(1) == b""  # not a word of MQTT


def test_odd_names_speak_for_themselves_alone(guarded: GuardedBroker) -> None:
    names = (
        "河滨 辖区/柳村/桩 1",
        "town/site/%u",
        "town/site/%c",
        "town/site/-- topic read",
        "town/site/a$b@c\"d'e\\f",
        "/".join(["长" * 43] * 3)[: USERNAME_BYTES_MAX // 3],
    )
    secrets = {name: guarded.add(name) for name in names}
    guarded.change("add", "town/site/after-them")
    with service_client(guarded, [TELEMETRY]) as observer:
        for name, password in secrets.items():
            with device_client(guarded, name, password) as device:
                assert device.publish([(own(name), name)]) == [0]
                others = [own(other) for other in names if other != name]
                assert device.publish([(other, "SPOOFED") for other in others]) == [135] * 5
        eventually("all are heard", lambda: len(observer.heard) >= len(names))
        assert observer.heard == [(own(name), name.encode()) for name in names]


def test_an_old_device_is_not_told_that_nobody_hears_its_lies(guarded: GuardedBroker) -> None:
    names = ("town/site/old-1", "town/site/old-2")
    first, second = (let_in(guarded, name) for name in names)
    with (
        service_client(guarded, [TELEMETRY]) as observer,
        device_client(guarded, names[0], first, old=True) as liar,
        device_client(guarded, names[1], second, old=True, client_id=names[0]) as other,
    ):
        assert liar.publish([(own(names[1]), "LIE"), (own(names[0]), "truth")]) == [0, 0]
        assert other.publish([(own(names[1]), "truth")]) == [0]
        eventually("both are heard", lambda: len(observer.heard) >= 2)
        assert observer.heard == [(own(name), b"truth") for name in names]
        assert not liar.is_out()  # though the other one claimed its client id


def test_a_plug_has_its_topics_and_a_bridge_its_base(guarded: GuardedBroker) -> None:
    plug = let_in(guarded, "town/site/plug-1", "--dialect", "tasmota", "--name", "Plug 1")
    base = let_in(guarded, "zigbee2mqtt/willow", "--dialect", "zigbee2mqtt")
    with (
        service_client(guarded, ["tele/+/+", "stat/+/+", "zigbee2mqtt/#"]) as observer,
        device_client(guarded, "Plug 1@tasmota", plug) as plug_client,
        device_client(guarded, "willow@zigbee2mqtt", base) as bridge,
        Client(guarded.inside, SERVICE, guarded.secret(SERVICE)) as service_says,
    ):
        for client in (plug_client, bridge):
            client.subscribe(["#"])
        good = [("tele/Plug 1/SENSOR", "1"), ("stat/Plug 1/POWER32", "2")]
        assert plug_client.publish(good) == [0, 0]
        own_by_its_login = own("Plug 1@tasmota")
        bad = ["tele/Plug 1/X", "tele/Plug 2/SENSOR", "cmnd/Plug 1/POWER", "zigbee2mqtt/x"]
        bad += [own("town/site/plug-1"), own_by_its_login, own("Plug 1@tasmota/x/y")]
        assert plug_client.publish([(each, "") for each in bad]) == [135] * 5 + [0, 135]
        good += [("zigbee2mqtt/willow/smoke-1", "3"), ("zigbee2mqtt/willow/a/b", "4")]
        assert bridge.publish(good[2:]) == [0, 0]
        bad = ["zigbee2mqtt/willow/bridge/state", "zigbee2mqtt/poplar/x", "tele/Plug 1/SENSOR"]
        assert bridge.publish([(each, "") for each in bad]) == [135] * 3
        orders = ["cmnd/Plug 1/POWER", "zigbee2mqtt/willow/plug/set", "zigbee2mqtt/x/set"]
        assert service_says.publish([(each, "") for each in orders]) == [0, 0, 0]
        eventually("orders arrive", lambda: plug_client.heard and len(bridge.heard) >= 3)
        assert plug_client.heard == [("cmnd/Plug 1/POWER", b"")]
        assert {topic for topic, _ in bridge.heard} == {good[2][0], good[3][0], orders[1]}
        said = [each for each in observer.heard if not each[0].endswith("/set")]
        assert said == [(topic, payload.encode()) for topic, payload in good]


def test_the_service_itself_may_give_orders_and_nothing_else(guarded: GuardedBroker) -> None:
    with Client(guarded.inside, SERVICE, guarded.secret(SERVICE)) as service_says:
        for branch in ("telemetry", "event", "status", "reply"):
            said = f"chargewatch/v1/town/site/pile-1/{branch}"
            assert service_says.publish([(said, "")]) == [135]
        said = "chargewatch/v1/town/site/pile-1/command"
        assert service_says.publish([(said, "")]) != [135]


def test_the_simulator_speaks_for_its_sites_alone(tmp_path: Path) -> None:
    with guarded_broker(tmp_path) as guarded:
        guarded.init("--simulate", "quiet-1/+", "--reload", str(guarded.pid_file))
        client = Client(guarded.inside, "simulator", guarded.secret("simulator"))
        with client, service_client(guarded, [TELEMETRY]) as observer:
            said = [own("quiet-1/site/pile-1"), own("quiet-2/site/pile-1")]
            assert client.publish([(each, "") for each in said]) == [0, 135]
            eventually("it is heard", lambda: observer.heard)


def test_who_sends_nonsense_is_put_out_and_can_come_again(guarded: GuardedBroker) -> None:
    name = "town/site/nonsense"
    password = let_in(guarded, name)
    with device_client(guarded, name, password) as device:
        device._paho.publish(own(name), "x" * 16384, 1)
        device.wait_out()
        assert device.closed == "Packet too large"
    for topic in (own("town/site/+"), "#", f"{own(name)}/#", "", "a\0b", "\ud800"):
        assert put_out_for(guarded, name, password, topic), topic
    with device_client(guarded, name, password) as device:
        assert device.publish([(own(name), "x" * 16000)]) != [135]


def put_out_for(guarded: GuardedBroker, name: str, password: str, topic: str) -> bool:
    """Publish on a topic that no client library lets through; is the connection ended?"""
    context = ssl.create_default_context(cafile=str(guarded.authority))
    encoded = topic.encode(errors="surrogatepass")
    body = len(encoded).to_bytes(2, "big") + encoded + b"\x00\x01\x00" + b"x"
    with (
        socket.create_connection((HOST, guarded.outside), timeout=10) as wire,
        context.wrap_socket(wire, server_hostname=HOST) as client,
    ):
        client.sendall(
            mqtt5.ConnectPacket("", username=name, password=password.encode()).write()
        )
        assert client.recv(4)[0] == 0x20
        client.sendall(bytes([0x32, len(body)]) + body)
        heard = b""
        while part := client.recv(4096):
            heard += part
        return True


def test_a_revoked_device_is_thrown_out_and_stays_out(guarded: GuardedBroker) -> None:
    name, other = "town/site/stolen", "town/site/honest"
    password, honest = let_in(guarded, name), let_in(guarded, other)
    with (
        service_client(guarded, [TELEMETRY]) as observer,
        device_client(guarded, name, password, keep_session=True) as stolen,
        device_client(guarded, other, honest) as bystander,
    ):
        assert stolen.publish([(own(name), "before")]) == [0]
        assert guarded.change("revoke", name) == f"revoked: {name}\n"
        stolen.wait_out()
        assert answer_to(guarded, name, password) == REFUSED
        assert bystander.publish([(own(other), "goes on")]) == [0]
        eventually("the other one is heard", lambda: len(observer.heard) >= 2)
        assert observer.heard == [(own(name), b"before"), (own(other), b"goes on")]
        assert not observer.is_out()
        assert not bystander.is_out()


def test_after_a_rotation_the_new_password_holds_and_the_old_one_does_not(
    guarded: GuardedBroker, tmp_path: Path
) -> None:
    name = "town/site/rotated"
    old = let_in(guarded, name)
    with device_client(guarded, name, old) as device:
        out = tmp_path / "new.csv"
        assert guarded.change("rotate", name, "--out", str(out)) == ""
        device.wait_out()
    _, username, new = out.read_text().splitlines()[1].split(",")
    assert answer_to(guarded, name, old) == REFUSED
    assert answer_to(guarded, username, new) == LET_IN


def test_a_new_certificate_is_shown_after_a_reload(guarded: GuardedBroker) -> None:
    before = shown_by(guarded)
    guarded.init("--host", "broker.example", "--reload", str(guarded.pid_file))
    eventually("the new one is shown", lambda: shown_by(guarded) != before)


def shown_by(guarded: GuardedBroker) -> str:
    return ssl.get_server_certificate(
        (HOST, guarded.outside), ca_certs=str(guarded.authority), timeout=10
    )


def test_the_containers_script_has_changes_read_without_being_told(tmp_path: Path) -> None:
    guarded = GuardedBroker(tmp_path)
    config = tmp_path / "mosquitto.conf"
    folder = Path(mosquitto_program()).parent
    process = subprocess.Popen(
        [str(ROOT / "deploy/mosquitto-run"), str(config), str(guarded.dir), "0.1"],
        env=os.environ | {"PATH": f"{os.environ['PATH']}:{folder}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        eventually("the broker runs", guarded.pid_file.exists)
        password = guarded.add("town/site/new")
        name = "town/site/new"
        eventually("it gets in", lambda: answer_to(guarded, name, password) == LET_IN)
        with device_client(guarded, name, password) as device:
            command("revoke", name, "--broker-dir", guarded.dir)
            device.wait_out()
        broker = int(guarded.pid_file.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not Path(f"/proc/{broker}").exists()
    finally:
        process.kill()
        process.communicate()
