"""The simulator's shell against a real Mosquitto."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import date, datetime
from zoneinfo import ZoneInfo

import aiomqtt
import msgspec

from ingest.clock import utc_now, warped
from ingest.codecs.native import Telemetry
from simulator.player import Player
from simulator.publisher import Broker, Publisher
from simulator.village import Village
from simulator.village_evening import DROPPED, FORGOTTEN, village_evening
from tests.brokers import Mosquitto
from tests.listeners import Listener

pytest_plugins = ["tests.system_fixtures"]

DAY = date(2026, 5, 12)
PATIENCE_S = 10.0


def local(hour: int, minute: int) -> datetime:
    return datetime(2026, 5, 12, hour, minute, tzinfo=ZoneInfo("Asia/Shanghai"))


def publisher(broker: Mosquitto, village: Village, speed: float) -> Publisher:
    clock = warped(speed, utc_now(), village.starts)
    return Publisher(Player(village.devices()), Broker.at(broker.url), clock, speed)


def obeyed(telemetry: bytes, channel: int) -> bool:
    """Say whether the socket is off, and draws nothing."""
    readings = msgspec.json.decode(telemetry, type=Telemetry).readings
    (socket,) = [reading for reading in readings if reading.channel == channel]
    return socket.relay_on is False and socket.power_w is not None and socket.power_w < 1


def in_time(test: Coroutine[None, None, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await test

    asyncio.run(limited())


def test_what_the_broker_passes_on_is_byte_for_byte_what_was_played(
    broker: Mosquitto,
) -> None:
    village, until = village_evening(7, DAY), local(21, 56)
    expected = list(Player(village.devices()).play(until))

    async def test() -> None:
        listener = Listener(broker)
        async with listener.listening():
            playing = publisher(broker, village, speed=2000)
            await playing.run(until)
            await listener.hears(expected)
        assert playing.said == len(expected)
        assert len(listener.heard) == len(expected)
        for device in village.devices():
            mine = [(e.topic, e.payload) for e in expected if e.device == device.id]
            assert [m for m in listener.heard if f"/{device.id}/" in m[0]] == mine

    in_time(test())


def test_a_last_will_is_said_by_the_broker_and_is_retained(broker: Mosquitto) -> None:
    village = village_evening(7, DAY)
    (dropped,) = [plan for plan in village.sensors if plan.id == DROPPED]
    lonely = msgspec.structs.replace(village, piles=(), sensors=(dropped,))

    async def test() -> None:
        where, listener = f"chargewatch/v1/{DROPPED}/status", Listener(broker)
        async with listener.listening():
            await publisher(broker, lonely, speed=4000).run(local(21, 55))
            while len(listener.payloads(where)) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        birth, will = (msgspec.json.decode(payload) for payload in listener.payloads(where))
        assert (birth["online"], will["online"]) == (True, False)
        async with aiomqtt.Client(broker.host, broker.port) as late:
            await late.subscribe(where, qos=1)
            message = await anext(late.messages)
        assert message.retain
        assert isinstance(message.payload, bytes)
        assert msgspec.json.decode(message.payload)["online"] is False

    in_time(test())


def test_a_command_over_the_broker_is_obeyed(broker: Mosquitto) -> None:
    pile, channel = FORGOTTEN
    topic = f"chargewatch/v1/{pile}"
    order = {"id": "cut-1", "command": "switch_off", "channel": channel}

    async def test() -> None:
        village, listener = village_evening(7, DAY), Listener(broker)
        async with listener.listening():
            playing = asyncio.create_task(publisher(broker, village, 60).run(village.ends))
            await listener.hears_on(f"{topic}/telemetry")
            async with aiomqtt.Client(broker.host, broker.port) as operator:
                await operator.publish(f"{topic}/command", msgspec.json.encode(order), qos=1)
            reply = msgspec.json.decode(await listener.hears_on(f"{topic}/reply"))
            assert reply == {"id": "cut-1", "ok": True, "detail": ""}
            telemetry = f"{topic}/telemetry"
            while not obeyed(listener.payloads(telemetry)[-1], channel):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing

    in_time(test())


def test_a_broker_that_goes_away_loses_nothing_that_was_said(broker: Mosquitto) -> None:
    village, until = village_evening(7, DAY), local(21, 50)
    expected = list(Player(village.devices()).play(until))

    async def test() -> None:
        listener = Listener(broker)
        async with listener.listening():
            playing = asyncio.create_task(publisher(broker, village, speed=200).run(until))
            while len(listener.heard) < len(expected) / 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asyncio.to_thread(broker.stop)
            assert len(listener.heard) < len(expected)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(broker.start)
            await playing
            await listener.hears(expected)

    in_time(test())
