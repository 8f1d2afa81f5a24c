"""The history's speed: `python -m benchmarks.history`.

Writing: the same journal entries into DuckDB and into InfluxDB, and, as a reference for the
latter, the same lines made beforehand and only sent. Asking: 30 days of 500 sockets are put
into InfluxDB, with all that belongs to them, and every question of every dashboard is asked
as Grafana asks it, over the whole of that time (one day on the station's board, an hour on
the service's: that is what they open with).
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median

from benchmarks.machine import description
from dashboards.queries import Chosen, filled, placed
from ingest.duckdb_history import open_duckdb
from ingest.history import History
from ingest.influx_client import InfluxAddress, InfluxClient, open_client
from ingest.influx_history import open_influx
from ingest.influx_lines import Value, line, reading_lines
from ingest.journal import Entry
from ingest.measurements import (
    ALERT,
    ALERT_EVENT,
    DEVICE,
    DEVICE_NOW,
    SERVICE_NOW,
    SESSION,
    SITE_15M,
    SITE_DAY,
    SITE_NOW,
    SOCKET,
    SOCKET_15M,
    SOCKET_DAY,
    Kept,
    Measurement,
)
from ingest.moments import to_us
from rules.readings import DeviceId, Reading, Report
from tests.influx import Influx, influxdb

BEGINS = datetime(2026, 9, 30, 16, tzinfo=UTC)
"""Midnight in Shanghai."""
AREAS, SITES, PILES, SOCKETS, SENSORS = 2, 10, 5, 10, 4
"""Sites in all; piles and sensors of a site; sockets of a pile."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GOAL_MS = 300.0
SENT_AT_ONCE = 5_000

Tags = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--entries", type=int, default=200, help="of 1000 readings, to write")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--days", type=int, default=30, help="to ask about")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chargewatch-bench-") as name:
        folder = Path(name)
        with influxdb(folder) as influx:
            result = {
                "machine": description(),
                "writing": asyncio.run(writing(folder, influx, options)),
                "asking": asyncio.run(asking(influx, options.days)),
            }
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


# --- Writing -----------------------------------------------------------------------------


async def writing(
    folder: Path, influx: Influx, options: argparse.Namespace
) -> dict[str, object]:
    """Return readings a second, medians of rounds in which each of the three has its turn."""
    entries = list(some_entries(options.entries))
    readings = sum(len(report.readings) for entry in entries for report in entry.reports)
    made = [each for entry in entries for each in reading_lines(entry)]
    rates: dict[str, list[float]] = {"duckdb": [], "influxdb": [], "lines_only_sent": []}
    for number in range(options.rounds):
        duck = open_duckdb(folder / f"history-{number}.duckdb")
        rates["duckdb"].append(readings / await append(duck, entries))
        address = database(influx, f"round{number}")
        rates["influxdb"].append(readings / await append(open_influx(address), entries))
        async with open_client(database(influx, f"sent{number}")) as client:
            begun = time.perf_counter()
            await client.write(Kept.READINGS, made)
            rates["lines_only_sent"].append(readings / (time.perf_counter() - begun))
    per_s = {name: round(median(measured)) for name, measured in rates.items()}
    return {
        "readings": readings,
        "readings_per_s": per_s,
        "influxdb_over_duckdb": round(per_s["influxdb"] / per_s["duckdb"], 2),
        "influxdb_over_lines_only_sent": round(per_s["influxdb"] / per_s["lines_only_sent"], 2),
    }


def some_entries(count: int) -> Iterator[Entry]:
    """Yield entries as at 2,000 messages a second: 100 messages of ten sockets each."""
    chance = random.Random(7)
    for number in range(1, count + 1):
        reports = []
        for pile in range(100):
            at = BEGINS + number * MINUTE + timedelta(microseconds=chance.randrange(10**6))
            readings = tuple(
                Reading(
                    channel=channel,
                    power_w=round(chance.uniform(0, 900), 1),
                    current_a=round(chance.uniform(0, 4), 2),
                    voltage_v=round(chance.gauss(230, 3), 1),
                    energy_kwh=round(number * 0.01, 2),
                    relay_on=True,
                )
                for channel in range(1, SOCKETS + 1)
            )
            reports.append(
                Report(
                    device=DeviceId(f"bench/s{pile // 10}/p{pile % 10}"),
                    at=at,
                    received_at=at + timedelta(milliseconds=40),
                    identity="",
                    readings=readings,
                )
            )
        yield Entry(number, BEGINS, tuple(reports))


async def append(
    opening: AbstractAsyncContextManager[History], entries: Sequence[Entry]
) -> float:
    """Return the seconds that it takes to append entries as the service does, 50 at a time."""
    async with opening as history:
        await history.cursor()  # it is open now
        begun = time.perf_counter()
        for first in range(0, len(entries), 50):
            await history.append(entries[first : first + 50])
        return time.perf_counter() - begun


def database(influx: Influx, name: str) -> InfluxAddress:
    """Make an empty database."""
    influx.query(f'CREATE DATABASE "{name}"', "")
    influx.query(f'CREATE RETENTION POLICY "long" ON "{name}" DURATION INF REPLICATION 1', "")
    return InfluxAddress(url=influx.url, database=name, org=influx.org, token=influx.token)


# --- Asking ------------------------------------------------------------------------------


