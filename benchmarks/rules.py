"""How fast the rules judge, and what a socket costs: `python -m benchmarks.rules [--json]`.

Piles of ten sockets report every three minutes, all ten in one message; a good quarter of
the sockets charge, and one pile in a hundred has an alert open. The full catalogue judges each
message, in one process, for 1,000 sockets and for 1,000,000: the cost of a reading must not
depend on how many others there are. Messages are decoded beforehand, a chunk at a time, so
that nothing but the engine is measured, and nothing is shared that would not be in life.

The reference does the least that anybody must: keep each socket's latest reading and hold
its power against a limit, in plain Python on the same messages. Each part is a process of
its own, so that memory is what that part alone has taken.
"""

import argparse
import gc
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median

import msgspec

from benchmarks.machine import description, memory_bytes
from ingest.codecs.native import Telemetry
from ingest.registry import Area, Device, Name, Registry, Site
from rules.catalog import rules_in_force
from rules.engine import Engine
from rules.readings import DeviceId, Kind, Reading, Report
from rules.schedule import Schedule

ROOT = Path(__file__).parents[1]
SOCKETS_A_PILE = 10
PILES_A_SITE = 2
BEAT = timedelta(minutes=3)
STARTS = datetime(2026, 1, 5, 2, tzinfo=UTC)
SOME, MANY = 1_000, 1_000_000
MESSAGES = 300_000
"""Measured in each part: three reports of every pile of the million."""
CHUNK = 1_000
BEATS_A_DAY = 480
CHARGE_BEATS = 130
"""Six and a half hours: some 27 % of the sockets charge at any time."""
ALARMED_ONE_IN = 100
OPEN = Schedule("Asia/Shanghai", ())

