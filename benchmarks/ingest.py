"""How fast messages become durable, how soon an alarm is told: `python -m benchmarks.ingest`.

Throughput: the same queue of messages, waiting at one Mosquitto in two persistent sessions,
is drained first by `mosquitto_sub` (C, keeps nothing) and then by the service (all rules on,
acknowledged after commit). The ratio is what counts: both ran on the same machine, minutes
apart. Delay: an open-loop publisher keeps a rate, with smoke events among it; the delay of
each runs from its publication to the arrival of the signed webhook.
"""

import argparse
import asyncio
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import httpx

from api.ports import free_port
from benchmarks.machine import (
    cpu_seconds,
    description,
    peak_memory_mib,
    percentiles_ms,
)
from benchmarks.publishing import SITES, fill

ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"
FILTER = "chargewatch/v1/+/+/+/telemetry"
START_S, DRAIN_S = 30.0, 300.0
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--messages", type=int, default=100_000, help="in each queue")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=int, nargs="*", default=[2_000, 5_000, 10_000])
    parser.add_argument("--seconds", type=float, default=30.0, help="for each rate")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="chargewatch-bench-") as name:
        folder = Path(name)
        with mosquitto(folder) as port:
            result: dict[str, object] = {"machine": description()}
            result["throughput"] = throughput(folder, port, options.messages, options.rounds)
            result["alarm_delay"] = [
                delay(folder, port, rate, options.seconds) for rate in options.rates
            ]
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


@contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """Run a broker with the product's limits."""
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
        yield port
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


def throughput(folder: Path, port: int, messages: int, rounds: int) -> dict[str, object]:
    """Drain the same queue with both, `rounds` times; medians."""
    ours, reference, cpu, memory = [], [], [], []
    with service(folder, port):
        wait_for_session(port, folder)
    subscribe_reference(port)
    for _ in range(rounds):
        before = messages_kept(folder)
        asyncio.run(fill(port, messages))
        reference.append(messages / drained_by_reference(port, messages))
        with service(folder, port) as process:
            seconds, used_s, peak_mib = drained_by_service(folder, process, before, messages)
            ours.append(messages / seconds)
            cpu.append(used_s)
            memory.append(peak_mib)
    return {
        "messages": messages,
        "rounds": rounds,
        "durable_messages_per_s": round(median(ours)),
        "mosquitto_sub_messages_per_s": round(median(reference)),
        "ratio": round(median(ours) / median(reference), 3),
        "ratios": [round(one / other, 3) for one, other in zip(ours, reference, strict=True)],
        "cpu_seconds": round(median(cpu), 2),
        "cpu_us_per_message": round(median(cpu) / messages * 1e6, 1),
        "peak_memory_mib": round(max(memory)),
    }


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


def subscribe_reference(port: int) -> None:
    """Make the reference's persistent session."""
    subprocess.run([*reference_command(port), "-E"], check=True)


def reference_command(port: int) -> list[str]:
    return [
        *("mosquitto_sub", "-h", HOST, "-p", str(port), "-V", "5", "-c", "-q", "1"),
        *("-i", "reference", "-x", "3600", "-D", "connect", "receive-maximum", "4000"),
        *("-t", FILTER),
    ]


def drained_by_reference(port: int, messages: int) -> float:
    """Return how long mosquitto_sub takes for the queue, in seconds, start-up included."""
    begun = time.monotonic()
    subprocess.run(
        [*reference_command(port), "-C", str(messages)], check=True, stdout=subprocess.DEVNULL
    )
    return time.monotonic() - begun


def drained_by_service(
    folder: Path, process: subprocess.Popen[bytes], before: int, messages: int
) -> tuple[float, float, float]:
    """Return seconds from the first commit to the last, CPU seconds, and peak memory (MiB)."""
    until = time.monotonic() + DRAIN_S
    while (first := messages_kept(folder)) == before:
        if process.poll() is not None or time.monotonic() > until:
            sys.exit((folder / "service.log").read_text())
        time.sleep(0.002)
    begun, used = time.monotonic(), cpu_seconds(process.pid)
    while (kept := messages_kept(folder)) < before + messages:
        if time.monotonic() > until:
            sys.exit(f"only {kept - before} of {messages} messages arrived")
        time.sleep(0.01)
    share = messages / (messages - (first - before))  # what was kept when the watch began
    seconds = (time.monotonic() - begun) * share
    used_s = (cpu_seconds(process.pid) - used) * share
    return seconds, used_s, peak_memory_mib(process.pid)


def delay(folder: Path, port: int, rate: int, seconds: float) -> dict[str, object]:
    """Return the delay of smoke at a steady rate of telemetry, publication to webhook."""
    return asyncio.run(_delay(folder, port, rate, seconds))


async def _delay(folder: Path, port: int, rate: int, seconds: float) -> dict[str, object]:
    arrived: dict[str, float] = {}
    more = asyncio.Event()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one webhook; the device's name in its body says which alarm it is."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            at = time.monotonic()
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            arrived.setdefault(body["device"].rpartition("/")[2], at)
            more.set()
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(receive, HOST, 0)
    address = f"http://{HOST}:{server.sockets[0].getsockname()[1]}/"
    out = folder / f"left-{rate}.json"
    hook = {"CHARGEWATCH_WEBHOOK__URL": address}
    hook["CHARGEWATCH_WEBHOOK__SECRET"] = secrets.token_hex(24)
    hook["CHARGEWATCH_HTTP__PORT"] = str(free_port())
    with service(folder, port, **hook) as process:
        await asyncio.to_thread(wait_until_ready, hook["CHARGEWATCH_HTTP__PORT"])
        publisher = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.publishing"),
            *(str(port), str(rate), str(seconds), "10", str(out)),
            cwd=ROOT,
        )
        await publisher.wait()
        published = json.loads(out.read_text())
        left: dict[str, float] = published["left"]
        with suppress(TimeoutError):
            async with asyncio.timeout(30):
                while arrived.keys() < left.keys():
                    more.clear()
                    await more.wait()
        memory = peak_memory_mib(process.pid)
    server.close()
    delays = [arrived[name] - left[name] for name in left if name in arrived]
    return {
        "asked_messages_per_s": rate,
        "published_messages_per_s": round(published["sent"] / published["seconds"]),
        "alarms": len(left),
        "missing": len(left) - len(delays),
        "delay_ms": percentiles_ms(delays),
        "peak_memory_mib": round(memory),
    }


if __name__ == "__main__":
    main()
