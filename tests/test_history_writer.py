import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

import async_solipsism
import pytest

from ingest.history import HistoryUnavailable
from ingest.history_writer import ENTRIES_MAX, HistoryHealth, feed
from ingest.journal import Entry
from rules.readings import DeviceId, Reading, Report
from tests.doubles import MemoryHistory

START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def in_virtual_time(test: Coroutine[None, None, None]) -> None:
    """Run `test` on a loop whose clock jumps to the next timer instead of waiting for it."""
    with asyncio.Runner(loop_factory=async_solipsism.EventLoop) as runner:
        runner.run(test)


def now() -> datetime:
    return START + timedelta(seconds=asyncio.get_running_loop().time())


class JournalGone(Exception):
    pass


class MemoryJournal:
    """A journal in a list, which sets `wake` as a committing pipeline does."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.numbered = 0
        self.wake = asyncio.Event()
        self.gone = False

    def commit(self, entries: int = 1) -> None:
        for _ in range(entries):
            self.numbered += 1
            report = Report(
                device=DeviceId("pile-1"),
                at=now(),
                received_at=now(),
                identity=str(self.numbered),
                readings=(Reading(power_w=float(self.numbered)),),
            )
            self.entries.append(Entry(self.numbered, now(), (report,)))
        self.wake.set()

    async def entries_after(self, number: int, limit: int) -> Sequence[Entry]:
        if self.gone:
            raise JournalGone
        return [entry for entry in self.entries if entry.id > number][:limit]

    async def last_entry(self) -> int:
        return self.numbered

    async def prune(self, up_to: int) -> None:
        self.entries = [entry for entry in self.entries if entry.id > up_to]


class Site:
    """A journal, a history, and the feed between them for as long as the block lasts."""

    def __init__(self, keep: timedelta | None = None) -> None:
        self.journal = MemoryJournal()
        self.history = MemoryHistory()
        self.told: list[HistoryHealth] = []
        self._keep = keep

    async def __aenter__(self) -> Self:
        self._feeding = asyncio.create_task(
            feed(
                self.journal,
                self.history,
                self.journal.wake,
                now=now,
                keep=self._keep,
                tell=self.told.append,
                jitter=lambda: 0.0,
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._feeding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._feeding

    def stored(self) -> list[float | None]:
        return [row.reading.power_w for row in self.history.rows]


def numbers(up_to: int) -> list[float]:
    return [float(number) for number in range(1, up_to + 1)]


def test_what_waited_before_the_start_is_carried_at_once_and_then_pruned() -> None:
    async def play() -> None:
        site = Site()
        site.journal.commit(2 * ENTRIES_MAX + 1)
        async with site:
            await asyncio.sleep(0.1)
            assert site.stored() == numbers(2 * ENTRIES_MAX + 1)
            assert site.history.appends == 3
            assert site.journal.entries == []
            assert [health.behind for health in site.told] == [ENTRIES_MAX + 1, 1, 0]
            assert site.told[-1] == HistoryHealth(ok=True, since=START, behind=0)

    in_virtual_time(play())


def test_new_entries_are_gathered_for_a_second() -> None:
    async def play() -> None:
        async with Site() as site:
            for _ in range(100):
                await asyncio.sleep(0.1)
                site.journal.commit()
            await asyncio.sleep(1.1)
            assert site.stored() == numbers(100)
            assert 9 <= site.history.appends <= 11

    in_virtual_time(play())


def test_an_entry_that_nobody_announced_is_found_within_a_minute() -> None:
    async def play() -> None:
        async with Site() as site:
            await asyncio.sleep(1)
            site.journal.commit()
            site.journal.wake.clear()
            await asyncio.sleep(60)
            assert site.stored() == numbers(1)

    in_virtual_time(play())


def test_a_history_that_is_away_for_a_day_loses_nothing_and_nothing_is_pruned() -> None:
    async def play() -> None:
        async with Site() as site:
            await asyncio.sleep(1)
            site.history.down = "no space left"
            for _ in range(24):
                site.journal.commit()
                await asyncio.sleep(3600)
            assert len(site.journal.entries) == 24
            assert site.told[-1].ok is False
            assert site.told[-1].reason == "no space left"
            assert site.told[-1].behind == 24
            assert site.told[-1].since <= START + timedelta(seconds=3)

            site.history.down = ""
            await asyncio.sleep(31)
            assert site.stored() == numbers(24)
            assert site.told[-1].ok is True
            assert site.told[-1].reason == ""
            assert site.told[-1].since > START + timedelta(hours=23)

    in_virtual_time(play())


def test_how_far_behind_a_history_is_that_never_answered_is_not_known() -> None:
    async def play() -> None:
        site = Site()
        site.history.down = "locked"
        site.journal.commit()
        async with site:
            await asyncio.sleep(1)
            assert site.told == [
                HistoryHealth(ok=False, since=START, reason="locked", behind=None)
            ]

    in_virtual_time(play())


def test_pauses_grow_from_one_second_to_thirty_and_begin_again_after_a_success() -> None:
    class Counted(MemoryHistory):
        def __init__(self) -> None:
            super().__init__()
            self.asked_s: list[float] = []

        async def cursor(self) -> int:
            self.asked_s.append(asyncio.get_running_loop().time())
            return await super().cursor()

        def pauses(self) -> list[float]:
            pairs = zip(self.asked_s, self.asked_s[1:], strict=False)
            return [round(after - before, 3) for before, after in pairs]

    async def play() -> None:
        site = Site()
        site.history = history = Counted()
        history.down = "away"
        async with site:
            await asyncio.sleep(100)
            assert history.pauses() == [1, 2, 4, 8, 16, 30, 30]
            history.down = ""
            await asyncio.sleep(30)
            history.down, history.asked_s = "away again", []
            site.journal.commit()
            await asyncio.sleep(5)
            assert history.pauses() == [1, 2]

    in_virtual_time(play())


def test_jitter_shortens_the_pauses_by_up_to_half() -> None:
    async def play() -> None:
        site = Site()
        site.history.down = "away"
        site.journal.commit()
        feeding = asyncio.create_task(
            feed(
                site.journal,
                site.history,
                site.journal.wake,
                now=now,
                jitter=lambda: 0.8,
            )
        )
        await asyncio.sleep(0.5)
        site.history.down = ""
        await asyncio.sleep(0.2)
        assert site.stored() == numbers(1)
        feeding.cancel()

    in_virtual_time(play())


def test_a_history_that_fails_after_it_stored_gets_nothing_twice() -> None:
    class Flaky(MemoryHistory):
        async def append(self, entries: Sequence[Entry]) -> None:
            await super().append(entries)
            if self.appends % 2:
                raise HistoryUnavailable("the answer was lost")

    async def play() -> None:
        site = Site()
        site.history = Flaky()
        site.journal.commit(3 * ENTRIES_MAX)
        async with site:
            await asyncio.sleep(60)
            assert site.stored() == numbers(3 * ENTRIES_MAX)
            assert site.journal.entries == []

    in_virtual_time(play())


def test_an_entry_that_the_history_did_not_take_is_not_pruned() -> None:
    class Lazy(MemoryHistory):
        async def append(self, entries: Sequence[Entry]) -> None:
            await super().append(entries[:1])

    async def play() -> None:
        site = Site()
        site.history = Lazy()
        site.journal.commit(2)
        async with site:
            await asyncio.sleep(0.1)
            assert [entry.id for entry in site.journal.entries] == [1, 2]
            assert "it took entry 2 and is at 1" in site.told[-1].reason

    in_virtual_time(play())


def test_a_history_ahead_of_the_ledger_is_a_failure_and_not_silence() -> None:
    async def play() -> None:
        site = Site()
        await site.history.append([Entry(900, START, ())])
        site.journal.commit(5)
        async with site:
            await asyncio.sleep(1)
            assert site.told[-1].ok is False
            assert "at entry 900 and the ledger only at 5" in site.told[-1].reason
            assert len(site.journal.entries) == 5

    in_virtual_time(play())


def test_readings_older_than_the_keeping_time_are_forgotten_once_a_day() -> None:
    async def play() -> None:
        async with Site(keep=timedelta(days=2)) as site:
            for _ in range(10):
                site.journal.commit()
                await asyncio.sleep(24 * 3600)
            assert site.stored() == [8.0, 9.0, 10.0]

    in_virtual_time(play())


def test_without_a_keeping_time_nothing_is_forgotten() -> None:
    async def play() -> None:
        async with Site() as site:
            site.journal.commit()
            await asyncio.sleep(30 * 24 * 3600)
            assert site.stored() == numbers(1)

    in_virtual_time(play())


def test_an_error_of_the_journal_gets_out() -> None:
    async def play() -> None:
        site = Site()
        site.journal.gone = True
        with pytest.raises(JournalGone):
            await feed(site.journal, site.history, site.journal.wake, now=now)

    in_virtual_time(play())


def test_health_is_told_only_when_it_changes() -> None:
    async def play() -> None:
        async with Site() as site:
            await asyncio.sleep(3600)
            assert len(site.told) == 1

    in_virtual_time(play())


def test_a_history_that_answers_but_takes_nothing_stays_unwell_since_it_first_failed() -> None:
    class Full(MemoryHistory):
        async def append(self, entries: Sequence[Entry]) -> None:
            raise HistoryUnavailable(f"no space left for {len(entries)}")

    async def play() -> None:
        site = Site()
        site.history = Full()
        site.journal.commit()
        async with site:
            await asyncio.sleep(3600)
            assert site.told == [
                HistoryHealth(ok=False, since=START, reason="no space left for 1", behind=1)
            ]

    in_virtual_time(play())


def test_a_history_that_has_everything_is_left_alone_for_a_minute() -> None:
    class Counted(MemoryHistory):
        asked = 0

        async def cursor(self) -> int:
            self.asked += 1
            return await super().cursor()

    async def play() -> None:
        site = Site()
        site.history = history = Counted()
        async with site:
            await asyncio.sleep(1)
            site.journal.commit()
            await asyncio.sleep(10)
            asked_before = history.asked
            await asyncio.sleep(600)
            assert history.asked - asked_before <= 10

    in_virtual_time(play())
