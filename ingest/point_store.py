"""InfluxDB as those see it who write facts, samples and rollups there."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from ingest.history import HistoryUnavailable
from ingest.influxql import Param, Series
from ingest.measurements import Kept

T = TypeVar("T")


class PointStore(Protocol):
    """What ingest/influx_client.py does. Every method raises HistoryUnavailable."""

    async def write(self, kept: Kept, lines: Iterable[bytes]) -> None:
        """Return when they are there; `lines` may be consumed in another thread."""
        ...

    async def read(
        self, statement: str, params: Mapping[str, Param], made: Callable[[list[Series]], T]
    ) -> T:
        """Return what `made` makes of the answer, in another thread."""
        ...


async def asked(
    store: PointStore,
    statement: str,
    params: Mapping[str, Param],
    made: Callable[[list[Series]], T],
) -> T:
    """Return what `made` makes of an answer; one that it cannot read is InfluxDB's trouble.

    Alarms must not end because a database, or what somebody wrote into it, is odd.
    """

    def guarded(answer: list[Series]) -> T:
        try:
            return made(answer)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise HistoryUnavailable(f"an answer that makes no sense: {error!r}") from error

    return await store.read(statement, params, guarded)
