"""The simulator's own connections: in order, at least once, each with its login and will."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import aiomqtt
import msgspec
import pytest

from ingest.clock import utc_now, warped
from simulator.emissions import Emission
from simulator.line import Broker, Line, Return, Street
from simulator.logins import LoginsUnreadable, read_logins
from simulator.pile_plans import PilePlan
from simulator.piles import Pile
from simulator.player import Player
from simulator.publisher import Crowd, Publisher
from simulator.wire import Login, WireLost, opened
from tests.brokers import HOST, Mosquitto, mosquitto
from tests.guarded_broker import guarded_broker
from tests.listeners import Listener

pytest_plugins = ["tests.system_fixtures"]

STARTS = datetime(2026, 5, 12, 10, tzinfo=UTC)
PATIENCE_S = 20.0
PILES = ("town/north/pile-1", "town/north/pile-2", "town/south/pile-1")


def in_time(test: Coroutine[None, None, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await test

    asyncio.run(limited())


def emission(number: int, topic: str = "chargewatch/v1/a/b/c/telemetry") -> Emission:
    return Emission(STARTS, "a/b/c", topic, b"%d" % number)


def player(*piles: str) -> Player:
    return Player([Pile(PilePlan(id=each, sockets=2), STARTS, 7) for each in piles or PILES])


def publisher(broker: Broker, crowd: Crowd, speed: float = 1000.0) -> Publisher:
    return Publisher(player(), broker, warped(speed, utc_now(), STARTS), speed, crowd)


class Ear:
    """Hears a topic filter, and keeps numbers in the order in which they came."""

    def __init__(self, broker: Mosquitto, topics: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._broker, self._topics = broker, topics
        self._listens = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen())
        await self._listens.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _listen(self) -> None:
        async with aiomqtt.Client(self._broker.host, self._broker.port) as client:
            await client.subscribe(self._topics, qos=1)
            self._listens.set()
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                self.heard.append((str(message.topic), message.payload))

    async def hears(self, count: int) -> list[bytes]:
        while len(self.heard) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return [payload for _, payload in self.heard]


@pytest.mark.parametrize("window", [1, 20, 4_000])
def test_ten_thousand_messages_come_once_and_in_order_whatever_the_window(
    tmp_path: Path, window: int
) -> None:
    count = 10_000 if window > 1 else 500

    async def test(broker: Mosquitto) -> None:
        line = Line(Street.to(Broker.at(broker.url)))
        task = asyncio.create_task(line.run())
        async with Ear(broker, "chargewatch/#") as ear:
            for number in range(count):
                line.send(emission(number))
            await line.emptied()
            assert await ear.hears(count) == [b"%d" % number for number in range(count)]
            assert line.connections == 1
        task.cancel()

    # The later of two equal options counts for Mosquitto.
    with mosquitto(tmp_path, extra=f"max_inflight_messages {window}") as broker:
        in_time(test(broker))


def test_what_a_dead_broker_did_not_confirm_is_said_again_in_order(broker: Mosquitto) -> None:
    async def test() -> None:
        line, listener = Line(Street.to(Broker.at(broker.url))), Listener(broker)
        task = asyncio.create_task(line.run())
        async with listener.listening():
            line.send(emission(0))
            await line.emptied()
            await asyncio.to_thread(broker.stop)
            said = [emission(number) for number in range(1, 100)]
            for each in said:
                line.send(each)
            await asyncio.to_thread(broker.start)
            await line.emptied()
            await listener.hears(said)
        first_times = list(dict.fromkeys(payload for _, payload in listener.heard))
        assert first_times == [b"%d" % number for number in range(100)]
        assert line.connections >= 2
        task.cancel()

    in_time(test())


def test_each_device_of_a_crowd_has_a_connection_and_hears_its_own_commands_alone(
    broker: Mosquitto,
) -> None:
    async def test() -> None:
        playing = publisher(Broker.at(broker.url), Crowd(each=True), speed=30)
        async with Ear(broker, "chargewatch/v1/+/+/+/reply") as ear:
            task = asyncio.create_task(playing.run(STARTS + timedelta(hours=1)))
            while playing.connected < len(PILES):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            order = {"id": "cut-1", "command": "switch_off", "channel": 1}
            async with aiomqtt.Client(broker.host, broker.port) as operator:
                topic = f"chargewatch/v1/{PILES[1]}/command"
                await operator.publish(topic, msgspec.json.encode(order), qos=1)
            await ear.hears(1)
            assert [topic for topic, _ in ear.heard] == [f"chargewatch/v1/{PILES[1]}/reply"]
            assert playing.connected == len(PILES)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    in_time(test())


def test_a_crowd_says_what_one_connection_would_say(broker: Mosquitto) -> None:
    until = STARTS + timedelta(minutes=20)
    expected = Counter((each.topic, each.payload) for each in player().play(until))

    async def test() -> None:
        for crowd in (Crowd(), Crowd(each=True)):
            async with Ear(broker, "chargewatch/#") as ear:
                playing = publisher(Broker.at(broker.url), crowd, speed=1e6)
                await playing.run(until)
                await ear.hears(expected.total())
                kept = 0 if crowd == Crowd() else len(PILES)  # births of the time before
                assert Counter(ear.heard[kept:]) == expected

    in_time(test())


def test_a_crowd_whose_process_dies_leaves_its_last_wills(broker: Mosquitto) -> None:
    async def test() -> None:
        playing = publisher(Broker.at(broker.url), Crowd(each=True))
        task = asyncio.create_task(playing.run(STARTS + timedelta(days=9)))
        while playing.connected < len(PILES):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        playing.cut()
        async with Ear(broker, "chargewatch/v1/+/+/+/status") as ear:
            heard = await ear.hears(len(PILES))
            assert b'"online":false' in b"".join(heard)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    in_time(test())


def test_devices_come_in_by_tls_each_with_its_own_login(tmp_path: Path) -> None:
    async def test(broker: Broker, logins: Path) -> None:
        crowd = Crowd(each=True, logins=read_logins(logins))
        await publisher(broker, crowd).run(STARTS + timedelta(minutes=5))

    with guarded_broker(tmp_path) as guarded:
        logins = tmp_path / "logins.csv"
        lines = [f"{each},{each},{guarded.add(each)}" for each in PILES]
        logins.write_text("\n".join(("id,username,password", *lines)), encoding="utf-8")
        guarded.mosquitto.stop()
        guarded.mosquitto.start()
        ours = Broker(host=HOST, port=guarded.outside, tls=True, ca_file=guarded.authority)
        in_time(test(ours, logins))

        async def refused() -> None:
            with pytest.raises(WireLost, match="NOT_AUTHORIZED"):
                await opened(
                    Line(Street.to(ours)),
                    *(HOST, guarded.outside, ours.context(), "somebody"),
                    login=Login(PILES[0], "a wrong password"),
                )

        in_time(refused())


def test_a_storm_comes_back_at_once_and_others_do_not() -> None:
    assert {Return.STORM.pause_s(failures) for failures in range(5)} == {1.0}
    pauses = {Return.JITTERED.pause_s(5) for _ in range(50)}
    assert len(pauses) == 50
    assert max(pauses) <= 5.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: no columns id, username, password"),
        ("name,secret\n", "line 1: no columns id, username, password"),
        ("id,username,password\na/b/c,a/b/c,\n", "line 2: no password"),
        ("id,username,password\na/b/c\n", "line 2: no username"),
        ("id,username,password\na,a,x\na,b,y\n", "line 3: 'a' is there twice"),
    ],
)
def test_a_file_of_logins_that_cannot_be_used_says_where(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "logins.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(LoginsUnreadable) as refused:
        read_logins(file)
    assert str(refused.value) == f"{file}, {complaint}"


def test_a_file_of_logins_gives_no_password_away(tmp_path: Path) -> None:
    file = tmp_path / "logins.csv"
    file.write_text('id,username,password\na/b/c,me,"p,w"\n', encoding="utf-8")
    logins = read_logins(file)
    assert logins == {"a/b/c": Login("me", "p,w")}
    assert "p,w" not in repr(logins)
