"""How many devices the simulator can be, and how fast it can speak for them.

    python -m benchmarks.crowd [--devices 10000] [--minutes 10] [--json]

First every device has a connection of its own to a real Mosquitto and reports every 30 s; then
one connection speaks for all of them, as fast as the broker takes it. Reference: the same bytes
over one connection without devices that make them.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.machine import cpu_seconds, description, memory_bytes
from benchmarks.running import HOST, mosquitto_process
from ingest.clock import utc_now, warped
from simulator.line import WAITING_MAX, Broker, Line, Street
from simulator.open_files import TooFewFiles, allow
from simulator.pile_plans import PilePlan
from simulator.piles import Pile
from simulator.player import Player
from simulator.publisher import Crowd, Publisher
from simulator.smoke_sensors import SensorPlan, SmokeSensor

STARTS = datetime(2026, 5, 12, 10, tzinfo=UTC)
CADENCE = timedelta(seconds=30)
READY_MESSAGES = 100_000
LOOKS_EVERY_S = 10.0
MIB = 1024 * 1024


def player(devices: int) -> Player:
    """Return half piles of ten sockets, half smoke sensors, all with the same beat."""
    sites = [f"crowd/s{number:03}" for number in range(max(1, devices // 50))]
    piles = (
        Pile(PilePlan(id=f"{sites[n % len(sites)]}/pile-{n:05}", beat=CADENCE), STARTS, 7)
        for n in range(devices // 2)
    )
    sensors = (
        SmokeSensor(
            SensorPlan(id=f"{sites[n % len(sites)]}/smoke-{n:05}", beat=CADENCE), STARTS, 7
        )
        for n in range(devices - devices // 2)
    )
    return Player([*piles, *sensors])


async def connected(devices: int, minutes: float, broker: Broker, pid: int) -> object:
    """Say what it costs that each of so many devices has a connection of its own."""
    before_bytes, made = memory_bytes(), player(devices)
    devices_bytes = memory_bytes() - before_bytes
    begun_s, until = time.monotonic(), STARTS + timedelta(minutes=minutes)
    clock = warped(1.0, utc_now(), STARTS)
    publisher = Publisher(made, broker, clock, 1.0, Crowd(each=True))
    cpu_s, broker_cpu_s = time.process_time(), cpu_seconds(pid)
    playing = asyncio.create_task(publisher.run(until))
    most, fewest_after, all_after_s = 0, devices, None
    while not playing.done():
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(playing), LOOKS_EVERY_S)
        if playing.done():
            break
        now_connected = publisher.connected
        most = max(most, now_connected)
        if now_connected >= devices and all_after_s is None:
            all_after_s = time.monotonic() - begun_s
        elif all_after_s is not None:
            fewest_after = min(fewest_after, now_connected)
    await playing
    took_s = time.monotonic() - begun_s
    return {
        "devices": devices,
        "seconds": round(took_s),
        "connected_at_most": most,
        "all_connected_after_s": all_after_s and round(all_after_s),
        "connected_at_least_then": fewest_after,
        "messages": publisher.said,
        "messages_per_s": round(publisher.said / took_s),
        "cpu_share_of_a_core": round((time.process_time() - cpu_s) / took_s, 3),
        "broker_cpu_share_of_a_core": round((cpu_seconds(pid) - broker_cpu_s) / took_s, 3),
        "memory_mib": round(memory_bytes() / MIB),
        "of_which_devices_mib": round(devices_bytes / MIB),
        "broker_memory_mib": round(_resident_bytes(pid) / MIB),
    }


async def spoken(devices: int, broker: Broker) -> object:
    """Say how fast one connection speaks for all devices, and for no devices at all."""
    publisher = Publisher(player(devices), broker, warped(1e6, utc_now(), STARTS), 1e6)
    lasts = _seconds_of(READY_MESSAGES * 3, devices)
    begun_s = time.monotonic()
    await publisher.run(STARTS + lasts)
    with_devices = publisher.said / (time.monotonic() - begun_s)

    ready = list(player(devices).play(STARTS + _seconds_of(READY_MESSAGES, devices)))
    line = Line(Street.to(broker))
    task = asyncio.create_task(line.run())
    begun_s = time.monotonic()
    for number, emission in enumerate(ready):
        line.send(emission)
        if line.is_full:
            await line.emptied()
        elif number % (WAITING_MAX // 50) == 0:
            await asyncio.sleep(0)
    await line.emptied()
    bytes_only = len(ready) / (time.monotonic() - begun_s)
    task.cancel()
    begun_s, made = time.process_time(), 0
    for _ in player(devices).play(STARTS + _seconds_of(READY_MESSAGES, devices)):
        made += 1
    return {
        "messages_per_s": round(with_devices),
        "reference_bytes_only_per_s": round(bytes_only),
        "ratio": round(with_devices / bytes_only, 3),
        "made_only_per_s": round(made / (time.process_time() - begun_s)),
        "bytes_a_message": round(sum(len(each.payload) for each in ready) / len(ready)),
    }


def _seconds_of(messages: int, devices: int) -> timedelta:
    return CADENCE * (messages / devices)


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no resident size for process {pid}")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        allow(options.devices)  # the broker, our child, has it too
    except TooFewFiles as error:
        sys.exit(str(error))
    report: dict[str, object] = {"machine": description()}
    with (
        tempfile.TemporaryDirectory(prefix="chargewatch-bench-") as name,
        mosquitto_process(Path(name)) as (port, process),
    ):
        broker = Broker(host=HOST, port=port)
        report["one_connection_each"] = asyncio.run(
            connected(options.devices, options.minutes, broker, process.pid)
        )
        report["one_connection_for_all"] = asyncio.run(spoken(options.devices, broker))
    if options.json:
        print(json.dumps(report))
    else:
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
