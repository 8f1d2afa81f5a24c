import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rules.readings import Reading
from tests.http_doubles import PILE, Client, World, world


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def client(here: World, runner: asyncio.Runner) -> Client:
    return Client(here.app, runner)


@pytest.fixture
def overloaded(here: World, runner: asyncio.Runner) -> World:
    """Return the world with one alert: socket 3 of the pile has drawn 1203 W for 31 s."""
    runner.run(
        here.hear(PILE, Reading(channel=3, power_w=1203.0), Reading(channel=1, power_w=0))
    )
    runner.run(here.wait(timedelta(seconds=31)))
    return here
