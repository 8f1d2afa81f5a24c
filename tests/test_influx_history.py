"""What is InfluxDB's own affair; what every history promises is in test_history_contract."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from api.backtest.result import Result
from api.backtest.running import Asked, on_history
from ingest.clock import utc_now
from ingest.history import HistoryUnavailable
from ingest.influx_client import open_client
from ingest.influx_history import InfluxHistory, open_influx
from ingest.influx_http import InfluxAddress
from ingest.influx_lines import reading_lines
from ingest.influx_replay import replayed
from ingest.influx_writing import Losses
from ingest.journal import Entry
from ingest.ledger.store import opened
from ingest.measurements import Kept
from rules.readings import Reading, Report
from tests.backtests import NOON, SITES, an_hour, kept
from tests.influx_databases import AnyInflux, made_address, prepare, remove
from tests.test_history_contract import END, PILE, START, entry, on_a_loop, powers, report

pytest_plugins = ["tests.influx_fixtures"]

NOW = utc_now()
DAY = timedelta(days=1)


@pytest.fixture
def address(influx: AnyInflux) -> Iterator[InfluxAddress]:
    made = made_address(influx)
    yield made
    remove(influx, made)


def at(moment: datetime, *readings: Reading) -> Report:
    return Report(
        device=PILE, at=moment, received_at=moment, identity=str(moment), readings=readings
    )


@on_a_loop
async def test_entries_a_thousand_apart_keep_their_order_in_one_microsecond(
    address: InfluxAddress,
) -> None:
    """Below the microsecond, the time says only the last three digits of the entry."""
    numbers = [998, 999, 1000, 1001, 2500, 3003]
    async with open_influx(address) as history:
        await history.append([entry(n, report(0, Reading(power_w=float(n)))) for n in numbers])
        for limit in range(1, 8):
            rows = await history.range(PILE, None, START, END, limit)
            assert powers(rows) == numbers[:limit]
        assert powers(await history.latest(PILE)) == [3003]


@on_a_loop
async def test_the_latest_of_many_of_one_microsecond_is_the_last_committed(
    address: InfluxAddress,
) -> None:
    order = random.Random(1)
    said = [report(0, Reading(channel=1, power_w=float(n))) for n in range(40)]
    numbers = sorted(order.sample(range(1, 5000), 10))
    entries = [entry(n, *said[4 * i : 4 * i + 4]) for i, n in enumerate(numbers)]
    async with open_influx(address) as history:
        await history.append(entries)
        assert powers(await history.latest(PILE)) == [39]
        assert powers(await history.range(PILE, 1, START, END, 50)) == list(range(40))


@on_a_loop
async def test_every_microsecond_of_a_moment_is_kept(address: InfluxAddress) -> None:
    order = random.Random(2)
    moments = sorted(
        START + timedelta(microseconds=order.randrange(86_400_000_000)) for _ in range(300)
    )
    async with open_influx(address) as history:
        await history.append([entry(1, *(at(each, Reading(power_w=1)) for each in moments))])
        rows = await history.range(PILE, None, moments[0], END, 1000)
        assert [row.at for row in rows] == [row.received_at for row in rows] == moments


@on_a_loop
async def test_readings_that_got_through_before_a_failure_are_not_there_twice(
    address: InfluxAddress,
) -> None:
    entries = [entry(n, report(n, Reading(power_w=float(n)))) for n in (1, 2, 3)]
    async with open_client(address) as client:
        history = InfluxHistory(client)
        await client.write(Kept.READINGS, reading_lines(entries[0]))
        await client.write(Kept.READINGS, reading_lines(entries[2]))
        assert await history.cursor() == 0
        await history.append(entries)
        assert await history.count() == 3


@on_a_loop
async def test_a_database_that_is_missing_is_said_and_the_history_goes_on_once_it_is_there(
    influx: AnyInflux, address: InfluxAddress
) -> None:
    remove(influx, address)
    entries = [entry(1, report(1, Reading(power_w=1.0)))]
    async with open_influx(address) as history:
        with pytest.raises(HistoryUnavailable, match="history setup"):
            await history.append(entries)
        prepare(address)
        await history.append(entries)
        assert await history.count() == 1


@on_a_loop
async def test_a_reading_that_is_refused_is_counted_and_the_others_are_kept(
    address: InfluxAddress,
) -> None:
    """Somebody has written a text where our numbers belong."""
    losses = Losses()
    async with open_client(address) as client:
        time_ns = int(START.timestamp()) * 10**9
        await client.write(Kept.READINGS, [f'device tamper="yes" {time_ns}'.encode()])
    said = [report(n, Reading(power_w=float(n))) for n in range(10)]
    said.insert(4, report(3.5, Reading(tamper=True)))
    async with open_influx(address, losses) as history:
        with capture_logs() as logs:
            await history.append([entry(7, *said)])
        assert await history.cursor() == 7
        assert powers(await history.range(PILE, None, START, END, 20)) == list(range(10))
    assert losses.refused == 1
    assert "tamper" in losses.reason
    [told] = logs
    assert "entry=7i,position=4i" in told["line"]


@on_a_loop
async def test_readings_older_than_the_retention_are_let_go_and_are_no_loss(
    address: InfluxAddress,
) -> None:
    prepare(address, keep=timedelta(days=2))
    losses = Losses()
    old = [at(NOW - timedelta(days=30, seconds=n), Reading(power_w=1.0)) for n in range(5)]
    new = [at(NOW - timedelta(seconds=n), Reading(power_w=1.0)) for n in range(3)]
    async with open_influx(address, losses) as history:
        await history.append([entry(1, *old, *new)])
        assert (await history.cursor(), await history.count()) == (1, 3)
    assert losses == Losses(expired=5)


@on_a_loop
async def test_points_of_others_are_not_taken_for_readings(address: InfluxAddress) -> None:
    async with open_client(address) as client:
        time_ns = int(START.timestamp()) * 10**9
        await client.write(
            Kept.READINGS, [f"device,device={PILE} power_w=9 {time_ns}".encode()]
        )
        history = InfluxHistory(client)
        await history.append([entry(1, report(1, Reading(power_w=1.0)))])
        for limit in (1, 20):
            assert powers(await history.range(PILE, None, START, END, limit)) == [1.0]
        assert powers(await history.latest(PILE)) == [1.0]
        assert powers([row async for part in history.replay(START, END) for row in part]) == [1]
        assert await history.count() == 1


@on_a_loop
async def test_a_replay_of_all_of_time_is_one_of_the_time_that_influxdb_knows(
    address: InfluxAddress,
) -> None:
    async with open_influx(address) as history:
        await history.append([entry(1, report(1, Reading(power_w=1.0)))])
        ever = datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        async for rows in history.replay(*ever):
            assert powers(rows) == [1.0]
            break


@on_a_loop
async def test_a_replay_of_more_readings_than_one_question_brings(
    address: InfluxAddress,
) -> None:
    """Also of one microsecond, and of what arrived late."""
    order = random.Random(3)
    arrivals = sorted(
        START + timedelta(seconds=order.choice((0, 1, 1.5, 600))) for _ in range(200)
    )
    said = [
        Report(
            device=PILE,
            at=START if n % 2 else START - timedelta(hours=n),
            received_at=arrived,
            identity=str(n),
            readings=(Reading(power_w=float(n)),),
        )
        for n, arrived in enumerate(arrivals)
    ]
    async with open_client(address) as client:
        await InfluxHistory(client).append([Entry(1, START, tuple(said))])
        parts = [part async for part in replayed(client, START, END, rows_max=20)]
    rows = [row for part in parts for row in part]
    assert powers(rows) == list(range(200))
    assert len(parts) > 1


def test_a_backtest_of_its_readings_finds_what_one_of_the_file_does(
    address: InfluxAddress, tmp_path: Path
) -> None:
    (tmp_path / "sites.toml").write_text(SITES)
    kept(tmp_path, an_hour((0, 200), (10, 1500), (20, 200)))
    asked = Asked(sites=tmp_path / "sites.toml")

    async def play() -> tuple[Result, Result]:
        async with (
            opened(tmp_path / "ledger.sqlite") as ledger,
            open_influx(address) as history,
        ):
            await history.append(await ledger.entries_after(0, 1000))
        times = (NOON - DAY, NOON + DAY)
        of_file = await on_history(asked, tmp_path, *times, lambda _share, _now: None)
        of_influx = await on_history(
            asked, tmp_path, *times, lambda _share, _now: None, influx=address
        )
        return of_file, of_influx

    of_file, of_influx = asyncio.run(play())
    assert of_file.in_force.per_rule == {"overload": 1}
    assert of_influx.in_force == of_file.in_force
    assert of_influx.tally == of_file.tally
