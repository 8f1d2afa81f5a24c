"""What only the DuckDB history can get wrong: files, locks, threads and crashes."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from ingest.duckdb_history import DuckDbHistory, open_duckdb
from ingest.history import HistoryUnavailable
from ingest.journal import Entry
from rules.readings import DeviceId, Reading, Report

ROOT = Path(__file__).parents[1]
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
PILE = DeviceId("pile-1")

DIES_IN_THE_MIDDLE = """
    import asyncio, os, sys
    from pathlib import Path
    from ingest.duckdb_history import open_duckdb
    from tests.test_duckdb_history import entry

    class Deadly:
        id = 3
        @property
        def reports(self):
            yield from entry(3, 50_000).reports
            os.kill(os.getpid(), 9)

    async def main():
        async with open_duckdb(Path(sys.argv[1])) as history:
            await history.append([entry(1, 10)])
            await history.append([entry(2, 10), Deadly()])

    asyncio.run(main())
"""
HOLDS_THE_FILE = """
    import duckdb, sys
    connection = duckdb.connect(sys.argv[1])
    print("held", flush=True)
    sys.stdin.read()
"""


def entry(number: int, reports: int = 1) -> Entry:
    at = START + timedelta(seconds=number)
    said = Report(
        device=PILE,
        at=at,
        received_at=at,
        identity="1",
        readings=(Reading(channel=1, power_w=float(number)),),
    )
    return Entry(number, at, (said,) * reports)


@contextmanager
def held_by_another_process(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", textwrap.dedent(HOLDS_THE_FILE), str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.duckdb"


def test_a_crash_in_the_middle_of_an_append_leaves_nothing_of_it(path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(DIES_IN_THE_MIDDLE), str(path)]
    died = subprocess.run(command, cwd=ROOT, check=False)
    assert died.returncode == -9

    async def play() -> None:
        async with open_duckdb(path) as history:
            assert (await history.cursor(), await history.count()) == (1, 10)
            await history.append([entry(2, 10), entry(3, 50_000)])
            assert (await history.cursor(), await history.count()) == (3, 50_020)

    asyncio.run(play())


def test_a_file_that_another_process_holds_is_taken_up_when_it_lets_go(path: Path) -> None:
    async def play() -> None:
        async with open_duckdb(path) as history:
            with held_by_another_process(path):
                with pytest.raises(HistoryUnavailable, match=r"history\.duckdb: .* lock"):
                    await history.append([entry(1)])
                with pytest.raises(HistoryUnavailable, match="lock"):
                    await history.latest(PILE)
            assert await history.latest(PILE) == []
            await history.append([entry(1)])
            assert await history.count() == 1

    asyncio.run(play())


def test_a_missing_folder_or_a_file_of_another_kind_is_unavailable(tmp_path: Path) -> None:
    async def play() -> None:
        foreign = tmp_path / "letters.txt"
        foreign.write_text("no database" * 1000)
        for path in (tmp_path / "no" / "history.duckdb", foreign, tmp_path):
            async with open_duckdb(path) as history:
                with pytest.raises(HistoryUnavailable, match=path.name):
                    await history.cursor()

    asyncio.run(play())


def test_a_broken_connection_is_replaced_at_the_next_call(path: Path) -> None:
    async def play() -> None:
        async with open_duckdb(path) as history:
            await history.append([entry(1)])
            break_connection(history)
            with pytest.raises(HistoryUnavailable):
                await history.count()
            assert await history.count() == 1
            break_connection(history)
            with pytest.raises(HistoryUnavailable):
                await history.append([entry(2)])
            await history.append([entry(2)])
            assert await history.count() == 2

    asyncio.run(play())


def break_connection(history: DuckDbHistory) -> None:
    connection = history._file._connection
    assert connection is not None
    connection.close()


def test_a_mistake_in_an_entry_rolls_back_and_harms_nothing_else(path: Path) -> None:
    zoneless = Report(
        device=PILE,
        at=START.replace(tzinfo=None),
        received_at=START,
        identity="1",
        readings=(Reading(),),
    )

    async def play() -> None:
        async with open_duckdb(path) as history:
            with pytest.raises(TypeError):
                await history.append([entry(1), Entry(2, START, (zoneless,))])
            assert (await history.cursor(), await history.count()) == (0, 0)
            await history.append([entry(1)])
            assert (await history.cursor(), await history.count()) == (1, 1)

    asyncio.run(play())


def test_a_file_of_an_older_version_gets_the_columns_it_lacks(path: Path) -> None:
    async def play() -> None:
        async with open_duckdb(path) as history:
            await history.append([entry(1)])
        with duckdb.connect(path) as connection:
            connection.execute("ALTER TABLE readings DROP COLUMN stop_reason")
            connection.execute("ALTER TABLE readings ADD COLUMN noise_db DOUBLE")
        async with open_duckdb(path) as history:
            await history.append([entry(2)])
            [first, second] = await history.range(PILE, 1, START, entry(9).committed_at, 10)
            assert [first.reading.power_w, second.reading.power_w] == [1.0, 2.0]

    asyncio.run(play())


def test_the_event_loop_goes_on_and_reads_are_answered_during_a_long_append(
    path: Path,
) -> None:
    async def play() -> None:
        async with open_duckdb(path) as history:
            await history.append([entry(1)])
            appending = asyncio.create_task(history.append([entry(2, 200_000)]))
            counts = [await history.count() async for _ in every_millisecond_until(appending)]
            await appending
            assert set(counts) <= {1, 200_001}
            assert counts.count(1) >= 3

    asyncio.run(play())


async def every_millisecond_until(task: asyncio.Task[None]) -> AsyncIterator[None]:
    while not task.done():
        yield
        await asyncio.sleep(0.001)


def test_a_caller_that_goes_away_takes_nothing_with_it(path: Path) -> None:
    async def play() -> None:
        async with open_duckdb(path) as history:
            appending = asyncio.create_task(history.append([entry(1, 50_000)]))
            await asyncio.sleep(0.01)
            appending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await appending
            await history.append([entry(1, 50_000)])
            assert await history.count() == 50_000

    asyncio.run(play())


def test_after_closing_nothing_is_possible_and_closing_again_is_harmless(path: Path) -> None:
    async def play() -> None:
        async with open_duckdb(path) as history:
            await history.append([entry(1)])
            await history.close()
            with pytest.raises(HistoryUnavailable, match="closed"):
                await history.count()
        assert not path.with_suffix(".duckdb.wal").exists()

    asyncio.run(play())
