"""Carries what was committed from the journal to the history, for as long as the service runs.

The history may be away for days: its entries wait in the journal, and nothing else waits
for them. An entry leaves the journal only once the history itself says that it has it.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from ingest.clock import Now
from ingest.history import History, HistoryUnavailable
from ingest.journal import Entry
from ingest.repeating import Jitter, repeated

ENTRIES_MAX = 200
"""Entries carried at a time: at 10,000 messages a second some 4 s, or 100,000 readings."""

LOOK_AGAIN = timedelta(minutes=1)
"""The longest sleep without being woken."""

FORGET_EVERY = timedelta(days=1)


class JournalReader(Protocol):
    """What the ledger offers to those who read its journal."""

    async def entries_after(self, number: int, limit: int) -> Sequence[Entry]:
        """Return up to `limit` entries that follow entry `number`, in order."""
        ...

    async def last_entry(self) -> int:
        """Return the number of the newest entry, 0 for none."""
        ...

    async def prune(self, up_to: int) -> None:
        """Drop entries up to number `up_to`, but for those the ledger itself still needs."""
        ...


class HistoryHealth(msgspec.Struct, frozen=True):
    """How the history is doing: well, or not, and why, since when."""

    ok: bool
    since: datetime
    """When it became well or unwell."""
    reason: str = ""
    behind: int | None = None
    """How many journal entries it lacks; None until it first said where it stands."""


def _nobody(_: HistoryHealth) -> None:
    """Be told, and do nothing."""


async def feed(  # noqa: PLR0913  (the wiring names each of them)
    journal: JournalReader,
    history: History,
    wake: asyncio.Event,
    *,
    now: Now,
    keep: timedelta | None = None,
    tell: Callable[[HistoryHealth], None] = _nobody,
    jitter: Jitter = random.random,
) -> None:
    """Feed the history until cancelled; whoever commits an entry sets `wake`.

    Readings older than `keep` are deleted once a day (None: never). `tell` is called
    whenever the health changes. A history that is away is tried again after pauses that grow
    (ingest/repeating.py). Only errors of the journal get out.
    """
    carrier = _Carrier(journal, history, now, keep, tell)

    async def turn() -> bool:
        try:
            await carrier.catch_up()
            await carrier.forget()
            carrier.well()
        except HistoryUnavailable as error:
            await carrier.unwell(str(error))
            return False
        return True

    await repeated(turn, wake, look_again=LOOK_AGAIN, jitter=jitter)


class _Carrier:
    """Knows how far the history is, and what was last told of it."""

    def __init__(
        self,
        journal: JournalReader,
        history: History,
        now: Now,
        keep: timedelta | None,
        tell: Callable[[HistoryHealth], None],
    ) -> None:
        self._journal = journal
        self._history = history
        self._now = now
        self._keep = keep
        self._tell = tell
        self._cursor: int | None = None
        self._behind: int | None = None
        self._forget_at = now()
        self._health: HistoryHealth | None = None

    async def catch_up(self) -> None:
        """Carry entries until few are left; what comes meanwhile waits for the next time."""
        cursor = await self._history.cursor()
        await self._at(cursor)
        carried = ENTRIES_MAX
        while carried == ENTRIES_MAX:
            entries = await self._journal.entries_after(cursor, ENTRIES_MAX)
            if entries:
                cursor = await self._carry(entries)
            carried = len(entries)

    async def forget(self) -> None:
        """Delete what is too old, once a day."""
        if self._keep is not None and self._now() >= self._forget_at:
            await self._history.forget(self._now() - self._keep)
            self._forget_at = self._now() + FORGET_EVERY

    def well(self) -> None:
        """Tell that the history took what it was given: answering alone is no proof."""
        self._show(ok=True, reason="")

    async def unwell(self, reason: str) -> None:
        if self._cursor is not None:
            self._behind = max(0, await self._journal.last_entry() - self._cursor)
        self._show(ok=False, reason=reason)

    async def _carry(self, entries: Sequence[Entry]) -> int:
        await self._history.append(entries)
        cursor = await self._history.cursor()
        if cursor < entries[-1].id:
            raise HistoryUnavailable(f"it took entry {entries[-1].id} and is at {cursor}")
        await self._at(cursor)
        self.well()
        return cursor

    async def _at(self, cursor: int) -> None:
        """Note that the history has everything up to `cursor`, and let the journal go."""
        newest = await self._journal.last_entry()
        if cursor > newest:  # what is committed from now on would be taken for old
            raise HistoryUnavailable(
                f"it is at entry {cursor} and the ledger only at {newest}: "
                "one of the two was put back or replaced"
            )
        if cursor != self._cursor:
            await self._journal.prune(cursor)
            self._cursor = cursor
        self._behind = newest - cursor

    def _show(self, *, ok: bool, reason: str) -> None:
        known = self._health
        since = known.since if known is not None and known.ok is ok else self._now()
        health = HistoryHealth(ok=ok, since=since, reason=reason, behind=self._behind)
        if health != known:
            self._health = health
            self._tell(health)
