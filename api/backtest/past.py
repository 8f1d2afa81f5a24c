"""Makes messages again of what the history keeps of them: their readings.

What it does not keep is lost: the topic and the words, whether a message was retained, and
what a wrong clock showed. So `clock_wrong` and refusals cannot be tried on a history.
"""

from collections.abc import Iterable, Iterator

from ingest.history import Row
from ingest.timing import timed
from ingest.wire import Said
from rules.engine import Engine
from rules.readings import Reading, Report, Standing


def messages_of(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Put the readings together that came in one message."""
    message: list[Row] = []
    for row in rows:
        if message and not _continues(message, row):
            yield message
            message = []
        message.append(row)
    if message:
        yield message


def report_of(message: list[Row], engine: Engine) -> Report:
    """Return the report that these readings were; `engine` knows what came before."""
    first = message[0]
    readings = tuple(row.reading for row in message)
    kept_at = None if first.at == first.received_at else first.at
    before = engine.device(first.device)
    at, clock, standing = timed(
        Said(readings, kept_at), first.received_at, before, retained=_is_presence(readings)
    )
    return Report(
        device=first.device,
        at=at,
        received_at=first.received_at,
        identity="",
        readings=readings,
        standing=standing,
        clock=clock,
        claimed_at=None if standing is Standing.RETAINED else kept_at,
    )


def _continues(message: list[Row], row: Row) -> bool:
    first = message[0]
    return (row.device, row.at, row.received_at) == (
        first.device,
        first.at,
        first.received_at,
    ) and all(row.reading.channel != known.reading.channel for known in message)


def _is_presence(readings: tuple[Reading, ...]) -> bool:
    """Say whether it is a birth or a last will, which may have been kept by the broker."""
    return readings == (Reading(online=readings[0].online),)
