import asyncio
import functools
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, ParamSpec, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.duckdb_history import open_duckdb
from ingest.history import QUANTITY_TYPES, Aggregate, History, HistoryUnavailable, Row
from ingest.influx_history import open_influx
from ingest.journal import Entry
from rules.readings import QUANTITIES, DeviceId, Reading, Report, Standing
from tests.doubles import MemoryHistory
from tests.influx import Influx
from tests.influx_databases import AnyInflux, made_address, prepare, remove

pytest_plugins = ["tests.influx_fixtures"]

P = ParamSpec("P")

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
END = START + timedelta(days=1)
PILE = DeviceId("pile-1")
FULL = Reading(
    channel=2,
    power_w=900.5,
    current_a=-0.0,
    voltage_v=231,
    energy_kwh=1e9,
    relay_on=False,
    device_temperature_c=-40.25,
    ambient_temperature_c=0.0,
    smoke_alarm=True,
    battery_pct=100,
    battery_low=False,
    tamper=True,
    self_test=False,
    muted=True,
    online=True,
    overpower=False,
    overtemperature=True,
    fault="过流'; DROP TABLE readings; --\u2028",
    port_state="",
    session_energy_kwh=0.1,
    session_duration_s=3600,
    stop_reason="满\x00",
    signal_pct=0,
    firmware="v1, beta=2",
)


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Place(Protocol):
    """Where a history is kept: it outlives the adapter, and may be out of order."""

    def opened(self) -> AbstractAsyncContextManager[History]: ...

    def out_of_order(self) -> AbstractAsyncContextManager[None]:
        """Make histories that are opened in here unavailable for as long as it lasts."""
        ...


class MemoryPlace:
    def __init__(self, _: Path) -> None:
        self.history = MemoryHistory()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[History]:
        yield self.history

    @asynccontextmanager
    async def out_of_order(self) -> AsyncIterator[None]:
        self.history.down = "out of order"
        yield
        self.history.down = ""


class DuckDbPlace:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "history.duckdb"

    def opened(self) -> AbstractAsyncContextManager[History]:
        return open_duckdb(self.path)

    @asynccontextmanager
    async def out_of_order(self) -> AsyncIterator[None]:
        self.path.mkdir()
        yield
        self.path.rmdir()


class InfluxPlace:
    """A database of its own in a server that all tests share."""

    def __init__(self, server: AnyInflux) -> None:
        self._server = server
        self._address = made_address(server)

    def opened(self) -> AbstractAsyncContextManager[History]:
        return open_influx(self._address)

    @asynccontextmanager
    async def out_of_order(self) -> AsyncIterator[None]:
        if isinstance(self._server, Influx):
            self._server.kill()
            yield
            self._server.start()
        else:
            remove(self._server, self._address)
            yield
            prepare(self._address)


@pytest.fixture(params=["memory", "duckdb", "influxdb"], scope="session")
def new_place(request: pytest.FixtureRequest) -> Callable[[Path], Place]:
    match request.param:
        case "memory":
            return MemoryPlace
        case "duckdb":
            return DuckDbPlace
        case _:
            server: AnyInflux = request.getfixturevalue("influx")
            return lambda _: InfluxPlace(server)


@pytest.fixture
def place(new_place: Callable[[Path], Place], tmp_path: Path) -> Place:
    return new_place(tmp_path)


def report(after_s: float, *readings: Reading, device: DeviceId = PILE) -> Report:
    at = START + timedelta(seconds=after_s)
    return Report(
        device=device,
        at=at,
        received_at=at + timedelta(milliseconds=7),
        identity=f"{after_s}",
        readings=readings,
    )


def entry(number: int, *reports: Report) -> Entry:
    return Entry(number, START, reports)


def powers(rows: Sequence[Row]) -> list[float | None]:
    return [row.reading.power_w for row in rows]


@on_a_loop
async def test_a_new_history_is_empty(place: Place) -> None:
    async with place.opened() as history:
        assert await history.cursor() == 0
        assert await history.count() == 0
        assert await history.latest(PILE) == []
        assert await history.range(PILE, None, START, END, 10) == []


def test_the_full_reading_of_these_tests_mentions_every_quantity() -> None:
    assert all(getattr(FULL, name) is not None for name in QUANTITIES)
    assert set(QUANTITY_TYPES) == set(QUANTITIES)


