"""InfluxDB away while messages go on: `python -m benchmarks.outage`.

A publisher keeps a rate, with smoke events among it. InfluxDB is killed, started in the middle
of its outage and killed again while the history catches up, and started for good at the end.
Then the service itself is killed while it catches up. Afterwards two questions are asked: does
InfluxDB hold every message exactly once, and did alarms take longer while it was away than
before?
"""

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.delay import Left, delays, publish, receiving
from benchmarks.machine import description, peak_memory_mib
from benchmarks.publishing import PILES_PER_SITE, SITES
from benchmarks.running import ROOT, mosquitto, service, wait_until_ready
from tests.influx import Influx, influxdb

UP_BETWEEN_S = 5.0
"""How long InfluxDB is back in the middle of its outage."""
CATCH_UP_S = 1200.0
QUANTITY = "session_duration_s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rate", type=int, default=2_000, help="messages a second")
    parser.add_argument("--before", type=float, default=120.0, help="seconds before the outage")
    parser.add_argument("--down", type=float, default=600.0, help="seconds of outage")
    parser.add_argument("--after", type=float, default=60.0, help="seconds after the outage")
    parser.add_argument("--alarms", type=float, default=5.0, help="smoke events a second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chargewatch-bench-") as name:
        result = asyncio.run(outage(Path(name), options))
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


async def outage(folder: Path, asked: argparse.Namespace) -> dict[str, object]:
    seconds = asked.before + asked.down + asked.after
    with mosquitto(folder) as port, influxdb(folder) as influx:
        settings = settings_for(influx)
        set_up(folder, settings)
        async with receiving() as receiver:
            settings |= receiver.settings
            http_port = settings["CHARGEWATCH_HTTP__PORT"]
            with service(folder, port, **settings) as process:
                await asyncio.to_thread(wait_until_ready, http_port)
                publishing = asyncio.create_task(
                    publish(folder / "left.json", port, asked.rate, seconds, asked.alarms)
                )
                gone_at, back_at = await away(influx, asked.before, asked.down)
                before_catching_up = await asyncio.to_thread(count, influx)
                published = await publishing
                await receiver.wait_for(set(published.left))
                memory = peak_memory_mib(process.pid)
                process.kill()
            with service(folder, port, **settings) as process:
                caught_up_s = await caught_up(influx, published.sent, back_at)
                memory = max(memory, peak_memory_mib(process.pid))
        kept = kept_messages(influx)
    rate = published.sent / published.seconds
    catch_up_rate = (published.sent - before_catching_up) / caught_up_s
    arrived = receiver.arrived
    return {
        "machine": description(),
        "published_messages_per_s": round(rate),
        "outage_s": asked.down,
        "before": delays(between(published, 0, gone_at), arrived),
        "during": delays(between(published, gone_at, back_at), arrived),
        "catching_up": delays(between(published, back_at, math.inf), arrived),
        "messages": published.sent,
        "missing": published.sent - kept["different"],
        "repeated": kept["rows"] - kept["different"],
        "catch_up_s": round(caught_up_s, 1),
        "catch_up_messages_per_s": round(catch_up_rate),
        "catch_up_over_live": round(catch_up_rate / rate, 1),
        "peak_memory_mib": round(memory),
    }


def settings_for(influx: Influx) -> dict[str, str]:
    return {
        "CHARGEWATCH_HISTORY__KIND": "influxdb",
        "CHARGEWATCH_INFLUX__URL": influx.url,
        "CHARGEWATCH_INFLUX__ORG": influx.org,
        "CHARGEWATCH_INFLUX__TOKEN": influx.token,
    }


def set_up(folder: Path, settings: Mapping[str, str]) -> None:
    """Make the databases, as a user does."""
    subprocess.run(
        [str(ROOT / "chargewatch"), "history", "setup"],
        check=True,
        cwd=folder,
        env=os.environ | dict(settings),
        stdout=sys.stderr,
    )


async def away(influx: Influx, before_s: float, down_s: float) -> tuple[float, float]:
    """Let InfluxDB be away, back for a moment, and away again; return from when to when."""
    await asyncio.sleep(before_s)
    gone_at = time.monotonic()
    influx.kill()
    await asyncio.sleep(down_s / 2)
    await asyncio.to_thread(influx.start)
    await asyncio.sleep(UP_BETWEEN_S)
    influx.kill()
    await asyncio.sleep(max(0.0, gone_at + down_s - time.monotonic()))
    await asyncio.to_thread(influx.start)
    return gone_at, time.monotonic()


async def caught_up(influx: Influx, messages: int, since: float) -> float:
    """Return how long it took until as many messages were there as had been published."""
    while (found := await asyncio.to_thread(count, influx)) < messages:
        if time.monotonic() > since + CATCH_UP_S:
            sys.exit(f"only {found} of {messages} messages are in InfluxDB")
        await asyncio.sleep(1)
    return time.monotonic() - since


def count(influx: Influx) -> int:
    series = influx.query(f'SELECT count("{QUANTITY}") FROM "socket"')
    return int(series[0]["values"][0][1]) if series else 0


def kept_messages(influx: Influx) -> dict[str, int]:
    """Return how many numbered messages are there, and how many different ones."""
    rows, different = 0, 0
    for numbers in numbers_of_piles(influx):
        rows += len(numbers)
        different += len(set(numbers))
    return {"rows": rows, "different": different}


def numbers_of_piles(influx: Influx) -> Iterator[list[float]]:
    """Yield the numbers that each pile's messages carried; no pile shares one."""
    for site in range(SITES):
        for pile in range(PILES_PER_SITE):
            device = f"bench/s{site:02}/p{pile:02}"
            found = influx.query(
                f'SELECT "{QUANTITY}" FROM "socket" WHERE "device" = \'{device}\''
            )
            yield [value for series in found for _, value in series["values"]]


def between(published: Left, since: float, until: float) -> dict[str, float]:
    return {name: at for name, at in published.left.items() if since <= at < until}


if __name__ == "__main__":
    main()
