"""Puts what all devices say into one order, and hands commands to those they are for."""

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime

from ingest.codecs.native import LEVELS, ROOT
from ingest.lines import recorded_line
from ingest.wire import Message
from simulator.emissions import Emission
from simulator.links import Speaker


class Player:
    """Owns the devices; virtual time is told, and never goes back."""

    def __init__(self, devices: Iterable[Speaker]) -> None:
        self._devices = {device.id: device for device in devices}
        self._due: list[tuple[datetime, str]] = []
        for device in self._devices.values():
            self._await(device)

    def next_at(self) -> datetime | None:
        """Return the moment at which the next device acts; None: nobody ever will."""
        while self._due and self._devices[self._due[0][1]].next_at() != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def step(self) -> list[Emission]:
        """Let the next device act; return what it says, often nothing."""
        if self.next_at() is None:
            return []
        device = self._devices[heapq.heappop(self._due)[1]]
        said = device.act()
        self._await(device)
        return said

    def play(self, until: datetime) -> Iterator[Emission]:
        """Yield all that is said up to and at `until`, in the order of virtual time."""
        while (due := self.next_at()) is not None and due <= until:
            yield from self.step()

    def last_wills(self, at: datetime, *, everybody: bool = False) -> dict[str, Emission]:
        """Return the last wills of the devices with a connection of their own, by device."""
        all_there_are = self._devices.values()
        own = (device for device in all_there_are if everybody or device.own_connection)
        return {device.id: device.last_will(at) for device in own}

    def obey(self, topic: str, payload: bytes, now: datetime) -> list[Emission]:
        """Take a command as it comes from the broker, whatever it is.

        What was due before `now` is done and said first. A topic that belongs to none of
        our devices is somebody else's: nobody answers.
        """
        said = list(self.play(now))
        device = self._devices.get(_addressee(topic))
        if device is not None:
            said += device.obey(payload, now)
            self._await(device)
        return said

    def _await(self, device: Speaker) -> None:
        at = device.next_at()
        if at is not None:
            heapq.heappush(self._due, (at, device.id))


def recorded(emission: Emission) -> bytes:
    """Return one line of a recording, as one who listens all the time would write it."""
    message = Message(emission.topic, emission.payload, emission.at)
    return recorded_line(message, retain=emission.retain)


def _addressee(topic: str) -> str:
    levels = topic.split("/")
    mine = len(levels) == LEVELS and (*levels[:2], levels[-1]) == (*ROOT, "command")
    return "/".join(levels[2:-1]) if mine else ""