@on_a_loop
async def test_what_is_appended_is_found_again_to_the_microsecond(place: Place) -> None:
    said = report(0.000001, FULL, Reading(power_w=5.0))
    async with place.opened() as history:
        await history.append([entry(1, said)])
        [row] = await history.range(PILE, 2, START, END, 10)
        assert row == Row(PILE, said.at, said.received_at, FULL)
        [whole] = await history.range(PILE, None, START, END, 10)
        assert whole.reading == Reading(power_w=5.0)


@on_a_loop
async def test_times_of_another_zone_are_stored_as_the_moments_they_are(place: Place) -> None:
    shanghai = datetime.fromisoformat("2026-01-05T16:00:00+08:00")
    said = Report(
        device=PILE,
        at=shanghai,
        received_at=shanghai,
        identity="1",
        readings=(Reading(power_w=1.0),),
    )
    async with place.opened() as history:
        await history.append([entry(1, said)])
        [row] = await history.range(PILE, None, shanghai, shanghai + timedelta(seconds=1), 10)
        assert row.at == START


@on_a_loop
async def test_a_late_reading_is_kept_under_the_time_it_was_taken(place: Place) -> None:
    late = Report(
        device=PILE,
        at=START - timedelta(hours=5),
        received_at=START,
        identity="1",
        readings=(Reading(power_w=3.0), Reading(online=True)),
        standing=Standing.LATE,
    )
    async with place.opened() as history:
        await history.append([entry(1, late)])
        rows = await history.range(PILE, None, late.at, late.at + timedelta(seconds=1), 10)
        assert [row.reading for row in rows] == [Reading(power_w=3.0), Reading(online=True)]
        assert await history.range(PILE, None, START, END, 10) == []


@on_a_loop
async def test_appending_twice_changes_nothing(place: Place) -> None:
    entries = [entry(n, report(n, Reading(power_w=float(n)))) for n in (1, 2, 3)]
    async with place.opened() as history:
        await history.append(entries[:2])
        await history.append(entries[:2])
        await history.append([*reversed(entries), *entries])
        await history.append([])
        assert await history.cursor() == 3
        rows = await history.range(PILE, None, START, END, 10)
        assert powers(rows) == [1.0, 2.0, 3.0]


@on_a_loop
async def test_an_entry_without_readings_moves_the_cursor(place: Place) -> None:
    async with place.opened() as history:
        await history.append([entry(5, report(0)), entry(6)])
        assert (await history.cursor(), await history.count()) == (6, 0)


@on_a_loop
async def test_it_knows_everything_after_it_is_opened_again(place: Place) -> None:
    async with place.opened() as history:
        await history.append([entry(1, report(1, FULL))])
    async with place.opened() as history:
        assert await history.cursor() == 1
        await history.append([entry(1, report(1, FULL)), entry(2, report(2, FULL))])
        assert await history.count() == 2


@on_a_loop
async def test_a_range_is_half_open_ordered_and_limited(place: Place) -> None:
    said = [report(s, Reading(channel=1, power_w=float(s))) for s in (30, 10, 20, 20)]
    async with place.opened() as history:
        await history.append([entry(1, *said)])
        since, until = START + timedelta(seconds=10), START + timedelta(seconds=30)
        rows = await history.range(PILE, 1, since, until, 10)
        assert powers(rows) == [10.0, 20.0, 20.0]
        assert powers(await history.range(PILE, 1, since, until, 1)) == [10.0]
        assert await history.range(DeviceId("pile-2"), 1, since, until, 10) == []
        assert await history.range(PILE, 2, since, until, 10) == []


@on_a_loop
async def test_readings_of_one_moment_keep_the_order_of_the_journal(place: Place) -> None:
    said = [report(0, Reading(power_w=float(n))) for n in range(50)]
    async with place.opened() as history:
        await history.append([entry(1, *said[:30]), entry(2, *said[30:])])
        rows = await history.range(PILE, None, START, END, 100)
        assert powers(rows) == [float(n) for n in range(50)]
        assert powers(await history.latest(PILE)) == [49.0]


