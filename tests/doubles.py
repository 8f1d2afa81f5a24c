"""Stand-ins that we own, for what is slow, far away or seldom broken."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from ingest.history import Aggregate, Bin, HistoryUnavailable, Row, check_aggregate
from ingest.journal import Entry
from rules.readings import DeviceId

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryHistory:
    """A history in a list. It is unavailable for as long as `down` says why."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.appends = 0
        self.down = ""
        self._cursor = 0

    async def cursor(self) -> int:
        self._check()
        return self._cursor

    async def append(self, entries: Sequence[Entry]) -> None:
        self._check()
        self.appends += 1
        for entry in sorted(entries, key=lambda entry: entry.id):
            if entry.id > self._cursor:
                self._cursor = entry.id
                self.rows += [
                    Row(report.device, report.at, report.received_at, reading)
                    for report in entry.reports
                    for reading in report.readings
                ]

    async def range(
        self,
        device: DeviceId,
        channel: int | None,
        since: datetime,
        until: datetime,
        limit: int,
    ) -> list[Row]:
        self._check()
        found = [
            row
            for row in self.rows
            if row.device == device
            and row.reading.channel == channel
            and since <= row.at < until
        ]
        return sorted(found, key=lambda row: row.at)[:limit]

    async def latest(self, device: DeviceId) -> list[Row]:
        self._check()
        found: dict[int | None, Row] = {}
        for row in self.rows:
            known = found.get(row.reading.channel)
            if row.device == device and (known is None or known.at <= row.at):
                found[row.reading.channel] = row
        return sorted(found.values(), key=lambda row: row.reading.channel or 0)

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
        valued = [
            (row.at - (row.at - EPOCH) % step, value)
            for row in await self.range(device, channel, since, until, len(self.rows))
            if (value := getattr(row.reading, quantity)) is not None
        ]
        return [
            Bin(at, _summed_up(how, [value for _, value in values]))
            for at, values in groupby(valued, key=lambda pair: pair[0])
        ]

    async def replay(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[Row]]:
        self._check()
        found = [row for row in self.rows if since <= row.received_at < until]
        if found:
            yield sorted(found, key=lambda row: row.received_at)

    async def count(self) -> int:
        self._check()
        return len(self.rows)

    async def forget(self, before: datetime) -> int:
        self._check()
        kept = [row for row in self.rows if row.at >= before]
        gone, self.rows = len(self.rows) - len(kept), kept
        return gone

    async def close(self) -> None:
        self.down = "closed"

    def _check(self) -> None:
        if self.down:
            raise HistoryUnavailable(self.down)


def _summed_up(how: Aggregate, values: Sequence[float]) -> float:
    match how:
        case Aggregate.MEAN:
            return sum(values) / len(values)
        case Aggregate.MIN:
            return min(values)
        case Aggregate.MAX:
            return max(values)
        case Aggregate.LAST:
            return values[-1]
