"""How long a day's rollup takes: `python -m benchmarks.rollups [--json] [--sockets 500]`.

Piles of ten sockets, two at a site, report every three minutes into a real InfluxDB (the 1.6
of the tests); then every site's day is made, from raw readings to points. What is measured is
the whole of it: questions, answers, arithmetic, writing.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

from benchmarks.machine import description, memory_bytes
from ingest.influx_client import InfluxAddress, InfluxClient
from ingest.influx_lines import reading_lines
from ingest.journal import Entry
from ingest.measurements import Kept
from ingest.registry import Name
from ingest.rolling_up import RollUps
from ingest.rollups import SitePlan, Watched
from rules.readings import DeviceId, Reading, Report
from rules.schedule import Schedule
from tests.influx import influxdb
from tests.influx_databases import made_address

SOCKETS_A_PILE, PILES_A_SITE = 10, 2
BEAT = timedelta(minutes=3)
MIDNIGHT = datetime(2026, 1, 4, 16, tzinfo=UTC)
TODAY = date(2026, 1, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--sockets", type=int, default=500)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, influxdb(Path(folder)) as server:
        measured = asyncio.run(_measure(made_address(server), asked.sockets))
    found = {"machine": description(), **measured}
    if asked.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for name, value in found.items():
            sys.stdout.write(f"{name}: {value}\n")


async def _measure(address: InfluxAddress, sockets: int) -> dict[str, object]:
    sites = _sites(sockets)
    client = InfluxClient(address)
    try:
        readings = 0
        for entry in _day(sites):
            await client.write(Kept.READINGS, reading_lines(entry))
            readings += sum(len(report.readings) for report in entry.reports)
        before = memory_bytes()
        rollups = RollUps(
            client,
            lambda: sites,
            now=lambda: MIDNIGHT + timedelta(days=1, hours=1),
            keep=timedelta(days=400),
            ready=lambda: True,
        )
        began, used = time.perf_counter(), time.process_time()
        for plan in sites:
            await rollups.make(plan, [TODAY])
        day_s, own_s = time.perf_counter() - began, time.process_time() - used
    finally:
        client.close()
    return {
        "sockets": sockets,
        "readings": readings,
        "windows": rollups.made.windows,
        "a_day_of_all_s": round(day_s, 2),
        "of_which_our_own_cpu_s": round(own_s, 2),
        "memory_grew_mib": round((memory_bytes() - before) / 2**20, 1),
    }


def _sites(sockets: int) -> list[SitePlan]:
    count = max(1, sockets // (SOCKETS_A_PILE * PILES_A_SITE))
    return [
        SitePlan(
            id=f"bench/s{number}",
            area="bench",
            name=Name("站", "Site"),
            schedule=Schedule.nightly(),
            devices=tuple(
                Watched(
                    id=f"bench/s{number}/p{pile}",
                    silent_after=timedelta(minutes=8),
                    charging_min_w=15.0,
                )
                for pile in range(PILES_A_SITE)
            ),
            sockets=SOCKETS_A_PILE * PILES_A_SITE,
        )
        for number in range(count)
    ]


def _day(sites: list[SitePlan]) -> Iterator[Entry]:
    """Yield a day of readings, an entry for each beat of all piles."""
    chance = Random(7)
    counters: dict[tuple[str, int], float] = {}
    for beat in range(timedelta(days=1) // BEAT):
        at = MIDNIGHT + beat * BEAT
        reports = []
        for device in (device for site in sites for device in site.devices):
            readings = []
            for channel in range(1, SOCKETS_A_PILE + 1):
                key = device.id, channel
                power_w = chance.uniform(150, 300) if chance.random() < 1 / 4 else 2.0
                counters[key] = counters.get(key, 50.0) + power_w / 20_000
                reading = Reading(
                    channel=channel,
                    power_w=round(power_w, 1),
                    energy_kwh=round(counters[key], 3),
                    device_temperature_c=21.5,
                )
                readings.append(reading)
            reports.append(
                Report(
                    device=DeviceId(device.id),
                    at=at,
                    received_at=at,
                    identity="",
                    readings=tuple(readings),
                )
            )
        yield Entry(beat + 1, at, tuple(reports))


if __name__ == "__main__":
    main()
