"""The worker that sends commands: what is due, once for each attempt."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from msgspec.structs import replace

from api.commands import Commands
from ingest.codecs import all_codecs
from ingest.desk import Desk
from ingest.ledger.commit import Commit
from ingest.ledger.store import Ledger, open_ledger
from ingest.mqtt_connection import BrokerAddress
from ingest.switching import Switching
from rules.catalog import rules_in_force
from rules.cutting import Command, CommandState
from rules.engine import Engine
from tests.test_intake import PILE, known
from tests.test_ledger_commands import order

NOON = datetime(2026, 1, 5, 4, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class FakeClient:
    """A connection that remembers what is published, or is lost while `down`."""

    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, Any], int]] = []
        self.down = False
        self.connections = 0

    async def publish(self, topic: str, payload: bytes, **how: Any) -> None:
        if self.down:
            raise aiomqtt.MqttError("lost")
        left_s = how["properties"].MessageExpiryInterval
        self.published.append((topic, json.loads(payload), left_s))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["FakeClient"]:
        if self.down:
            raise aiomqtt.MqttError("refused")
        self.connections += 1
        yield self


class Hearing(Switching):
    """Keeps what it is told of commands: which, and when it was sent or why it cannot be."""

    def __init__(self) -> None:
        super().__init__(Engine(*rules_in_force(), known()), known())
        self.told: list[tuple[str, datetime | str]] = []

    def sent(self, command: str, at: datetime) -> None:
        self.told.append((command, at))

    def cannot_be_sent(self, command: str, detail: str, now: datetime) -> None:
        assert now == NOON
        self.told.append((command, detail))


class Sender(Commands):
    """The worker, with a fake connection and a clock that stands still."""

    def __init__(self, ledger: Ledger) -> None:
        self.fake, self.desk, self.at = FakeClient(), Desk(), NOON
        self.registry, self.switching = known(), Hearing()
        super().__init__(
            ledger=ledger,
            registry=self.registry,
            codecs=all_codecs(),
            desk=self.desk,
            switching=self.switching,
            broker=BrokerAddress(host="nowhere", port=1),
            client_id="test",
            now=lambda: self.at,
            speed=1.0,
        )

    def _client(self) -> Any:
        return self.fake.connected()

    def handed_in(self) -> list[tuple[str, datetime | str]]:
        """Return what the orders on the desk tell of commands."""
        for handed_in in self.desk.take():
            handed_in.carry_out(Commit(now=NOON))
        return self.switching.told

    async def work(self, for_s: float = 0.2) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                await self.run()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


def keep(ledger: Ledger, *commands: Command) -> None:
    asyncio.run(ledger.commit(Commit(now=NOON, commands=list(commands))))


def test_nothing_is_connected_while_there_is_nothing_to_send(
    ledger: Ledger, runner: asyncio.Runner
) -> None:
    keep(ledger, replace(order(now=NOON), state=CommandState.VERIFIED, next_at=None))
    sender = Sender(ledger)
    runner.run(sender.work())
    assert sender.fake.connections == 0
    assert sender.handed_in() == []


def test_what_is_due_is_sent_once_until_the_ledger_knows_of_it(
    ledger: Ledger, runner: asyncio.Runner
) -> None:
    command = order(now=NOON)
    keep(ledger, command)
    sender = Sender(ledger)
    runner.run(sender.work())
    [(topic, said, left_s)] = sender.fake.published
    assert topic == f"chargewatch/v1/{PILE}/command"
    assert (said["id"], said["command"], said["channel"]) == (command.id, "switch_off", 1)
    assert left_s == 60
    assert sender.handed_in() == [(command.id, NOON)]


def test_the_next_attempt_is_sent_when_it_is_due_with_the_same_id(
    ledger: Ledger, runner: asyncio.Runner
) -> None:
    command = order(now=NOON)
    keep(ledger, command)
    sender = Sender(ledger)
    runner.run(sender.work())
    keep(ledger, replace(command, attempts=1, next_at=NOON + 5 * SECOND))
    sender.at = NOON + 4.9 * SECOND
    runner.run(sender.work(0.05))
    assert len(sender.fake.published) == 1
    sender.at = NOON + 5 * SECOND
    runner.run(sender.work())
    assert [said["id"] for _, said, _ in sender.fake.published] == [command.id] * 2


def test_what_has_expired_is_not_sent(ledger: Ledger, runner: asyncio.Runner) -> None:
    command = order(now=NOON)
    keep(ledger, command)
    sender = Sender(ledger)
    sender.at = command.expires_at
    runner.run(sender.work())
    assert sender.fake.published == []


def test_two_commands_to_one_device_wait_for_each_other(
    ledger: Ledger, runner: asyncio.Runner
) -> None:
    keep(ledger, order(1, now=NOON), order(2, now=NOON))
    sender = Sender(ledger)
    runner.run(sender.work())
    assert len(sender.fake.published) == 1  # this clock stands still
    sender.at = NOON + SECOND / 2
    runner.run(sender.work())
    assert {said["channel"] for _, said, _ in sender.fake.published} == {1, 2}


def test_a_broker_that_is_away_is_named_and_tried_again(
    ledger: Ledger, runner: asyncio.Runner
) -> None:
    keep(ledger, order(now=NOON))
    sender = Sender(ledger)
    sender.fake.down = True
    runner.run(sender.work())
    assert sender.health.reason == "refused"
    assert sender.health.since == NOON
    assert sender.handed_in() == []
    sender.fake.down = False
    runner.run(sender.work())
    assert sender.health.reason == ""
    assert len(sender.fake.published) == 1


def test_a_command_that_cannot_be_said_is_handed_back(
    ledger: Ledger, runner: asyncio.Runner
) -> None:
    command = order(now=NOON)
    keep(ledger, command)
    sender = Sender(ledger)
    foreign = replace(sender.registry.devices[PILE], dialect="semaphore")
    sender.registry.devices[PILE] = foreign
    runner.run(sender.work())
    assert sender.fake.published == []
    assert sender.handed_in() == [(command.id, "its dialect has no word for it")]
