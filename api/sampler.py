"""Writes what the service sees to InfluxDB, at its times; what cannot be written is dropped.

A sample is worth nothing later: the next one comes. So no more than a few wait for an InfluxDB
that is slow, and those that it does not take are counted (`chargewatch_samples_dropped_total`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from api.sampling import Counts, Scene, Shape, service_line
from ingest.clock import Now
from ingest.history import HistoryUnavailable
from ingest.measurements import Kept
from ingest.moments import EPOCH
from ingest.point_store import PointStore

SERVICE_EVERY = timedelta(seconds=15)
SITES_EVERY, DEVICES_EVERY = timedelta(minutes=1), timedelta(minutes=5)
"""Multiples of the first."""

WAITING_MAX = 4
"""Samples that wait for the one that is being written."""

AT_ONCE = 50
"""Points made before whoever else has something to do has his turn: 2 ms."""


class Sampler:
    """Takes samples and hands them on; owns neither what it looks at nor where they go."""

    def __init__(  # noqa: PLR0913  (the wiring names each of them)
        self,
        store: PointStore,
        *,
        scene: Callable[[datetime], Scene],
        counts: Callable[[datetime], Counts],
        shape: Callable[[datetime], Awaitable[Shape]],
        dropped: Callable[[int], None],
        now: Now,
        speed: float,
    ) -> None:
        """`speed` is how fast `now` runs; `dropped` is told how many points were lost."""
        self._store, self._scene = store, scene
        self._counts, self._shape, self._dropped = counts, shape, dropped
        self._now, self._speed = now, speed
        self._waiting: asyncio.Queue[list[bytes]] = asyncio.Queue(WAITING_MAX)
        self._counted = counts(now())

    async def run(self) -> None:
        """Sample until cancelled; everything at once, so that no page is empty for long."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write(), name="write samples")
            self._hand_in(await self._sampled(sites=True, devices=True))
            while True:
                due = _next(self._now())
                wait_s = (due - self._now()).total_seconds() / self._speed
                await asyncio.sleep(max(wait_s, 0.0))
                sites = not (due - EPOCH) % SITES_EVERY
                devices = not (due - EPOCH) % DEVICES_EVERY
                self._hand_in(await self._sampled(sites=sites, devices=devices))

    async def _sampled(self, *, sites: bool, devices: bool) -> list[bytes]:
        """Return a point of the service, and those of sites and devices if they are due."""
        now = self._now()
        scene = self._scene(now)
        lines: list[bytes] = []
        if sites:
            lines += await _gathered(scene.sites())
        if devices:
            lines += await _gathered(scene.devices())
        before, self._counted = self._counted, self._counts(now)
        lines.append(service_line(before, self._counted, await self._shape(now)))
        return lines

    def _hand_in(self, lines: list[bytes]) -> None:
        try:
            self._waiting.put_nowait(lines)
        except asyncio.QueueFull:
            self._dropped(len(lines))

    async def _write(self) -> None:
        while True:
            lines = await self._waiting.get()
            try:
                await self._store.write(Kept.LONG, lines)
            except HistoryUnavailable:
                self._dropped(len(lines))


def _next(now: datetime) -> datetime:
    """Return the next moment at which something is sampled: full quarters of a minute."""
    return now + SERVICE_EVERY - (now - EPOCH) % SERVICE_EVERY


async def _gathered(lines: Iterable[bytes]) -> list[bytes]:
    """Return all lines; alarms do not wait for them."""
    found: list[bytes] = []
    for line in lines:
        found.append(line)
        if not len(found) % AT_ONCE:
            await asyncio.sleep(0)
    return found
