"""Puts what all devices say into one order, and hands commands to those they are for."""

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime

from ingest.codecs.native import LEVELS, ROOT
from ingest.lines import recorded_line
from ingest.wire import Message
from simulator.emissions import Emission
from simulator.links import Speaker
from simulator.skins import addressed

COMMANDS = "/".join((*ROOT, "+", "+", "+", "command"))


class Player:
    """Owns the devices; virtual time is told, and never goes back."""

    def __init__(self, devices: Iterable[Speaker]) -> None:
        self._devices = {device.id: device for device in devices}
        self._due: list[tuple[datetime, str]] = []
        self._orders = 0
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
        return self.dressed(said)

    def play(self, until: datetime) -> Iterator[Emission]:
        """Yield all that is said up to and at `until`, in the order of virtual time."""
        while (due := self.next_at()) is not None and due <= until:
            yield from self.step()

    def last_wills(self, at: datetime, *, everybody: bool = False) -> dict[str, Emission]:
        """Return the last wills of the devices with a connection of their own, by device.

        Who speaks over a bridge has none; the bridge has one, with everybody.
        """
        own = (
            device
            for device in self._devices.values()
            if (everybody or device.own_connection) and not self.bridge_of(device.id)
        )
        wills = {device.id: self.dressed([device.last_will(at)]) for device in own}
        return {name: will for name, (will, *_) in wills.items()}

    def speaks(self, device: str) -> str:
        """Return over whose connection a device speaks: its own, or its bridge's."""
        return self.bridge_of(device) or device

    def bridge_of(self, device: str) -> str:
        """Return who speaks for a device; "": it speaks for itself."""
        skin = self._devices[device].skin
        return skin.bridge if skin is not None else ""

    def ears(self, device: str | None = None) -> tuple[str, ...]:
        """Return the topic filters of the orders to one device, or to all there are."""
        if device is not None:
            own = self._devices[device]
            if own.skin is not None:
                return own.skin.own_ears()
            bridged = {
                each
                for other in self._devices.values()
                if other.skin is not None and other.skin.bridge == device
                for each in other.skin.hears
            }
            return tuple(sorted(bridged)) or (COMMANDS.replace("+/+/+", device),)
        hears = {
            each for other in self._devices.values() if other.skin for each in other.skin.hears
        }
        return (COMMANDS, *sorted(hears))

    def dressed(self, said: Iterable[Emission]) -> list[Emission]:
        """Return what devices say in the dialects that they speak."""
        worn: list[Emission] = []
        for emission in said:
            speaker = self._devices.get(emission.device)
            if speaker is None or speaker.skin is None:
                worn.append(emission)
            else:
                worn += speaker.skin.worn(emission)
        return worn

    def obey(self, topic: str, payload: bytes, now: datetime) -> list[Emission]:
        """Take a command as it comes from the broker, whatever it is.

        What was due before `now` is done and said first. A topic that belongs to none of
        our devices is somebody else's: nobody answers.
        """
        said = list(self.play(now))
        foreign = addressed(topic)
        device = self._devices.get(_addressee(topic) if foreign is None else foreign)
        if device is None or (foreign is None) is not (device.skin is None):
            return said
        if device.skin is not None:
            self._orders += 1
            payload = device.skin.order(topic, payload, self._orders)
        said += self.dressed(device.obey(payload, now))
        self._await(device)
        return said

    def enter(self, device: Speaker) -> None:
        """Let one more take part."""
        self._devices[device.id] = device
        self._await(device)

    def turn(self, device: str) -> None:
        """Look anew at when a device acts next: it has been given something else to do."""
        self._await(self._devices[device])

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
