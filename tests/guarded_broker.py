"""A Mosquitto as it is shipped: TLS, logins and rights made by our own commands.

Only paths, ports and the user it runs as are others, and it writes its process number down.
"""

import json
import re
import ssl
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from typer.testing import CliRunner

from api.cli import app
from api.credentials.logins import SERVICE
from api.credentials.setting_up import SECRET_OF
from api.ports import free_port
from tests.brokers import HOST, Mosquitto

SHIPPED = Path(__file__).parent.parent / "deploy" / "mosquitto.conf"
WITHIN_S = 15.0
ANSWER_CHARS_MAX = 10_000


def command(*arguments: str | Path) -> str:
    """Run `./chargewatch devices …` and return what it prints; fails if it does."""
    done = CliRunner().invoke(app, ["devices", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


class GuardedBroker:
    """The broker and the folder of its logins."""

    def __init__(self, folder: Path) -> None:
        self.dir, self.secrets = folder / "broker", folder / "secrets"
        self.authority = self.dir / "ca.crt"
        self.pid_file = folder / "mosquitto.pid"
        self.inside, self.outside, self.far = free_port(), free_port(), free_port()
        """Ports: of our own programs, of devices, and of a service on another machine."""
        self.folder = folder
        self.init()
        self.mosquitto = Mosquitto(folder, self.outside, self._config())

    def init(self, *more: str) -> str:
        return command(
            *("init", "--broker-dir", self.dir, "--secrets-dir", self.secrets), *more
        )

    def add(self, device: str, *more: str) -> str:
        """Give a device a login, and return its password; the broker does not know it yet."""
        printed = command("add", device, "--broker-dir", self.dir, "--json", *more)
        password: str = json.loads(printed)["password"]
        return password

    def change(self, *arguments: str) -> str:
        """Run a command, and have the broker read its files again."""
        return command(*arguments, "--broker-dir", self.dir, "--reload", self.pid_file)

    def secret(self, username: str) -> str:
        """Return the password of one of our own programs."""
        return (self.secrets / SECRET_OF[username]).read_text()

    def _config(self) -> str:
        text = SHIPPED.read_text(encoding="utf-8")
        text = text.replace("/mosquitto/credentials", str(self.dir))
        text = text.replace("/mosquitto/data", str(self.folder))
        block = re.search(r"^#listener 8884$.*?\n\n", text, re.MULTILINE | re.DOTALL)
        assert block is not None
        text = text.replace(block[0], block[0].replace("#", ""))
        for shipped, port in ((1883, self.inside), (8883, self.outside), (8884, self.far)):
            assert text.count(f"\nlistener {shipped}\n") == 1
            text = text.replace(f"\nlistener {shipped}\n", f"\nlistener {port} {HOST}\n")
        return f"{text}pid_file {self.pid_file}\n"


@contextmanager
def guarded_broker(folder: Path) -> Iterator[GuardedBroker]:
    guarded = GuardedBroker(folder)
    guarded.mosquitto.start()
    try:
        yield guarded
    finally:
        guarded.mosquitto.stop()


class Client:
    """A client that says what the broker answers, and keeps what it hears.

    It speaks MQTT 5, or 3.1.1 if it is `old`.
    """

    def __init__(  # noqa: PLR0913  (as many as a connection has)
        self,
        port: int,
        username: str | None,
        password: str | None,
        *,
        authority: Path | None = None,
        client_id: str = "",
        will: tuple[str, str] | None = None,
        keep_session: bool = False,
        old: bool = False,
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.answer = ""
        """To the attempt to connect."""
        self.closed = ""
        """Why the connection ended, if it did."""
        self._connected, self._ended = threading.Event(), threading.Event()
        self._answers: dict[int, int] = {}
        self._answered = threading.Condition()
        self._paho = client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv311 if old else paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(100)
        client.max_queued_messages_set(0)
        client.username_pw_set(username, password)
        if authority is not None:
            client.tls_set_context(ssl.create_default_context(cafile=str(authority)))
        if will is not None:
            client.will_set(*will, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = lambda _c, _u, mid, reason, _p: self._note(mid, [reason])
        client.on_subscribe = lambda _c, _u, mid, reasons, _p: self._note(mid, reasons)
        client.on_message = lambda _c, _u, said: self.heard.append(
            (said.topic, bytes(said.payload))
        )
        if old:
            client.connect(HOST, port)
        else:
            lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            lasting.SessionExpiryInterval = 3600 if keep_session else 0
            client.connect(HOST, port, clean_start=not keep_session, properties=lasting)
        client.loop_start()
        if not self._connected.wait(WITHIN_S) and not self._ended.wait(WITHIN_S):
            pytest.fail("the broker does not answer")

    def publish(self, said: Iterable[tuple[str, str]], *, retain: bool = False) -> list[int]:
        """Publish with QoS 1, and return the broker's answers: 0 or 16 went through."""
        numbers = [self._paho.publish(topic, payload, 1, retain).mid for topic, payload in said]
        return self._answers_to(numbers)

    def subscribe(self, filters: Sequence[str]) -> list[int]:
        """Subscribe, and return the broker's answers: less than 128 was granted."""
        _, number = self._paho.subscribe([(each, SubscribeOptions(1)) for each in filters])
        assert number is not None
        return self._answers_to([number])

    def is_out(self) -> bool:
        """Say whether the connection has ended."""
        return self._ended.is_set()

    def wait_out(self) -> None:
        """Return when the broker has ended the connection."""
        assert self._ended.wait(WITHIN_S), "still connected"

    def break_off(self) -> None:
        """End without a goodbye, so that the last will is due."""
        self._paho._sock_close()
        self._paho.loop_stop()

    def close(self) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answers_to(self, numbers: Sequence[int]) -> list[int]:
        with self._answered:
            assert self._answered.wait_for(
                lambda: all(number in self._answers for number in numbers), WITHIN_S
            ), "the broker does not answer"
            return [self._answers.pop(number) for number in numbers]

    def _on_connect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.answer = str(reason)
        self._connected.set()

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.closed = str(reason)
        self._ended.set()

    def _note(self, number: int, reasons: Sequence[Any]) -> None:
        """Keep the worst answer to a packet."""
        with self._answered:
            self._answers[number] = max(reason.value for reason in reasons)
            self._answered.notify_all()


def service_client(guarded: GuardedBroker, filters: Sequence[str]) -> Client:
    """Return a client with the service's login that listens as the service does."""
    client = Client(guarded.inside, SERVICE, guarded.secret(SERVICE), client_id="observer")
    client.subscribe(filters)
    return client


def device_client(guarded: GuardedBroker, username: str, password: str, **more: Any) -> Client:
    return Client(guarded.outside, username, password, authority=guarded.authority, **more)
