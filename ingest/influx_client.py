"""The way to an InfluxDB 1.8, 2 or 3: lines in, InfluxQL answers out, or a clear reason.

Requests block; so writing and reading have a thread each.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import TypeVar

from ingest.history import HistoryUnavailable
from ingest.influx_http import InfluxAddress, InfluxHttp
from ingest.influx_writing import Losses, Rejection, write
from ingest.influxql import Param, Series, bind, read_answer
from ingest.measurements import Kept
from ingest.own_thread import OwnThread

__all__ = ["InfluxAddress", "InfluxClient", "open_client"]

T = TypeVar("T")

LINES_MAX = 5_000
"""Lines in one request, as InfluxData recommend: some 1.5 MB, packed to a tenth."""

LINES_AT_A_STRETCH = 250
PAUSE_S = 0.0005
"""Making so many lines takes 1.5 ms of the interpreter's lock, which is what an alarm waits
for (docs/decisions/007); without a pause it would take 5 ms each time."""


@asynccontextmanager
async def open_client(
    address: InfluxAddress, losses: Losses | None = None
) -> AsyncIterator["InfluxClient"]:
    """Yield a client, whether or not the server is there now."""
    client = InfluxClient(address, losses)
    try:
        yield client
    finally:
        client.close()


class InfluxClient:
    """See the module."""

    def __init__(self, address: InfluxAddress, losses: Losses | None = None) -> None:
        self.address = address
        self.losses = losses or Losses()
        self._http = InfluxHttp(address)
        self._writer, self._reader = OwnThread("influx-writes"), OwnThread("influx-reads")

    async def write(self, kept: Kept, lines: Iterable[bytes]) -> None:
        """Write lines, and return when the server has confirmed them.

        A line that it refuses for good does not keep the others waiting for ever: it is
        logged, and counted in `losses`. Writing the same lines again changes nothing. `lines`
        is consumed in another thread; empty ones are left out. Raises HistoryUnavailable;
        some of the lines may be there then.
        """
        bucket = self.address.bucket(kept)

        def send(some: Sequence[bytes]) -> Rejection | None:
            return self._http.write(bucket, b"\n".join(some))

        def work() -> None:
            rest = _considerate(filter(None, lines))
            while some := list(islice(rest, LINES_MAX)):
                write(some, send, self.losses)

        await self._in(self._writer, work)

    async def query(
        self, statement: str, params: Mapping[str, Param] | None = None
    ) -> list[Series]:
        """Return the series that one or more statements answer, moments in nanoseconds.

        `$name` in a statement stands for a value of `params`. Raises HistoryUnavailable, and
        of it StatementRefused if it is the statement that is wrong.
        """
        return await self.read(statement, params or {}, _as_it_is)

    async def query_first(
        self, statement: str, params: Mapping[str, Param] | None = None
    ) -> list[Series]:
        """Do as `query` does, but wait for writes only, and for nobody who looks back."""
        bound = bind(statement, params or {})
        return await self._in(self._writer, lambda: read_answer(self._http.query(bound)))

    async def read(
        self, statement: str, params: Mapping[str, Param], made: Callable[[list[Series]], T]
    ) -> T:
        """Return what `made` makes of an answer, in the other thread: there may be much."""
        bound = bind(statement, params)
        return await self._in(self._reader, lambda: made(read_answer(self._http.query(bound))))

    def close(self) -> None:
        """Let go of everything, without waiting for a server that does not answer."""
        if not self._http.closed:
            self._http.close()
            self._writer.close()
            self._reader.close()

    async def _in(self, thread: OwnThread, work: Callable[[], T]) -> T:
        if self._http.closed:
            raise HistoryUnavailable("the way to InfluxDB is closed")
        return await thread.do(work)


def _considerate(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines, and let others have the interpreter's lock now and then."""
    for number, line in enumerate(lines, start=1):
        yield line
        if number % LINES_AT_A_STRETCH == 0:
            time.sleep(PAUSE_S)


def _as_it_is(answer: list[Series]) -> list[Series]:
    return answer
