"""What the broker throws away, by its own count: Mosquitto tells it on a topic of its own.

It has a session of its own, for what goes wrong here must not touch the messages of devices.
Where the broker does not tell us (another make, or its ACL), nothing is known: not zero.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from ingest.clock import Now
from ingest.mqtt import Link

DROPPED = "$SYS/broker/publish/messages/dropped"
RECENT = timedelta(minutes=10)
TAKEN_MAX = 100


class DropCount:
    """A counter that only rises, until the broker starts anew, and what it rose by of late."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._rises: deque[tuple[datetime, int]] = deque()

    def take(self, payload: bytes, now: datetime) -> None:
        """Note what the broker says; what is no number says nothing."""
        try:
            count = int(payload)
        except ValueError:
            return
        if self._last is not None and count > self._last:
            self._rises.append((now, count - self._last))
        self._last = count

    def recent(self, now: datetime) -> int | None:
        """Return how many were dropped in the last ten minutes; None: nobody knows."""
        while self._rises and now - self._rises[0][0] > RECENT:
            self._rises.popleft()
        return None if self._last is None else sum(count for _, count in self._rises)


class BrokerDrops:
    """Listens to the broker's own count, for as long as the service runs."""

    def __init__(self, link_of: Callable[[Callable[[], None]], Link], now: Now) -> None:
        """`link_of` makes the link, given what it is to call when something has arrived."""
        self._arrived = asyncio.Event()
        self._link = link_of(self._arrived.set)
        self._count, self._now = DropCount(), now

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run(), name=self._link.client_id)
            tasks.create_task(self._listen(), name="count drops")

    def recent(self) -> int | None:
        """Return how many messages the broker dropped of late; None: nobody knows."""
        return self._count.recent(self._now()) if self._link.connected else None

    async def _listen(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while taken := self._link.take(TAKEN_MAX):
                for each in taken:
                    self._count.take(each.message.payload, each.message.received_at)
                self._link.acknowledge(taken)
