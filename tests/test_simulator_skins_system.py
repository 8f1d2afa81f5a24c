"""A simulated Tasmota strip at a real broker, watched and cut by the real service."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from ingest.clock import utc_now
from simulator.building import built
from simulator.player import Player
from simulator.publisher import Broker, Crowd, Publisher
from simulator.scenario_file import parsed
from simulator.village import Village, sites_toml
from tests.brokers import Mosquitto
from tests.processes import eventually, service

pytest_plugins = ["tests.system_fixtures"]

PILE, SENSOR = "town/north/pile-01", "town/north/smoke-01"
PLACE = """
zone = "UTC"
lasts = "2 d"
[text]
zh = "试"
en = "A trial"
[ordinary]
clocks_off = "0 s"
repeats_a_day = 0
tests_sensors = false
[behaviour.village]
per_socket = 0
[areas]
town = { zh = "镇", en = "Town" }
[sites."town/north"]
zh = "北"
en = "North"
piles = 1
sockets = 4
sensors = 1
closed = []
beat = "1 s"
sensor_beat = "2 s"
skin = "tasmota"
sensor_skin = "zigbee2mqtt"
orders = { half_within = "0.2 s" }
"""
BIKE = '[[events]]\nfault = "bike"\nat = "{at:%H:%M}"\nwhere = "{pile}#2"\nstays = "9 h"\n'


def place() -> Village:
    """Return a village where a bike has charged for a while now."""
    since = utc_now() - timedelta(minutes=10)
    events = BIKE.format(at=since, pile=PILE)
    return built("trial", parsed(PLACE + events, "trial.toml"), since.date(), seed=7)


@contextmanager
def live(broker: Mosquitto, village: Village, crowd: Crowd) -> Iterator[Publisher]:
    """Let the village live in real time, from a thread of its own."""
    loop, made = asyncio.new_event_loop(), threading.Event()
    publishers: list[Publisher] = []

    async def play() -> None:
        player = Player(village.devices())
        for _ in player.play(utc_now()):
            """Nobody hears what is past."""
        publishers.append(Publisher(player, Broker.at(broker.url), utc_now, 1.0, crowd))
        made.set()
        await publishers[0].run(village.ends)

    task = loop.create_task(play())

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert made.wait(60)
        yield publishers[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


@pytest.mark.parametrize("crowd", [Crowd(), Crowd(each=True)], ids=["shared", "each"])
def test_a_cut_reaches_a_tasmota_strip_and_is_verified(
    tmp_path: Path, broker: Mosquitto, crowd: Crowd
) -> None:
    village = place()
    sites = tmp_path / "sites.toml"
    sites.write_text(sites_toml(village), encoding="utf-8")
    with service(tmp_path, broker, sites=sites) as watch:
        watch.begin()
        with live(broker, village, crowd) as publisher:

            def power_w() -> float:
                [device] = watch.get("/devices", q=PILE)["devices"]
                found = [each["power_w"] for each in device["sockets"] if each["channel"] == 2]
                return float(found[0] or 0.0) if found else 0.0

            eventually("it charges", lambda: power_w() > 100, 60, shown=watch.log_text)
            if crowd.each:
                eventually("the strip and the bridge", lambda: publisher.connected == 2)
            watch.post("/cut", device=PILE, channel=2, reason="smells of burning")

            def states() -> list[str]:
                asked = watch.get("/commands", device=PILE, channel=2)["commands"]
                return [each["state"] for each in asked]

            eventually("it is verified", lambda: states() == ["verified"], 60, shown=states)
            assert power_w() < 1
            [sensor] = watch.get("/devices", q=SENSOR)["devices"]
            assert sensor["id"] == SENSOR
        assert watch.refused() == []
