"""The broker's own count of what it throws away: of a real Mosquitto, and of nobody."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.broker_drops import DROPPED, BrokerDrops, DropCount
from ingest.clock import utc_now
from ingest.mqtt import Link
from tests.brokers import Mosquitto, mosquitto
from tests.test_link import address_of, connected, in_time, linked, numbered, send, until

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_nothing_is_known_before_the_broker_says_anything() -> None:
    assert DropCount().recent(NOON) is None


@pytest.mark.parametrize("payload", [b"", b"many", b"\xff", b"1.5"])
def test_what_is_no_count_says_nothing(payload: bytes) -> None:
    count = DropCount()
    count.take(payload, NOON)
    assert count.recent(NOON) is None


def test_what_was_dropped_before_we_came_is_not_counted() -> None:
    count = DropCount()
    count.take(b"4711", NOON)
    assert count.recent(NOON) == 0


def test_what_was_dropped_is_counted_for_ten_minutes() -> None:
    count = DropCount()
    for minute, total in enumerate((b"5", b"7", b"7", b"10")):
        count.take(total, NOON + minute * MINUTE)
    assert count.recent(NOON + 10 * MINUTE) == 5
    assert count.recent(NOON + 12 * MINUTE) == 3
    assert count.recent(NOON + 14 * MINUTE) == 0


def test_a_broker_that_starts_anew_has_dropped_nothing() -> None:
    count = DropCount()
    count.take(b"5", NOON)
    count.take(b"0", NOON + MINUTE)
    count.take(b"2", NOON + 2 * MINUTE)
    assert count.recent(NOON + 2 * MINUTE) == 2


def counting(broker: Mosquitto) -> BrokerDrops:
    return BrokerDrops(
        lambda told: Link("drops", address_of(broker), [DROPPED], utc_now, told), utc_now
    )


def test_what_a_mosquitto_drops_is_known_within_its_interval(tmp_path: Path) -> None:
    async def test(broker: Mosquitto) -> None:
        drops = counting(broker)
        running = asyncio.create_task(drops.run())
        async with linked(address_of(broker), client_id="away", filters=("t/#",)) as away:
            await connected(away)
        await until("a first count", lambda: drops.recent() == 0)
        await send(broker, numbered(1, 50))
        await until("messages dropped", drops.recent)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    with mosquitto(tmp_path, extra="sys_interval 1\nmax_queued_messages 1") as broker:
        in_time(test(broker))


def test_a_broker_that_tells_us_nothing_leaves_it_unknown_and_the_session_up(
    tmp_path: Path,
) -> None:
    async def test(broker: Mosquitto) -> None:
        drops = counting(broker)
        running = asyncio.create_task(drops.run())
        async with linked(address_of(broker), filters=("t/#", DROPPED)) as link:
            await connected(link)
            await send(broker, [b"heard"])
            await until("heard", lambda: link.take(10))
        assert drops.recent() is None
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    acl = tmp_path / "acl"
    acl.write_text("topic deny $SYS/#\ntopic readwrite #\n")
    with mosquitto(tmp_path, extra=f"sys_interval 1\nacl_file {acl}") as broker:
        in_time(test(broker))
