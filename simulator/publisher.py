"""The shell around the player: real connections to a real broker, in warped time.

Either every device has a connection of its own, with its own login and last will, as in the
field; or one connection speaks for all of them and hears their commands, which is quicker and
does where nobody looks at connections. A device that drops off has its own in any case.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from ingest.clock import Now
from simulator.emissions import Emission
from simulator.line import Broker, Line, Return, Street
from simulator.player import Player
from simulator.wire import KEEP_ALIVE_S, Login

__all__ = ["Broker", "Crowd", "Publisher"]

Deed = Callable[[datetime], list[Emission]]
"""Is done at a virtual moment; returns what is said because of it."""
BREATH = 200
"""Messages after which the sockets are looked at, however much there is to say."""


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """How the devices of a village come to the broker."""

    each: bool = False
    """Whether each has a connection of its own; otherwise those have that drop off."""
    logins: Mapping[str, Login] = {}
    """By device; whoever is not in it has the login of the broker's address."""
    returns: Return = Return.JITTERED
    keep_alive_s: int = KEEP_ALIVE_S


class Publisher:
    """Plays a village to a broker, each message when its virtual moment has come."""

    def __init__(
        self, player: Player, broker: Broker, now: Now, speed: float, crowd: Crowd | None = None
    ) -> None:
        self._player, self._now, self._speed = player, now, speed
        self._crowd = crowd or Crowd()
        self._street = Street.to(broker, self._crowd.returns, self._crowd.keep_alive_s)
        self._to_do: deque[Deed] = deque()
        self._commanded = asyncio.Event()
        wills = player.last_wills(now(), everybody=self._crowd.each)
        self._own = {device: self._line_of(device, will) for device, will in wills.items()}
        ears = () if self._crowd.each else player.ears()
        self._village = Line(self._street, commands=ears, hear=self._hear)
        self.said = 0
        """Messages handed to the connections so far."""

    @property
    def connected(self) -> int:
        """Return how many connections there are at this moment."""
        return sum(line.is_connected for line in self._lines)

    async def run(self, until: datetime) -> None:
        """Play to the virtual moment `until`, and return when all is acknowledged."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(line.run()) for line in self._lines]
            await self._play(until)
            await self.emptied()
            for task in running:
                task.cancel()

    async def emptied(self) -> None:
        """Return when the broker has all that was said so far."""
        for line in self._lines:
            await line.emptied()

    def cut(self) -> None:
        """Break every connection without a goodbye, as a lost carrier does."""
        for line in self._lines:
            line.cut()

    @property
    def _lines(self) -> tuple[Line, ...]:
        return (self._village, *self._own.values())

    def _line_of(self, device: str, will: Emission) -> Line:
        return Line(
            self._street,
            f"simulator-{device.replace('/', '-')}",
            login=self._crowd.logins.get(device),
            commands=self._player.ears(device) if self._crowd.each else (),
            hear=self._hear,
            will=will,
        )

    async def _play(self, until: datetime) -> None:
        said = 0
        while (due := self._player.next_at()) is not None and due <= until:
            if self._to_do:
                await self._send(self._to_do.popleft()(self._now()))
                continue
            wait_s = (due - self._now()).total_seconds() / self._speed
            if wait_s > 0:
                self._commanded.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._commanded.wait(), wait_s)
                continue
            await self._send(self._player.step())
            said += 1
            if said % BREATH == 0:
                await asyncio.sleep(0)

    def soon(self, deed: Deed) -> None:
        """Do something between two acts of the village, and say what follows of it."""
        self._to_do.append(deed)
        self._commanded.set()  # what is due next may become another

    def _hear(self, topic: str, payload: bytes) -> None:
        self.soon(lambda now: self._player.obey(topic, payload, now))

    async def _send(self, said: list[Emission]) -> None:
        for emission in said:
            self.said += 1
            line = self._own.get(self._player.speaks(emission.device), self._village)
            line.send(emission)
            if line.is_full:
                await line.emptied()
