"""The ledger, for those who cannot go on before it has been read or written."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import sqlalchemy as sa
import structlog

from ingest.ledger.store import Ledger, LedgerUnavailable

LEDGER_RETRY_S = 1.0

log = structlog.get_logger()

T = TypeVar("T")


class Books:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def note(self, change: Callable[[sa.Connection], T]) -> T:
        """Write something down, however long that takes.

        To go on without would be to tell the same again, every second that the disk is full.
        """
        return await _in_the_end(lambda: self._ledger.write(change))

    async def asked(self, question: Callable[[sa.Connection], T]) -> T:
        return await _in_the_end(lambda: self._ledger.read(question))


async def _in_the_end(work: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await work()
        except LedgerUnavailable as error:
            log.warning("outbox.unavailable", reason=str(error))
            await asyncio.sleep(LEDGER_RETRY_S)