Take = Callable[[Sequence[Report]], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sockets", type=int, default=MANY, help="many of them")
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--part", nargs=2, metavar=("WHAT", "SOCKETS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        what, sockets = options.part
        print(json.dumps(part(what, int(sockets), options.messages)))
        return
    result = measured(options.rounds, options.sockets, options.messages)
    print(json.dumps(result) if options.json else json.dumps(result, indent=2))


def measured(rounds: int, many: int, messages: int) -> dict[str, object]:
    """Run all parts in turn, `rounds` times; medians."""
    few, lots, plain = [], [], []
    for _ in range(rounds):
        plain.append(run("reference", SOME, messages))
        few.append(run("engine", SOME, messages))
        lots.append(run("engine", many, messages))
    readings = median(each["readings_per_s"] for each in few)
    reference = median(each["readings_per_s"] for each in plain)
    ratios = [
        one["readings_per_s"] / other["readings_per_s"]
        for one, other in zip(few, lots, strict=True)
    ]
    return {
        "machine": description(),
        "rules": sum(map(len, rules_in_force())),
        "sockets": [SOME, many],
        "messages": messages,
        "rounds": rounds,
        "readings_per_s": round(readings),
        "cost_ratio_1k_to_1m": round(median(ratios), 3),
        "cost_ratios": [round(ratio, 3) for ratio in ratios],
        "bytes_per_socket": round(median(each["bytes_per_socket"] for each in lots)),
        "reference_readings_per_s": round(reference),
        "ratio_to_reference": round(readings / reference, 3),
        "alerts_open": round(few[0]["alerts"]),
    }


def run(what: str, sockets: int, messages: int) -> dict[str, float]:
    """Measure one part in a process of its own."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.rules"),
            *("--part", what, str(sockets), "--messages", str(messages)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def part(what: str, sockets: int, messages: int) -> dict[str, float]:
    """Let every pile report once, then measure; return the figures of this process."""
    registry = known(sockets // SOCKETS_A_PILE)
    engine = Engine(*rules_in_force(), registry)
    take = engine_takes(engine) if what == "engine" else reference_takes()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # as the service does
    piles = tuple(registry.devices)
    for pile in piles:
        registry.profile_of(pile)
        registry.policy_of(pile)
    before = memory_bytes()
    reports = said_by(piles)
    timed(take, reports, len(piles))
    readings_per_s = timed(take, reports, messages)
    gc.collect()
    return {
        "readings_per_s": readings_per_s,
        "bytes_per_socket": (memory_bytes() - before) / sockets,
        "alerts": len(list(engine.open_alerts())),
    }


def timed(take: Take, reports: Iterator[Report], messages: int) -> float:
    """Let so many messages be taken; return the readings per second."""
    readings, seconds = 0, 0.0
    for _ in range(-(-messages // CHUNK)):
        chunk = list(islice(reports, CHUNK))
        readings += sum(len(report.readings) for report in chunk)
        begun = time.perf_counter()
        take(chunk)
        seconds += time.perf_counter() - begun
    return readings / seconds


def engine_takes(engine: Engine) -> Take:
    """Return what takes messages as the service would: deadlines first."""

    def take(reports: Sequence[Report]) -> None:
        for report in reports:
            now = report.received_at
            due = engine.next_deadline()
            if due is not None and due <= now:
                engine.advance(now)
            engine.observe(report, now)
        engine.touched.clear()
        engine.take_ended()

    return take


def reference_takes() -> Take:
    """Return what takes messages with no life, no clear and no calendar at all."""
    latest: dict[tuple[str, int | None], Reading] = {}
    alarmed: set[tuple[str, int | None]] = set()

    def take(reports: Sequence[Report]) -> None:
        for report in reports:
            for reading in report.readings:
                key = (report.device, reading.channel)
                latest[key] = reading
                if reading.power_w is not None and reading.power_w > 1000.0:
                    alarmed.add(key)
                else:
                    alarmed.discard(key)

    return take


def known(piles: int) -> Registry:
    """Return a register of sites that are always open."""
    sites = range(-(-piles // PILES_A_SITE))
    registry = Registry([], [], [])
    name = Name("b", "b")
    registry.declare(
        [Area(id="bench", name=name)],
        [Site(id=f"bench/s{n}", area="bench", name=name, schedule=OPEN) for n in sites],
        [_pile(number) for number in range(piles)],
        STARTS,
    )
    registry.news.clear()
    return registry


def _pile(number: int) -> Device:
    site = f"bench/s{number // PILES_A_SITE}"
    name = DeviceId(f"{site}/pile-{number}")
    return Device(id=name, site=site, dialect="native", name=name, kind=Kind.CHARGER)


def said_by(piles: Sequence[DeviceId]) -> Iterator[Report]:
    """Yield the reports of all piles, round by round, evenly in time; for ever."""
    chance = Random(7)
    calm, alarmed = (
        [payload(chance, beat, alarmed=alarmed) for beat in range(BEATS_A_DAY)]
        for alarmed in (False, True)
    )
    decode = msgspec.json.Decoder(Telemetry).decode
    gap, count = BEAT / len(piles), 0
    while True:
        for number, pile in enumerate(piles):
            beat = (count // len(piles) + number * 7) % BEATS_A_DAY
            said = alarmed if number % ALARMED_ONE_IN == 0 else calm
            count += 1
            at = STARTS + count * gap
            yield Report(
                device=pile,
                at=at,
                received_at=at,
                identity=str(count),
                readings=decode(said[beat]).readings,
            )


def payload(chance: Random, beat: int, *, alarmed: bool) -> bytes:
    """Return what a pile says of itself and its ten sockets at one beat of its day.

    At each socket a bike charges for six and a half hours of the day, at another time than
    at the one beside it: power rises a little, then tapers off, and the bike is fetched.
    """
    cabinet = Reading(device_temperature_c=round(chance.uniform(15, 30), 1))
    sockets = [
        _socket(chance, n, (beat + n * BEATS_A_DAY // SOCKETS_A_PILE) % BEATS_A_DAY)
        for n in range(1, SOCKETS_A_PILE + 1)
    ]
    if alarmed:
        sockets[0] = msgspec.structs.replace(sockets[0], power_w=1200.5, relay_on=True)
    return msgspec.json.encode(Telemetry(readings=(cabinet, *sockets)))


def _socket(chance: Random, channel: int, beat: int) -> Reading:
    share = beat / CHARGE_BEATS
    on = share < 1
    power_w = chance.uniform(0, 2.5)
    if on:
        plateau_w = 180 + 12 * channel
        taper = math.exp(-(share - 0.7) * 12) if share > 0.7 else 1.0
        power_w = plateau_w * (0.92 + 0.1 * share) * taper + chance.uniform(0, 1)
    power_w = round(power_w, 1)
    return Reading(
        channel=channel,
        power_w=power_w,
        current_a=round(power_w / 150, 2),
        voltage_v=round(chance.gauss(229, 1), 1),
        energy_kwh=round(channel * 50 + beat * 0.01, 3),
        relay_on=on,
        device_temperature_c=round(chance.uniform(17, 26), 1),
        port_state="charging" if on else "idle",
        session_energy_kwh=round(beat * 0.01, 3) if on else None,
        session_duration_s=beat * BEAT.total_seconds() if on else None,
    )


if __name__ == "__main__":
    main()
