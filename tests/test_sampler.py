"""Samples come at their times; what cannot be written is dropped, counted, and gone."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.sampler import WAITING_MAX, Sampler
from api.sampling import Counts, Scene, Shape
from ingest.following import followed
from ingest.history import HistoryUnavailable
from ingest.history_writer import HistoryHealth
from ingest.measurements import Kept
from rules.schedule import Calendar
from tests.point_stores import MemoryPoints
from tests.test_engine import World
from tests.test_history_writer import START, in_virtual_time, now

MINUTE = timedelta(minutes=1)


class SlowPoints(MemoryPoints):
    """Takes its time for each write."""

    pause_s = 0.0

    async def write(self, kept: Kept, lines: Iterable[bytes]) -> None:
        await asyncio.sleep(self.pause_s)
        await super().write(kept, lines)

    def counts(self) -> dict[str, int]:
        return dict(Counter(name for name, _, _ in self.points))


class Sampled:
    """A sampler on a world of two devices, for as long as a test asks."""

    def __init__(self, speed: float = 1.0) -> None:
        self.store = SlowPoints()
        self.dropped = 0
        self._speed = speed
        self._world = World()

    def now(self) -> datetime:
        return START + (now() - START) * self._speed

    async def for_(self, how_long: timedelta) -> None:
        async def shape(_: datetime) -> Shape:
            return Shape()

        def drop(points: int) -> None:
            self.dropped += points

        sampler = Sampler(
            self.store,
            scene=lambda at: Scene(self._world.registry, self._world.engine, Calendar(), at),
            counts=lambda at: Counts(at=at),
            shape=shape,
            dropped=drop,
            now=self.now,
            speed=self._speed,
        )
        task = asyncio.create_task(sampler.run())
        await asyncio.sleep((how_long.total_seconds() + 1) / self._speed)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def play(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    in_virtual_time(test())


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_each_kind_is_sampled_at_its_time(speed: float) -> None:
    async def test() -> None:
        sampled = Sampled(speed)
        await sampled.for_(10 * MINUTE)
        assert sampled.store.counts() == {"service_now": 41, "site_now": 11, "device_now": 6}
        assert sampled.dropped == 0

    play(test)


def test_while_influxdb_is_away_samples_are_dropped_and_counted() -> None:
    async def test() -> None:
        sampled = Sampled()
        sampled.store.down = "connection refused"
        await sampled.for_(5 * MINUTE)
        assert sampled.store.counts() == {}
        assert sampled.dropped == 21 + 6 + 4
        sampled.store.down = ""
        await sampled.for_(MINUTE)
        assert sampled.store.counts()["site_now"] == 2

    play(test)


def test_an_influxdb_that_does_not_keep_up_has_few_samples_waiting() -> None:
    async def test() -> None:
        sampled = Sampled()
        sampled.store.pause_s = 3600
        await sampled.for_(30 * MINUTE)
        assert sampled.store.counts() == {}
        every = 121 + 31 + 14
        in_hand = every - sampled.dropped
        assert 0 < in_hand <= (1 + WAITING_MAX) * 4

    play(test)


# --- following ----------------------------------------------------------------------------


def test_work_is_done_when_woken_and_else_after_a_while() -> None:
    async def test() -> None:
        done, wake = list[float](), asyncio.Event()

        async def work() -> None:
            done.append((now() - START).total_seconds())

        task = asyncio.create_task(
            followed(work, wake, look_again=MINUTE, now=now, tell=lambda _: None)
        )
        await asyncio.sleep(100)
        wake.set()
        await asyncio.sleep(50)
        task.cancel()
        assert done == [0, 60, 101]

    play(test)


def test_work_that_cannot_be_done_is_tried_again_and_says_why_once() -> None:
    async def test() -> None:
        told, tries = list[HistoryHealth](), list[float]()
        reasons = ["refused", "refused", "timeout", "", ""]

        async def work() -> None:
            tries.append((now() - START).total_seconds())
            if reason := reasons.pop(0):
                raise HistoryUnavailable(reason)

        task = asyncio.create_task(
            followed(
                work,
                asyncio.Event(),
                look_again=MINUTE,
                now=now,
                tell=told.append,
                jitter=lambda: 0.0,
            )
        )
        await asyncio.sleep(70)
        task.cancel()
        assert tries == [0, 1, 3, 7, 67]
        assert [(health.ok, health.reason) for health in told] == [
            (False, "refused"),
            (False, "timeout"),
            (True, ""),
        ]
        assert told[1].since == START  # it has been away since then
        assert told[2].since == START + timedelta(seconds=7)

    play(test)
