"""How many connections an address may hold, and how long a request may take to arrive."""

import asyncio
from collections.abc import Iterator
from typing import Any

import async_solipsism
import pytest
import uvicorn
from uvicorn.server import ServerState

from api.http.patience import CONNECTIONS_MAX_EACH, HEAD_WITHIN_S, WHOLE_WITHIN_S, Patient

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"


class Line(asyncio.Transport):
    """A connection from somewhere, on which nothing is sent."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 50_000), "sockname": ("10.0.0.1", 80)})
        self.over = False

    def write(self, data: Any) -> None:
        """Nobody reads it."""

    def is_closing(self) -> bool:
        return self.over

    def abort(self) -> None:
        self.over = True

    close = abort


async def answers(_scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        """Read to the end."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


class Door:
    """Where connections come in."""

    def __init__(self, *, behind_proxy: bool = False) -> None:
        self._config = uvicorn.Config(
            answers, log_config=None, proxy_headers=behind_proxy, lifespan="off"
        )
        self._state = ServerState()

    def called_from(self, address: str) -> tuple[Line, Patient]:
        line = Line(address)
        loop = asyncio.get_running_loop()
        patient = Patient(self._config, self._state, {}, loop)
        patient.connection_made(line)
        return line, patient


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=async_solipsism.EventLoop) as made:
        yield made


def test_an_address_holds_so_many_connections_and_others_are_none_the_worse(
    runner: asyncio.Runner,
) -> None:
    async def many() -> None:
        door = Door()
        lines = [door.called_from("198.51.100.7")[0] for _ in range(CONNECTIONS_MAX_EACH)]
        assert not any(line.over for line in lines)
        assert door.called_from("198.51.100.7")[0].over
        assert not door.called_from("198.51.100.8")[0].over

    runner.run(many())


def test_of_ipv6_a_subscriber_s_network_is_one_address(runner: asyncio.Runner) -> None:
    async def many() -> None:
        door = Door()
        for number in range(CONNECTIONS_MAX_EACH):
            door.called_from(f"2001:db8::{number:x}")
        assert door.called_from("2001:db8::ffff")[0].over
        assert not door.called_from("2001:db8:0:1::1")[0].over

    runner.run(many())


@pytest.mark.parametrize(
    ("address", "behind_proxy"), [("127.0.0.1", False), ("10.0.0.9", True)]
)
def test_this_machine_and_a_proxy_speak_for_many(
    runner: asyncio.Runner, address: str, *, behind_proxy: bool
) -> None:
    async def many() -> None:
        door = Door(behind_proxy=behind_proxy)
        lines = [door.called_from(address)[0] for _ in range(CONNECTIONS_MAX_EACH + 5)]
        assert not any(line.over for line in lines)

    runner.run(many())


def test_a_head_has_its_time_however_often_another_letter_comes(runner: asyncio.Runner) -> None:
    async def slow() -> None:
        line, patient = Door().called_from("198.51.100.7")
        for letter in HEAD[: int(HEAD_WITHIN_S)]:
            assert not line.over
            patient.data_received(bytes([letter]))
            await asyncio.sleep(1)
        await asyncio.sleep(0.1)
        assert line.over

    runner.run(slow())


def test_a_body_has_more_time_and_no_more_than_that(runner: asyncio.Runner) -> None:
    async def slow() -> None:
        line, patient = Door().called_from("198.51.100.7")
        patient.data_received(HEAD)
        await asyncio.sleep(HEAD_WITHIN_S + 5)
        patient.data_received(b"ab")
        assert not line.over
        await asyncio.sleep(WHOLE_WITHIN_S)
        assert line.over

    runner.run(slow())


def test_a_request_that_is_whole_is_never_hung_up_on(runner: asyncio.Runner) -> None:
    async def prompt() -> None:
        line, patient = Door().called_from("198.51.100.7")
        patient.timeout_keep_alive = 10_000
        patient.data_received(HEAD + b"abcd")
        await asyncio.sleep(WHOLE_WITHIN_S * 2)
        assert not line.over

    runner.run(prompt())
