"""The history in one DuckDB file beside the ledger: nothing to install, nothing to run.

One wide table (ingest/duckdb_table.py) holds a row per reading and a column per quantity.
DuckDB blocks, so it works in two threads of its own: one writes, one reads. Only the first
opens and closes the file. After any error it closes it, and the next call opens it again:
whatever was wrong with it (locked, unwritable, no space) may be over by then.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from ingest import duckdb_table as table
from ingest.history import Aggregate, Bin, HistoryUnavailable, Row, check_aggregate
from ingest.journal import Entry
from ingest.moments import MICROSECOND, to_us
from rules.readings import DeviceId, Reading

T = TypeVar("T")
Connection = duckdb.DuckDBPyConnection
Work = Callable[[Connection], T]

MEMORY_MIB = 512
"""DuckDB would take 80 % of the machine, and with it the monitor."""

ROW = ", ".join(
    f'"{name}"' for name in ("device", "at", "received_at", *Reading.__struct_fields__)
)
ORDER = '"at", "entry", "position"'
OF_SOCKET = """
    "device" = $device AND "channel" IS NOT DISTINCT FROM $channel::SMALLINT
    AND "at" >= make_timestamp($since::BIGINT) AND "at" < make_timestamp($until::BIGINT)
"""
_REPLAY = f"""
    SELECT {ROW} FROM readings
    WHERE "received_at" >= make_timestamp($since::BIGINT)
        AND "received_at" < make_timestamp($until::BIGINT)
    ORDER BY "received_at", "entry", "position"
"""  # noqa: S608  (the names are constants of this module)
SLICE_ROWS = 10_000
SLICE_MIN, SLICE_MAX = timedelta(seconds=1), timedelta(days=1)
"""A replay fetches time by time, each as long as the readings in it are few."""
AGGREGATES = {
    Aggregate.MEAN: 'avg("{}")',
    Aggregate.MIN: 'min("{}")',
    Aggregate.MAX: 'max("{}")',
    Aggregate.LAST: f'arg_max("{{}}", ({ORDER}))',
}


@asynccontextmanager
async def open_duckdb(
    path: Path, *, memory_mib: int = MEMORY_MIB
) -> AsyncIterator["DuckDbHistory"]:
    """Yield the history kept in `path`, whether or not the file can be opened now."""
    history = DuckDbHistory(path, memory_mib=memory_mib)
    try:
        yield history
    finally:
        await history.close()


class DuckDbHistory:
    """See the module. `path` is created if it does not exist; its folder is not."""

    def __init__(self, path: Path, *, memory_mib: int = MEMORY_MIB) -> None:
        self._file = _File(path, memory_mib)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="history-writes")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="history-reads")
        self._closed = False

    async def cursor(self) -> int:
        return await self._write(table.cursor)

    async def append(self, entries: Sequence[Entry]) -> None:
        passing = self._file.passing
        await self._write(lambda connection: table.append(connection, entries, passing))

    async def range(
        self,
        device: DeviceId,
        channel: int | None,
        since: datetime,
        until: datetime,
        limit: int,
    ) -> list[Row]:
        query = f"""
            SELECT {ROW} FROM readings WHERE {OF_SOCKET}
            ORDER BY {ORDER} LIMIT $limit::BIGINT
        """  # noqa: S608  (the names are constants of this module)
        values = _of_socket(device, channel, since, until) | {"limit": limit}
        return await self._fetch(query, values, _row)

    async def latest(self, device: DeviceId) -> list[Row]:
        query = f"""
            SELECT {ROW} FROM readings WHERE "device" = $device
            QUALIFY row_number() OVER (PARTITION BY "channel" ORDER BY ({ORDER}) DESC) = 1
            ORDER BY "channel" NULLS FIRST
        """  # noqa: S608  (the names are constants of this module)
        return await self._fetch(query, {"device": device}, _row)

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
        check_aggregate(quantity, step)
        query = f"""
            SELECT
                time_bucket(
                    to_microseconds($step::BIGINT), "at", TIMESTAMP '1970-01-01'
                ) AS bin,
                {AGGREGATES[how].format(quantity)}
            FROM readings WHERE {OF_SOCKET} AND "{quantity}" IS NOT NULL
            GROUP BY bin ORDER BY bin
        """  # noqa: S608  (`quantity` has just been checked)
        step_us = step // MICROSECOND
        values = _of_socket(device, channel, since, until) | {"step": step_us}
        return await self._fetch(query, values, _bin)

    async def replay(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[Row]]:
        step = SLICE_MIN
        while since < until:
            ends = min(since + step, until)
            rows = await self._fetch(_REPLAY, _arrived(since, ends), _row)
            if rows:
                yield rows
            since = ends
            if len(rows) < SLICE_ROWS:
                step = min(step * 2, SLICE_MAX)
            elif len(rows) > 2 * SLICE_ROWS:
                step = max(step / 2, SLICE_MIN)

    async def count(self) -> int:
        [readings] = await self._fetch("SELECT count(*) FROM readings", {}, _number)
        return readings

    async def forget(self, before: datetime) -> int:
        return await self._write(lambda connection: table.forget(connection, before))

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._writer, self._file.close)
            self._writer.shutdown(wait=False)
            self._reader.shutdown(wait=False)

    async def _fetch(
        self, query: str, values: dict[str, Any], made: Callable[[tuple[Any, ...]], T]
    ) -> list[T]:
        """Return what `made` makes of each row; that, too, is the other thread's work."""
        if not self._file.fit:
            await self._write(_nothing)

        def fetched(cursor: Connection) -> list[T]:
            return [made(found) for found in cursor.execute(query, values).fetchall()]

        return await self._in(self._reader, lambda: self._file.read(fetched))

    async def _write(self, work: Work[T]) -> T:
        return await self._in(self._writer, lambda: self._file.write(work))

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closed:
            raise HistoryUnavailable("the history is closed")
        return await asyncio.get_running_loop().run_in_executor(thread, work)