@on_a_loop
async def test_the_latest_is_by_the_time_of_the_reading_for_each_socket(place: Place) -> None:
    said = [
        report(60, Reading(channel=10, power_w=1.0), Reading(channel=2, power_w=2.0)),
        report(50, Reading(channel=2, power_w=3.0), Reading(power_w=4.0)),
        report(99, Reading(power_w=5.0), device=DeviceId("pile-2")),
    ]
    async with place.opened() as history:
        await history.append([entry(1, *said)])
        assert powers(await history.latest(PILE)) == [4.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Aggregate.MEAN, [20.0, 5.0]),
        (Aggregate.MIN, [10.0, 5.0]),
        (Aggregate.MAX, [30.0, 5.0]),
        (Aggregate.LAST, [20.0, 5.0]),
    ],
)
@on_a_loop
async def test_an_aggregate_has_one_value_for_each_step_that_has_any(
    place: Place, how: Aggregate, expected: list[float]
) -> None:
    said = [report(s, Reading(power_w=w)) for s, w in ((59, 20.0), (1, 10.0), (2, 30.0))]
    said += [report(70, Reading(voltage_v=230.0)), report(125, Reading(power_w=5.0))]
    async with place.opened() as history:
        await history.append([entry(1, *said)])
        bins = await history.aggregate(
            PILE,
            None,
            quantity="power_w",
            how=how,
            since=START + timedelta(seconds=1),
            until=START + timedelta(seconds=126),
            step=timedelta(minutes=1),
        )
        assert [found.at for found in bins] == [START, START + timedelta(minutes=2)]
        assert [found.value for found in bins] == expected


@pytest.mark.parametrize(
    "step", [timedelta(seconds=0.25), timedelta(days=1), timedelta(days=7, seconds=1)]
)
@on_a_loop
async def test_the_steps_of_an_aggregate_are_counted_from_1970(
    place: Place, step: timedelta
) -> None:
    async with place.opened() as history:
        await history.append([entry(1, report(0.3, Reading(channel=1, power_w=1.0)))])
        [found] = await history.aggregate(
            PILE,
            1,
            quantity="power_w",
            how=Aggregate.MAX,
            since=START,
            until=END,
            step=step,
        )
        assert (found.at - datetime(1970, 1, 1, tzinfo=UTC)) % step == timedelta(0)
        assert found.at <= START + timedelta(seconds=0.3) < found.at + step


@pytest.mark.parametrize("quantity", ["fault", "relay_on", "channel", 'x" OR 1=1 --'])
@on_a_loop
async def test_only_numeric_quantities_are_aggregated(place: Place, quantity: str) -> None:
    async with place.opened() as history:
        with pytest.raises(ValueError, match="numeric"):
            await history.aggregate(
                PILE,
                None,
                quantity=quantity,
                how=Aggregate.MAX,
                since=START,
                until=END,
                step=timedelta(minutes=1),
            )


@on_a_loop
async def test_a_step_must_lead_somewhere(place: Place) -> None:
    async with place.opened() as history:
        with pytest.raises(ValueError, match="nowhere"):
            await history.aggregate(
                PILE,
                None,
                quantity="power_w",
                how=Aggregate.MAX,
                since=START,
                until=END,
                step=timedelta(0),
            )


async def replayed(history: History, since: datetime, until: datetime) -> list[Row]:
    return [row async for rows in history.replay(since, until) for row in rows]


@on_a_loop
async def test_a_replay_does_not_hold_what_arrived_before_or_at_its_end(place: Place) -> None:
    arrived = START + timedelta(seconds=2, milliseconds=7)
    async with place.opened() as history:
        await history.append([entry(1, *(report(n, Reading(power_w=n)) for n in range(4)))])
        rows = await replayed(history, arrived, arrived + timedelta(seconds=1))
        assert [row.received_at for row in rows] == [arrived]
        assert await replayed(history, arrived, arrived) == []
        assert await replayed(history, END, END + timedelta(days=900)) == []


@on_a_loop
async def test_a_replay_is_in_the_order_of_arrival_and_then_of_commit(place: Place) -> None:
    late = report(5, Reading(power_w=5.0), Reading(channel=2, power_w=6.0))
    other = report(5, Reading(power_w=7.0), device=DeviceId("pile-2"))
    early = report(1, Reading(power_w=1.0))
    async with place.opened() as history:
        await history.append([entry(1, late, other), entry(2, early)])
        assert powers(await replayed(history, START, END)) == [1.0, 5.0, 6.0, 7.0]


