"""The broker and the service of a benchmark, started as a user would start them."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from api.ports import free_port
from benchmarks.publishing import SITES

ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"
START_S = 30.0
BROKER_CONFIG = """\
listener {port} {host}
allow_anonymous true
user {user}
max_inflight_messages 4000
max_queued_messages 2000000
max_queued_bytes 1073741824
max_packet_size 16384
persistence true
persistence_location {folder}/
autosave_interval 30
log_type error
"""


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """Run a broker with the product's limits; yield its port."""
    with mosquitto_process(folder) as (port, _):
        yield port


@contextmanager
def mosquitto_process(folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run a broker with the product's limits; yield its port and itself."""
    port = free_port()
    data = folder / "mosquitto"
    data.mkdir()
    config = folder / "mosquitto.conf"
    user = os.environ.get("USER", "root")
    config.write_text(BROKER_CONFIG.format(port=port, host=HOST, user=user, folder=data))
    binary = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None:
        sys.exit("mosquitto is not installed")
    process = subprocess.Popen([binary, "-c", str(config)])
    try:
        time.sleep(0.5)
        yield port, process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def service(folder: Path, port: int, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the service as a user would, with all rules on, in the middle of its day."""
    sites = folder / "sites.toml"
    lines = ['[areas.bench]\nname = {zh = "b", en = "b"}\n']
    lines += [
        f'[sites."bench/s{number:02}"]\nname = {{zh = "s", en = "s"}}\n'
        f'zone = "{day_zone()}"\nclosed = ["22:00-05:00"]\n'
        for number in range(SITES)
    ]
    sites.write_text("\n".join(lines))
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "CHARGEWATCH_DATA_DIR": str(folder / "data"),
        "CHARGEWATCH_SITES_FILE": str(sites),
        "CHARGEWATCH_BROKER__PORT": str(port),
        "CHARGEWATCH_HTTP__PORT": str(free_port()),
        **settings,
    }
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api", "serve"], env=environment, stderr=log, stdout=log
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def day_zone() -> str:
    """Return a zone where it is about noon, so that charging is allowed throughout."""
    offset = 12 - time.gmtime().tm_hour
    return f"Etc/GMT{-offset:+d}" if offset else "Etc/GMT"


def wait_for_session(port: int, folder: Path) -> None:
    """Wait until the service has subscribed: a message that it keeps is the proof."""
    topic = "chargewatch/v1/bench/s00/probe/telemetry"
    until = time.monotonic() + START_S
    while not messages_kept(folder):
        if time.monotonic() > until:
            sys.exit(f"the service does not start:\n{(folder / 'service.log').read_text()}")
        subprocess.run(
            [
                *("mosquitto_pub", "-h", HOST, "-p", str(port), "-q", "1", "-t", topic),
                *("-m", '{"readings":[{"channel":1,"power_w":1}]}'),
            ],
            check=True,
        )
        time.sleep(0.1)


def messages_kept(folder: Path) -> int:
    """Ask the ledger, from beside, how many messages it holds."""
    with suppress(sqlite3.OperationalError):
        connection = sqlite3.connect(f"file:{folder}/data/ledger.sqlite?mode=ro", uri=True)
        try:
            found = connection.execute("SELECT count FROM tallies WHERE name = 'messages'")
            row = found.fetchone()
            return row[0] if row else 0
        finally:
            connection.close()
    return 0


def wait_until_ready(http_port: str) -> None:
    """Wait until the service says that it is: before that, alarms wait at the broker."""
    until = time.monotonic() + START_S
    while True:
        with suppress(httpx.HTTPError):
            answer = httpx.get(f"http://{HOST}:{http_port}/health/ready")
            if answer.status_code == httpx.codes.OK:
                return
        if time.monotonic() > until:
            sys.exit("the service does not become ready")
        time.sleep(0.1)
