"""The history in InfluxDB: a point for each reading (docs/decisions/018).

The cursor is a point too, in the retention policy that outlives the readings. It is written
after all readings of an append are confirmed: if anything fails between, they are written
once more, onto the same places.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import chain, groupby

import structlog

from ingest import influx_queries as ask
from ingest.history import Aggregate, Bin, Row, check_aggregate
from ingest.influx_client import InfluxAddress, InfluxClient, open_client
from ingest.influx_lines import line, reading_lines
from ingest.influx_queries import Found, Params, in_order, readings
from ingest.influx_replay import replayed
from ingest.influx_writing import Losses
from ingest.influxql import Series, StatementRefused
from ingest.journal import Entry
from ingest.measurements import CURSOR, Kept
from ingest.moments import MICROSECOND
from rules.readings import DeviceId

log = structlog.get_logger()


@asynccontextmanager
async def open_influx(
    address: InfluxAddress, losses: Losses | None = None
) -> AsyncIterator["InfluxHistory"]:
    """Yield the history at an address, whether or not there is a server now.

    `losses` counts what the server refuses for good.
    """
    async with open_client(address, losses) as client:
        yield InfluxHistory(client)


class InfluxHistory:
    """See the module."""

    def __init__(self, client: InfluxClient) -> None:
        self._client = client

    async def cursor(self) -> int:
        return ask.number(await self._client.query_first(ask.CURSOR_AT))

    async def append(self, entries: Sequence[Entry]) -> None:
        done = await self.cursor()
        fresh = {entry.id: entry for entry in entries if entry.id > done}
        if fresh:
            lines = chain.from_iterable(map(reading_lines, fresh.values()))
            await self._client.write(Kept.READINGS, lines)
            moved = line(CURSOR, {}, {"entry": max(fresh)}, time_ns=0)
            await self._client.write(Kept.LONG, [moved])

    async def range(
        self,
        device: DeviceId,
        channel: int | None,
        since: datetime,
        until: datetime,
        limit: int,
    ) -> list[Row]:
        if limit <= 0:
            return []
        found = await self._readings(device, channel, since, until, limit)
        if len(found) == limit:  # the last moment may go on
            last = found[-1].row.at
            of_last = await self._readings(device, channel, last, last + MICROSECOND)
            found = [*(each for each in found if each.row.at < last), *of_last]
        return [each.row for each in found[:limit]]

    async def latest(self, device: DeviceId) -> list[Row]:
        def newest(answer: list[Series]) -> list[list[Found]]:
            """Return those of the newest moment of each socket that has any."""
            return [
                list(next(groupby(found, key=lambda each: each.row.at))[1])
                for series in answer
                if (found := list(readings([series], device)))
            ]

        latest: list[Row] = []
        for tied in await self._client.read(ask.LATEST, {"device": device}, newest):
            row = max(tied, key=in_order).row
            if len(tied) == ask.TIES_SEEN:  # there may be more
                channel, ends = row.reading.channel, row.at + MICROSECOND
                found = await self._readings(device, channel, row.at, ends)
                row = found[-1].row
            latest.append(row)
        return sorted(latest, key=lambda row: row.reading.channel or 0)

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
        """See `History`. Of readings of one microsecond, LAST may take any."""
        check_aggregate(quantity, step)
        place, params = ask.of_socket(device, channel, since, until)
        statement = ask.aggregated(place, quantity, how, step)
        return await self._client.read(statement, params, ask.bins)

    def replay(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[Row]]:
        return replayed(self._client, since, until)

    async def count(self) -> int:
        return ask.number(await self._client.query(ask.COUNT))

    async def forget(self, before: datetime) -> int:
        """See `History`. Where the server deletes nothing by hand, its retention has to do."""
        params: Params = {"before": before}
        readings = ask.number(await self._client.query_first(ask.COUNT_BEFORE, params))
        if readings:
            try:
                await self._client.query_first(ask.FORGET, params)
            except StatementRefused as error:
                log.warning("influx.forgets_by_retention_only", reason=str(error))
                return 0
        return readings

    async def close(self) -> None:
        self._client.close()

    async def _readings(
        self,
        device: DeviceId,
        channel: int | None,
        since: datetime,
        until: datetime,
        limit: int | None = None,
    ) -> list[Found]:
        """Return the readings of a socket in the order of the journal."""

        def made(answer: list[Series]) -> list[Found]:
            return sorted(readings(answer, device, channel), key=in_order)

        place, params = ask.of_socket(device, channel, since, until)
        return await self._client.read(ask.rows(place, limit), params, made)
