"""Readings in the order of their arrival, from a database that is ordered by their times.

They are fetched time by time, each once, and wait until nothing that arrived before them can
still come. Only what is tagged `late` may be anywhere in time; it is looked for by arrival.
"""

import heapq
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from ingest import influx_queries as ask
from ingest.history import Row
from ingest.influx_client import InfluxClient
from ingest.influx_lines import LATE_AHEAD_US, LATE_BEHIND_US
from ingest.influx_queries import Found, Params, as_arrived, readings
from ingest.influxql import Series
from ingest.moments import MICROSECOND

ROWS_MAX = 20_000
"""How many readings of sockets, or of devices, a question may bring; it should bring half."""

SLICE_FIRST, SLICE_MAX = timedelta(minutes=20), timedelta(days=7)
LATE_SLICE_MIN = timedelta(seconds=1)
LONGER_MAX = 8.0
"""How many times longer than the last one a slice of time may be. It should be long: where
there are many sockets, it is the number of questions that costs."""

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""No reading is from before or after: InfluxDB's time ends in 2262."""

BEHIND, AHEAD = LATE_BEHIND_US * MICROSECOND, LATE_AHEAD_US * MICROSECOND


async def replayed(
    client: InfluxClient, since: datetime, until: datetime, *, rows_max: int = ROWS_MAX
) -> AsyncIterator[list[Row]]:
    """Yield what arrived in [since, until), a moment in one piece (see `History.replay`).

    Memory holds what was read of 5 minutes: so much may a clock be ahead.
    """
    since, until = max(since, FIRST), min(until, LAST)
    waiting = _Waiting()
    late = _Late(client, until, rows_max)
    given = since
    async for read_until, found in _by_time(client, since, until, rows_max):
        waiting.add(found)
        complete = min(max(read_until - AHEAD, since), until)
        async for ends, found_late in late.arrived(given, complete):
            waiting.add(found_late)
            if rows := waiting.taken(ends):
                yield rows
        given = complete


class _Waiting:
    """Readings whose turn has not come."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, int, Row]] = []

    def add(self, found: Iterable[Found]) -> None:
        for each in found:
            heapq.heappush(self._heap, (*as_arrived(each), each.row))

    def taken(self, until: datetime) -> list[Row]:
        """Take out what arrived before a moment, in order."""
        rows = []
        while self._heap and self._heap[0][0] < until:
            rows.append(heapq.heappop(self._heap)[-1])
        return rows


async def _by_time(
    client: InfluxClient, since: datetime, until: datetime, rows_max: int
) -> AsyncIterator[tuple[datetime, list[Found]]]:
    """Yield what arrived in [since, until) and not late, with how far time was read."""
    ends = until + AHEAD + MICROSECOND
    within = ask.arrived(since, until) | {"since": since - BEHIND, "until": ends}
    there = ask.moments(await client.query(ask.FIRST_AND_LAST, within))
    at, after_last = min(there, default=ends), max(there, default=ends) + MICROSECOND
    step = SLICE_FIRST
    while at < after_last:
        params = within | {"since": at}
        read_until, found = await _slice(client, params, min(at + step, after_last), rows_max)
        if read_until == at:  # more than that in one microsecond
            read_until, found = await _slice(client, params, at + MICROSECOND, None)
        yield read_until, found
        longer = min(rows_max / 2 / max(len(found), 1), LONGER_MAX)
        at, step = read_until, min((read_until - at) * longer, SLICE_MAX)
    yield ends, []


async def _slice(
    client: InfluxClient, params: Params, until: datetime, limit: int | None
) -> tuple[datetime, list[Found]]:
    """Return the first readings of a time that are not late, and where the time ends then."""

    def made(answer: list[Series]) -> tuple[datetime, list[Found]]:
        full = [series for series in answer if len(series.values) == limit]
        ends = min((ask.moments([series])[-1] for series in full), default=until)
        return ends, [each for each in readings(answer) if each.row.at < ends and not each.late]

    statement = ask.limited(ask.BY_TIME, limit)
    return await client.read(statement, params | {"until": until}, made)


class _Late:
    """Finds what arrived late, if anything did: that is a search through all of time."""

    def __init__(self, client: InfluxClient, until: datetime, rows_max: int) -> None:
        self._client, self._until, self._rows_max = client, until, rows_max
        self._known_until: datetime | None = None
        self._any = False

    async def arrived(
        self, since: datetime, until: datetime
    ) -> AsyncIterator[tuple[datetime, Sequence[Found]]]:
        """Yield ends of times from `since` to `until`, with what arrived late in each."""
        todo = [until]
        while todo and since < until:
            ends = todo[-1]
            found = await self._in(since, ends) if await self._is_any(since, ends) else ()
            if found is None:
                todo.append(since + (ends - since) / 2)
            else:
                yield ends, found
                since = todo.pop()

    async def _is_any(self, since: datetime, until: datetime) -> bool:
        """Say whether anything can have arrived late; looked up for a week at a time."""
        if self._known_until is None or until > self._known_until:
            self._known_until = max(until, min(since + SLICE_MAX, self._until))
            asked = ask.arrived(since, self._known_until)
            self._any = ask.number(await self._client.query(ask.COUNT_LATE, asked)) > 0
        return self._any

    async def _in(self, since: datetime, until: datetime) -> Sequence[Found] | None:
        """Return what arrived late in a time; None: too much to ask for at once."""
        limit = self._rows_max if until - since > LATE_SLICE_MIN else None

        def made(answer: list[Series]) -> list[Found] | None:
            if any(len(series.values) == limit for series in answer):
                return None
            return list(readings(answer))

        statement = ask.limited(ask.LATE, limit)
        return await self._client.read(statement, ask.arrived(since, until), made)
