"""Where people, and whoever sends commands, hand in what the data path is to take up.

One task owns the engine and all that it remembers. Others do not touch it: they leave a
request here, and have their answer when all it caused is on the disk.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime

import msgspec

from ingest.errors import ChargewatchError
from rules.cutting import Command
from rules.latch import Latch
from rules.readings import DeviceId

WAITING_MAX = 1_000
ANSWERS_WITHIN_S = 10.0
"""Longer than the slowest commit; the ledger's disk is full if it takes more."""


class DeskBusy(ChargewatchError):
    """A request could not be taken up in time. It may still be."""


class CutWanted(msgspec.Struct, frozen=True):
    """Somebody wants a socket switched off and latched. The answer: its command."""

    device: DeviceId
    channel: int | None
    who: str
    reason: str


class ClearWanted(msgspec.Struct, frozen=True):
    """Somebody clears a latch. The answer: the latch, or None if it is in force no more."""

    latch: str
    device: DeviceId
    channel: int | None
    who: str
    reason: str


class WasSent(msgspec.Struct, frozen=True):
    """The broker has taken a command."""

    command: str
    at: datetime


class CannotBeSent(msgspec.Struct, frozen=True):
    """There is no way to say a command to its device."""

    command: str
    detail: str


Request = CutWanted | ClearWanted | WasSent | CannotBeSent
Answer = Command | Latch | None


class Desk:
    """A tray for requests. Everything here happens on the loop that runs the engine."""

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self._wake = wake
        self._waiting: deque[tuple[Request, asyncio.Future[Answer] | None]] = deque()

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def hand_in(self, request: Request) -> None:
        """Leave a request of which no answer is wanted."""
        self._waiting.append((request, None))
        self._wake()

    async def ask(self, request: Request) -> Answer:
        """Leave a request, and return the answer when it is on the disk."""
        if len(self._waiting) >= WAITING_MAX:
            raise DeskBusy("too many requests are waiting")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        self._wake()
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                return await answer
        except TimeoutError as error:
            raise DeskBusy(f"not on the disk within {ANSWERS_WITHIN_S:g} s") from error

    def take(self) -> list[tuple[Request, asyncio.Future[Answer] | None]]:
        """Return all that waits, oldest first."""
        taken = list(self._waiting)
        self._waiting.clear()
        return taken