@on_a_loop
async def test_a_replay_has_late_readings_when_they_arrived(place: Place) -> None:
    order = random.Random(3)
    reports = [
        Report(
            device=PILE,
            at=START + timedelta(seconds=n) - timedelta(seconds=behind_s),
            received_at=START + timedelta(seconds=n),
            identity=str(n),
            readings=(Reading(power_w=float(n)),),
        )
        for n in range(1000)
        for behind_s in [order.choice((0, 0, -299, 899, 901, -301, 86_400, 90 * 86_400))]
    ]
    since, until = START + timedelta(seconds=100), START + timedelta(seconds=900)
    async with place.opened() as history:
        await history.append([entry(1, *reports)])
        assert powers(await replayed(history, since, until)) == list(range(100, 900))


@on_a_loop
async def test_a_replay_holds_every_reading_once_and_moments_in_one_piece(
    place: Place,
) -> None:
    order = random.Random(7)
    reports = [
        report(
            order.choice((0, 1, 1.5, 3000, 80_000)) + n % 7,
            *(FULL,) * (1 + n % 3),
            device=DeviceId(f"pile-{n % 25}"),
        )
        for n in range(12_000)
    ]
    async with place.opened() as history:
        await history.append([entry(1, *reports)])
        parts = [part async for part in history.replay(START, END)]
    assert sum(map(len, parts)) == sum(len(each.readings) for each in reports)
    ends = [(part[0].received_at, part[-1].received_at) for part in parts]
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    assert {row.reading for part in parts for row in part} == {FULL}


@on_a_loop
async def test_what_is_forgotten_stays_forgotten(place: Place) -> None:
    entries = [entry(n, report(n, Reading(power_w=float(n)))) for n in range(1, 6)]
    async with place.opened() as history:
        await history.append(entries)
        assert await history.forget(START + timedelta(seconds=3)) == 2
        assert await history.forget(START + timedelta(seconds=3)) == 0
        await history.append(entries)
        rows = await history.range(PILE, None, START, END, 10)
        assert powers(rows) == [3.0, 4.0, 5.0]


@on_a_loop
async def test_it_recovers_by_itself_when_it_was_out_of_order(place: Place) -> None:
    entries = [entry(1, report(1, FULL))]
    async with place.opened() as history:
        async with place.out_of_order():
            for _ in range(2):
                with pytest.raises(HistoryUnavailable, match=r"."):
                    await history.append(entries)
            with pytest.raises(HistoryUnavailable, match=r"."):
                await history.count()
        await history.append(entries)
        assert await history.count() == 1


@on_a_loop
async def test_a_hundred_thousand_readings_are_all_found_again(place: Place) -> None:
    readings = tuple(Reading(channel=n, power_w=float(n), relay_on=True) for n in range(1, 11))
    entries = [
        entry(n, *(report(100 * n + s, *readings) for s in range(100))) for n in range(1, 101)
    ]
    async with place.opened() as history:
        await history.append(entries)
        assert await history.count() == 100_000
        rows = await history.range(PILE, 3, START, END, 20_000)
        assert len(rows) == 10_000
        assert {row.reading for row in rows} == {readings[2]}


@settings(max_examples=20)
@given(
    appends=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6), st.booleans())),
    seed=st.integers(),
)
def test_any_overlapping_appends_store_each_reading_once(
    new_place: Callable[[Path], Place], appends: list[tuple[int, int, bool]], seed: int
) -> None:
    """Each append begins where it likes up to the cursor, and is in any order."""
    order = random.Random(seed)

    async def play(place: Place) -> None:
        top = 0
        for back, length, reopen in appends:
            first = max(1, top + 1 - back)
            some = [
                entry(n, report(n, Reading(power_w=float(n)), Reading(channel=n)))
                for n in range(first, first + length)
            ]
            order.shuffle(some)
            top = max(top, first + length - 1)
            async with place.opened() as history:
                await history.append(some)
                if reopen:
                    await history.append(some)
                assert await history.cursor() == top
        async with place.opened() as history:
            rows = await history.range(PILE, None, START, END, 10_000)
            assert powers(rows) == [float(n) for n in range(1, top + 1)]
            assert await history.count() == 2 * top

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(new_place(Path(folder))))
