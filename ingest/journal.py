"""The journal: what was committed, batch by batch, waiting for the history to take it.

One entry is one batch, packed: at 10,000 messages a second a row per message would cost
more than everything else together. Entries are numbered by the ledger, without gaps that
matter; the history remembers the number up to which it has read.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from rules.readings import Report


class Entry(msgspec.Struct, frozen=True):
    """One committed batch: when it was judged, and everything that was understood in it."""

    id: int
    committed_at: datetime
    reports: tuple[Report, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Report, ...])


def packed(reports: Iterable[Report]) -> bytes:
    return _encoder.encode(tuple(reports))


def unpacked(blob: bytes) -> tuple[Report, ...]:
    return _decoder.decode(blob)