async def asking(influx: Influx, days: int) -> dict[str, object]:
    """Return how long each question takes; the worst of them by name."""
    async with open_client(database(influx, "month")) as client:
        points = await fill(client, days)
    times_ms = {
        f"{question.dashboard}: {question.place} {question.ref_id}": timed_ms(
            influx, filled(question, chosen(question.dashboard, days))
        )
        for question in placed("en")
    }
    worst = sorted(times_ms, key=times_ms.__getitem__, reverse=True)
    return {
        "days": days,
        "sockets": SITES * PILES * SOCKETS,
        "points": points,
        "questions": len(times_ms),
        "median_ms": round(median(times_ms.values()), 1),
        "worst_ms": {name: times_ms[name] for name in worst[:8]},
        "over_goal": sum(each > GOAL_MS for each in times_ms.values()),
    }


def chosen(dashboard: str, days: int) -> Chosen:
    until = BEGINS + days * DAY
    if dashboard == "station":
        site = site_tags(0)["site"]
        return Chosen(until - DAY, until, {"site": site, "device": f"{site}/pile-0"})
    if dashboard == "service":
        return Chosen(until - HOUR, until)
    return Chosen(BEGINS, until)


def timed_ms(influx: Influx, statement: str) -> float:
    """Return the median of three, in milliseconds, the proxy before the server included."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        influx.query(statement, "month")
        taken.append((time.perf_counter() - begun) * 1000)
    return round(median(taken), 1)


async def fill(client: InfluxClient, days: int) -> int:
    """Write a village of 500 sockets, everything as often as the service does."""
    points = 0
    for kept, lines in (
        (Kept.READINGS, readings_of_month(days)),
        (Kept.LONG, facts_of_month(days)),
    ):
        while some := list(islice(lines, SENT_AT_ONCE)):
            await client.write(kept, some)
            points += len(some)
    return points


def readings_of_month(days: int) -> Iterator[bytes]:
    """Yield readings, time by time: chargers every 3 minutes, sensors every 6 hours."""
    chance = random.Random(1)
    sockets = [device | {"socket": str(n)} for device in piles() for n in range(1, SOCKETS + 1)]
    for at in every(3 * MINUTE, days):
        yield from (point(SOCKET, tags, at, chance) for tags in sockets)
        yield from (point(DEVICE, tags, at, chance) for tags in piles())
        if at.hour % 6 == 0 and at.minute == 0:
            yield from (point(DEVICE, tags, at, chance) for tags in sensors())


def facts_of_month(days: int) -> Iterator[bytes]:
    """Yield all that is kept beside the readings."""
    chance = random.Random(2)
    sites = [site_tags(number) for number in range(SITES)]
    sockets = [device | {"socket": str(n)} for device in piles() for n in range(1, SOCKETS + 1)]
    devices = [
        *(tags | {"kind": "charger", "dialect": "native"} for tags in piles()),
        *(tags | {"kind": "smoke", "dialect": "zigbee2mqtt"} for tags in sensors()),
    ]
    for measurement, step, places in (
        (SOCKET_15M, 15 * MINUTE, sockets),
        (SITE_15M, 15 * MINUTE, sites),
        (SITE_DAY, DAY, sites),
        (SOCKET_DAY, DAY, sockets),
        (SITE_NOW, MINUTE, sites),
        (DEVICE_NOW, 5 * MINUTE, devices),
        (SERVICE_NOW, timedelta(seconds=15), [{}]),
        (SESSION, 16 * HOUR, sockets),
    ):
        for at in every(step, days):
            yield from (point(measurement, tags, at, chance) for tags in places)
    for at in every(HOUR, days):
        where = chance.choice(sockets) | {"rule": chance.choice(("overload", "after_hours"))}
        yield point(ALERT, where, at, chance)
        for what in ("firing", "acknowledged", "resolved"):
            later = at + timedelta(seconds=chance.randrange(3000))
            yield point(ALERT_EVENT, where | {"what": what}, later, chance)


def point(measurement: Measurement, tags: Tags, at: datetime, chance: random.Random) -> bytes:
    """Return a point with a value for every field but those of rare readings."""
    fields: dict[str, Value | None] = {}
    for name, field in measurement.fields.items():
        if measurement.kept is Kept.READINGS and name not in USUAL:
            continue
        if field.kind is float:
            fields[name] = round(chance.uniform(0, 900), 1)
        elif field.kind is bool:
            fields[name] = False
        else:
            fields[name] = chance.randrange(2) if field.kind is int else "text"
    return line(measurement, tags, fields, to_us(at) * 1000)


USUAL = frozenset(
    {
        *("entry", "position", "received_at_us", "power_w", "current_a", "voltage_v"),
        *("energy_kwh", "relay_on", "device_temperature_c"),
    }
)


def every(step: timedelta, days: int) -> Iterator[datetime]:
    return (BEGINS + number * step for number in range(days * DAY // step))


def site_tags(number: int) -> Tags:
    area = f"area-{number % AREAS}"
    return {"area": area, "site": f"{area}/site-{number}"}


def piles() -> list[Tags]:
    return _devices("pile", PILES)


def sensors() -> list[Tags]:
    return _devices("smoke", SENSORS)


def _devices(kind: str, count: int) -> list[Tags]:
    return [
        tags | {"device": f"{tags['site']}/{kind}-{number}"}
        for tags in map(site_tags, range(SITES))
        for number in range(count)
    ]


if __name__ == "__main__":
    main()
