"""A real Mosquitto for the tests, on a free port of the loopback."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.ports import free_port

HOST = "127.0.0.1"
ANSWERS_WITHIN_S = 10.0
STOPS_WITHIN_S = 10.0

CONFIG = """\
listener {port} {host}
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
max_inflight_messages 4000
max_queued_messages 2000000
max_queued_bytes 536870912
log_dest stderr
log_type error
log_type warning
log_type notice
{extra}
"""


class Mosquitto:
    """One broker. It keeps its port and its stored sessions over `stop` and `start`."""

    def __init__(self, folder: Path, port: int, config: str) -> None:
        self.host, self.port = HOST, port
        self.log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        # Started as root it would become `mosquitto`, who may not write to `folder`.
        self._config.write_text(f"user {getpass.getuser()}\n{config}")
        self._binary = mosquitto_program()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    def start(self) -> None:
        """Start, and return when the port answers."""
        if self._process is not None:
            raise RuntimeError("already running")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "-c", str(self._config)], stderr=log, stdout=log
            )
        until = time.monotonic() + ANSWERS_WITHIN_S
        while not _answers(self.port):
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                pytest.fail(f"mosquitto does not answer:\n{self.log.read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End in order: sessions and queued messages are stored first."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOPS_WITHIN_S)
            self._process = None

    def kill(self) -> None:
        """End as a power cut does: what was not saved within the last second is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOPS_WITHIN_S)
            self._process = None


@contextmanager
def mosquitto(
    tmp_path: Path, *, port: int | None = None, extra: str = ""
) -> Iterator[Mosquitto]:
    """Yield a running broker; `extra` is added to its configuration."""
    folder = tmp_path / "mosquitto"
    folder.mkdir(exist_ok=True)
    port = port or free_port()
    config = CONFIG.format(port=port, host=HOST, folder=folder, extra=extra)
    broker = Mosquitto(folder, port, config)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def mosquitto_program() -> str:
    """Return its path; without it the test is skipped, and fails where CI is set."""
    binary = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if binary is None:
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell("no mosquitto on this machine; install it with: apt-get install mosquitto")
    return binary


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False
