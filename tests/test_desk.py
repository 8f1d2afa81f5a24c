"""The desk: orders to the one task that owns the engine, and their answers."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime

import pytest
import structlog

from ingest.desk import Desk, DeskBusy
from ingest.ledger.commit import Acknowledged, Commit

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
SEEN = Acknowledged("e-1", NOON, "eve", "")


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(test)


def fails(_: Commit) -> str:
    raise StopIteration("there is none")  # the exception that a coroutine cannot raise


def note(batch: Commit) -> str:
    batch.acknowledged.append(SEEN)
    return "noted"


def test_nothing_is_answered_before_it_is_on_the_disk() -> None:
    async def test() -> None:
        desk, batch = Desk(), Commit(now=NOON)
        asking = asyncio.create_task(desk.ask(note))
        await asyncio.sleep(0)
        assert desk.waits
        [order] = desk.take()
        assert not desk.waits
        order.carry_out(batch)
        await asyncio.sleep(0)
        assert not asking.done()
        assert batch.acknowledged == [SEEN]
        order.answer()
        assert await asking == "noted"

    run(test())


def test_whoever_takes_is_woken_and_has_the_oldest_first() -> None:
    wakings, done = [], []
    desk = Desk(lambda: wakings.append(desk.waits))
    desk.hand_in(lambda _: done.append(1))
    desk.hand_in(lambda _: done.append(2))
    for order in desk.take():
        order.carry_out(Commit(now=NOON))
    assert (wakings, done) == ([True, True], [1, 2])


def test_an_order_that_fails_harms_only_whoever_gave_it() -> None:
    async def test() -> None:
        desk, batch = Desk(), Commit(now=NOON)
        failing, asking = (asyncio.create_task(desk.ask(order)) for order in (fails, note))
        await asyncio.sleep(0)
        orders = desk.take()
        for order in orders:
            order.carry_out(batch)
        for order in orders:
            order.answer()
        assert await asking == "noted"
        with pytest.raises(RuntimeError, match="StopIteration"):
            await failing

    run(test())


@pytest.mark.parametrize("has_asked", [True, False])
def test_a_failure_that_nobody_waits_for_is_in_the_log(*, has_asked: bool) -> None:
    async def test() -> None:
        desk = Desk()
        if has_asked:
            asking = asyncio.create_task(desk.ask(fails))
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.sleep(0)
        else:
            desk.hand_in(fails)
        [order] = desk.take()
        order.carry_out(Commit(now=NOON))
        with structlog.testing.capture_logs() as lines:
            order.answer()
        [line] = lines
        assert (line["event"], line["log_level"]) == ("order.failed", "error")
        assert isinstance(line["exc_info"], StopIteration)

    run(test())


def test_who_gives_up_waiting_has_it_done_all_the_same() -> None:
    async def test() -> None:
        desk, batch = Desk(), Commit(now=NOON)
        asking = asyncio.create_task(desk.ask(note))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.sleep(0)
        [order] = desk.take()
        order.carry_out(batch)
        order.answer()
        assert batch.acknowledged == [SEEN]

    run(test())


def test_who_asks_too_much_or_waits_too_long_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.desk.WAITING_MAX", 1)
    monkeypatch.setattr("ingest.desk.ANSWERS_WITHIN_S", 0.01)

    async def test() -> None:
        desk = Desk()
        with pytest.raises(DeskBusy, match="not on the disk"):
            await desk.ask(note)
        with pytest.raises(DeskBusy, match="too many"):
            await desk.ask(note)
        assert len(desk.take()) == 1

    run(test())


def test_at_the_end_nobody_waits_any_more_taken_or_not() -> None:
    async def test() -> None:
        desk = Desk()
        taken = asyncio.create_task(desk.ask(note))
        await asyncio.sleep(0)
        desk.take()
        left = asyncio.create_task(desk.ask(note))
        await asyncio.sleep(0)
        desk.close()
        await asyncio.wait({taken, left})
        assert taken.cancelled()
        assert left.cancelled()
        assert not desk.waits

    run(test())
