"""Where others hand in what they want of the one task that owns the engine.

They touch neither the engine nor anything that it remembers: they leave an order. The next
batch begins with it, so that whatever it changes is in force for the whole batch; it is
answered when all that it caused is on the disk.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import structlog

from ingest.errors import ChargewatchError
from ingest.ledger.commit import Commit

T = TypeVar("T")

Order = Callable[[Commit], T]
"""Something to be done by the task that owns the engine; what it returns is the answer. It is
given the batch that begins with it, for whatever is to be written down."""

WAITING_MAX = 1_000
ANSWERS_WITHIN_S = 10.0
"""Longer than the slowest commit; the ledger's disk is full if it takes more."""

log = structlog.get_logger()


class DeskBusy(ChargewatchError):
    """An order was not taken, or not kept in time; then it may still be."""


class HandedIn(Generic[T]):
    """An order on its way through a batch, and who waits for its answer, if anybody does."""

    def __init__(self, order: Order[T], kept: "asyncio.Future[None] | None" = None) -> None:
        self._order, self._kept = order, kept
        self._answer: T
        self._error: Exception | None = None

    def carry_out(self, batch: Commit) -> None:
        """Do what is wanted. What the order raises goes to whoever gave it, and no further."""
        try:
            self._answer = self._order(batch)
        except Exception as error:  # noqa: BLE001  (it must not stop what everybody waits for)
            self._error = error

    def answer(self) -> None:
        """Say that it is on the disk; or in the log that it failed, if nobody waits for it."""
        if self._kept is not None and not self._kept.done():
            self._kept.set_result(None)
        elif self._error is not None:
            log.error("order.failed", exc_info=self._error)

    def outcome(self) -> T:
        """Return what the order has returned, or raise what it has raised."""
        if self._error is not None:
            raise self._error
        return self._answer


class Desk:
    """A tray for orders. Everything here happens on the loop that runs the engine."""

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        """`wake` says that there is something to take."""
        self._wake = wake
        self._tray: deque[HandedIn[Any]] = deque()
        self._unanswered: set[asyncio.Future[None]] = set()

    @property
    def waits(self) -> bool:
        """Say whether anything waits to be taken."""
        return bool(self._tray)

    def hand_in(self, order: Order[object]) -> None:
        """Leave an order of which no answer is wanted."""
        self._put(HandedIn(order))

    async def ask(self, order: Order[T]) -> T:
        """Leave an order; return its answer when all that it caused is on the disk.

        Raises what the order raises; DeskBusy if there are too many, or if it takes too long.
        """
        if len(self._tray) >= WAITING_MAX:
            raise DeskBusy("this was not taken up: too many orders are waiting")
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        handed_in = HandedIn(order, kept)
        self._put(handed_in)
        self._unanswered.add(kept)
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await kept
        except TimeoutError as error:
            raise DeskBusy(
                f"this is not on the disk after {ANSWERS_WITHIN_S:g} s, and may still be done"
            ) from error
        finally:
            self._unanswered.discard(kept)
        return handed_in.outcome()

    def take(self) -> list[HandedIn[Any]]:
        """Return all that waits, oldest first: to be carried out, kept and answered."""
        taken = list(self._tray)
        self._tray.clear()
        return taken

    def close(self) -> None:
        """Drop what waits, and cancel whoever waits for an answer: there will be none."""
        self._tray.clear()
        for kept in self._unanswered:
            kept.cancel()

    def _put(self, handed_in: HandedIn[Any]) -> None:
        self._tray.append(handed_in)
        self._wake()