class _File:
    """The open file, or none. `write` and `close` belong to one thread, `read` to another."""

    def __init__(self, path: Path, memory_mib: int) -> None:
        self._path = path
        self.passing = path.absolute().with_name(f".{path.name}.passing")
        """Where rows pass on their way in; the only other file that DuckDB may touch."""
        self._settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,  # the other cores are for what cannot wait
            "memory_limit": f"{memory_mib}MiB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        self._connection: Connection | None = None
        self._cursor: Connection | None = None
        self._using_cursor = threading.Lock()
        self.fit = False
        """False before it is first opened, and after an error."""

    def write(self, work: Work[T]) -> T:
        try:
            return work(self._opened())
        except (duckdb.Error, OSError) as error:
            self.close()
            raise self._unavailable(error) from error

    def read(self, work: Work[T]) -> T:
        with self._using_cursor:
            if self._cursor is None:
                raise HistoryUnavailable(f"{self._path}: was closed after an error")
            try:
                return work(self._cursor)
            except (duckdb.Error, OSError) as error:
                self.fit = False
                raise self._unavailable(error) from error

    def close(self) -> None:
        """Close the file, once a query that is still running has ended."""
        self.fit = False
        with self._using_cursor:
            for connection in (self._cursor, self._connection):
                if connection is not None:
                    with suppress(duckdb.Error):
                        connection.close()
            self._cursor = self._connection = None

    def _opened(self) -> Connection:
        if self._connection is not None and self.fit:
            return self._connection
        self.close()
        self._connection = duckdb.connect(self._path, config=self._settings)
        allowed = str(self.passing).replace("'", "''")
        self._connection.execute(f"SET allowed_paths = ['{allowed}']")
        self._connection.execute("SET enable_external_access = false")
        with table.transaction(self._connection):
            table.create(self._connection)
        with self._using_cursor:
            self._cursor = self._connection.cursor()
        self.fit = True
        return self._connection

    def _unavailable(self, error: Exception) -> HistoryUnavailable:
        return HistoryUnavailable(f"{self._path}: {error}")


def _nothing(_: Connection) -> None:
    """Do no work: for the sake of the file's being opened."""


def _of_socket(
    device: DeviceId, channel: int | None, since: datetime, until: datetime
) -> dict[str, Any]:
    return {
        "device": device,
        "channel": channel,
        "since": to_us(since),
        "until": to_us(until),
    }


def _arrived(since: datetime, until: datetime) -> dict[str, Any]:
    return {"since": to_us(since), "until": to_us(until)}


def _row(found: tuple[Any, ...]) -> Row:
    device, at, received_at, *parts = found
    return Row(
        device=DeviceId(device),
        at=at.replace(tzinfo=UTC),
        received_at=received_at.replace(tzinfo=UTC),
        reading=Reading(**dict(zip(Reading.__struct_fields__, parts, strict=True))),
    )


def _bin(found: tuple[Any, ...]) -> Bin:
    at, value = found
    return Bin(at.replace(tzinfo=UTC), value)


def _number(found: tuple[Any, ...]) -> int:
    return int(found[0])
