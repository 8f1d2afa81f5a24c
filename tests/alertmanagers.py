"""Debian's prometheus-alertmanager for the tests, on a free port of the loopback."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.ports import free_port

HOST = "127.0.0.1"
ANSWERS_WITHIN_S = 20.0
STOPS_WITHIN_S = 20.0
CONFIG = """\
route:
  receiver: nobody
receivers:
  - name: nobody
"""


class Alertmanager:
    """One server. It keeps its port over `kill` and `start`, and forgets its alerts."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        self._port = free_port()
        self.url = f"http://{HOST}:{self._port}"
        self.log = folder / "alertmanager.log"
        (folder / "alertmanager.yml").write_text(CONFIG)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._binary,
                    f"--config.file={self._folder / 'alertmanager.yml'}",
                    f"--storage.path={self._folder / 'data'}",
                    f"--web.listen-address={HOST}:{self._port}",
                    "--cluster.listen-address=",
                ],
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + ANSWERS_WITHIN_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                pytest.fail(f"alertmanager does not answer:\n{self.log.read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOPS_WITHIN_S)
            self._process = None

    def alerts(self) -> list[dict[str, Any]]:
        """Return what fires, as it says itself."""
        answer = httpx.get(f"{self.url}/api/v2/alerts", trust_env=False)
        answer.raise_for_status()
        return list(answer.json())

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def alertmanager(folder: Path) -> Iterator[Alertmanager]:
    """Yield a running server.

    Without the program the test is skipped, and fails where CI is set: there it must run.
    """
    binary = shutil.which("prometheus-alertmanager")
    if binary is None:
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell("no prometheus-alertmanager here; apt-get install prometheus-alertmanager")
    server = Alertmanager(binary, folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
