"""The history: every reading for as long as the site wants it, to look back and to draw.

It is fed from the journal behind the ledger's back: it may be down for days, and then
catches up by itself. A port with one contract test for all its adapters.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, get_args, get_type_hints

import msgspec

from ingest.errors import ChargewatchError
from ingest.journal import Entry
from rules.readings import QUANTITIES, DeviceId, Reading

_HINTS = get_type_hints(Reading)
QUANTITY_TYPES: dict[str, type] = {name: get_args(_HINTS[name])[0] for name in QUANTITIES}
"""float, bool or str: what every adapter derives its columns or fields from."""


class HistoryUnavailable(ChargewatchError):
    """The history cannot be written or read now. The journal keeps everything until it can."""


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reading as the history knows it."""

    device: DeviceId
    at: datetime
    received_at: datetime
    reading: Reading


class Aggregate(StrEnum):
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    LAST = "last"


class Bin(msgspec.Struct, frozen=True):
    """An aggregate over [at, at + step); only bins that hold a value are returned."""

    at: datetime
    value: float


def check_aggregate(quantity: str, step: timedelta) -> None:
    """Raise ValueError for a question that no history can answer."""
    if QUANTITY_TYPES.get(quantity) is not float:
        raise ValueError(f"{quantity!r} is no numeric quantity")
    if step <= timedelta(0):
        raise ValueError(f"a step of {step} leads nowhere")


class History(Protocol):
    """Everything is UTC; ranges are half-open, [since, until).

    Readings of the same moment are in the order in which they were committed. Every method
    but `close` raises HistoryUnavailable when it cannot do its work now; the next call tries
    again by itself.
    """

    async def cursor(self) -> int:
        """Return the number of the last journal entry that is in the history, 0 for none."""
        ...

    async def append(self, entries: Sequence[Entry]) -> None:
        """Add entries and move the cursor, both or neither.

        Entries up to the cursor change nothing, so overlapping appends are harmless.
        """
        ...

    async def range(
        self,
        device: DeviceId,
        channel: int | None,
        since: datetime,
        until: datetime,
        limit: int,
    ) -> list[Row]:
        """Return the first `limit` readings of one socket, or, None, of the whole device."""
        ...

    async def latest(self, device: DeviceId) -> list[Row]:
        """Return the last reading of the whole device and of each socket, in this order."""
        ...

    async def aggregate(  # noqa: PLR0913  (a question has this many parts)
        self,
        device: DeviceId,
        channel: int | None,
        *,
        quantity: str,
        how: Aggregate,
        since: datetime,
        until: datetime,
        step: timedelta,
    ) -> list[Bin]:
        """Return one number per step, as the whole steps since 1970 fall in the range.

        Raises ValueError unless `quantity` is one of QUANTITIES and numeric.
        """
        ...

    def replay(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[Row]]:
        """Yield all readings that arrived in that time, in the order of their arrival.

        They come in parts of some 10,000, those of one moment in one part, so that a year
        needs no more memory than a day. What is added or forgotten meanwhile may be missing.
        """
        ...

    async def count(self) -> int:
        """Return how many readings are kept."""
        ...

    async def forget(self, before: datetime) -> int:
        """Delete readings from before that moment; return how many there were."""
        ...

    async def close(self) -> None:
        """Let go of everything. Closing again does nothing; nothing else is possible."""
        ...
