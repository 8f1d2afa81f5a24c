"""What happens to a device's messages between the device and the broker.

A link is a chain of steps. A step takes a message and passes on any number of them, each at
that moment or later; those that come later wait, and go on with the next step in their time.
So steps compose, in the order in which they stand, and none knows of the others. Each has a
chance of its own, so that one more changes nothing about the rest.

A skin (skins/) is no step: what leaves the link is dressed in another dialect at the very last.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import ClassVar, Protocol

import msgspec

from rules.readings import Kind
from simulator.emissions import Emission, stream
from simulator.skins.skin import Skin


class Memory:
    """What one step of one device keeps between messages."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.count = 0
        self.value: object = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a link does, in [since, until); outside it, messages pass."""

    since: datetime
    until: datetime | None = None
    holds: ClassVar[bool] = False
    """What it passes on waits for its end: if that comes sooner, so does what waits."""

    def pass_on(self, emission: Emission, memory: Memory) -> Iterable[Emission]:
        """Return what becomes of a message that comes in the step's time."""
        raise NotImplementedError

    def concerns(self, at: datetime) -> bool:
        return self.since <= at and (self.until is None or at < self.until)


class Speaker(Protocol):
    """Whoever says something: a device, or one behind a link."""

    @property
    def id(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def own_connection(self) -> bool: ...

    @property
    def skin(self) -> Skin | None: ...

    def next_at(self) -> datetime | None: ...

    def act(self) -> list[Emission]: ...

    def obey(self, payload: bytes, now: datetime) -> list[Emission]: ...

    def last_will(self, at: datetime) -> Emission: ...


class Linked:
    """A device behind a link. To whoever listens it is the device."""

    def __init__(self, device: Speaker, steps: Iterable[Step], seed: int) -> None:
        self._device, self._seed = device, seed
        self._steps = tuple(self._remembering(n, step) for n, step in enumerate(steps))
        self._waiting: list[tuple[datetime, int, int, Emission]] = []
        self._count = 0

    @property
    def id(self) -> str:
        return self._device.id

    @property
    def kind(self) -> Kind:
        return self._device.kind

    @property
    def own_connection(self) -> bool:
        return self._device.own_connection

    @property
    def skin(self) -> Skin | None:
        return self._device.skin

    def next_at(self) -> datetime | None:
        acts_at = self._device.next_at()
        if not self._waiting:
            return acts_at
        waits_until = self._waiting[0][0]
        return waits_until if acts_at is None else min(acts_at, waits_until)

    def act(self) -> list[Emission]:
        if self._waiting and self.next_at() == self._waiting[0][0]:
            _, _, number, emission = heapq.heappop(self._waiting)
            return list(self._passed(emission, number))
        return self._through(self._device.act())

    def obey(self, payload: bytes, now: datetime) -> list[Emission]:
        return self._through(self._device.obey(payload, now))

    def last_will(self, at: datetime) -> Emission:
        return self._device.last_will(at)

    def change(self, steps: Sequence[Step]) -> None:
        """Go on with other steps: the same, with other ends, and more behind them."""
        for number, (was, _) in enumerate(self._steps):
            step = steps[number]
            if step.holds and was.until is not None and step.until is not None:
                self._let_go(number + 1, step.until - was.until)
        known = [(step, memory) for step, (_, memory) in zip(steps, self._steps, strict=False)]
        more = [self._remembering(n, steps[n]) for n in range(len(known), len(steps))]
        self._steps = (*known, *more)

    def _let_go(self, behind: int, later: timedelta) -> None:
        """Let what waits before the step of this number go on at another time."""
        self._waiting = [
            (at + later, count, number, msgspec.structs.replace(said, at=at + later))
            if number == behind
            else (at, count, number, said)
            for at, count, number, said in self._waiting
        ]
        heapq.heapify(self._waiting)

    def _remembering(self, number: int, step: Step) -> tuple[Step, Memory]:
        purpose = f"link/{number}/{type(step).__name__}"
        return step, Memory(stream(self._seed, self.id, purpose))

    def _through(self, said: list[Emission]) -> list[Emission]:
        if not any(step.concerns(each.at) for each in said for step, _ in self._steps):
            return said
        return [passed for emission in said for passed in self._passed(emission, 0)]

    def _passed(self, emission: Emission, number: int) -> Iterator[Emission]:
        """Yield what comes out at once when a message enters at a step."""
        while number < len(self._steps):
            step, memory = self._steps[number]
            number += 1
            if emission.last_will or not step.concerns(emission.at):
                continue  # a last will is the broker's own word: no link is in its way
            for passed in step.pass_on(emission, memory):
                if passed.at > emission.at:
                    self._count += 1
                    waiting = (passed.at, self._count, number, passed)
                    heapq.heappush(self._waiting, waiting)
                else:
                    yield from self._passed(passed, number)
            return
        yield emission
