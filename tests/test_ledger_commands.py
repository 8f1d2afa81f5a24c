"""Commands and latches in the ledger: with the decision or not at all, and found again."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from ingest.ledger import commanding, queries, tables
from ingest.ledger.commanding import CommandFilter
from ingest.ledger.commit import Commit
from ingest.ledger.store import Ledger, LedgerUnavailable, open_ledger
from ingest.registry import Area, Device, Gone, Name, Site
from rules.cut_log import Logged
from rules.cutting import Action, Command, CommandState, Failure, ordered
from rules.latch import Latch
from rules.limits.electricity import CutLimits
from rules.readings import DeviceId, Kind

NOON = datetime(2026, 1, 5, 4, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PILE = DeviceId("town/north/pile-1")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = open_ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def order(
    channel: int | None = 1, now: datetime = NOON, action: Action = Action.CUT
) -> Command:
    return ordered(
        PILE,
        channel,
        action,
        by="eve",
        reason="smells",
        episode="",
        before="",
        limits=CutLimits(),
        now=now,
    )


def latch_of(command: Command) -> Latch:
    return Latch(
        id=command.id,
        device=command.device,
        channel=command.channel,
        since=command.ordered_at,
        by="eve",
        reason="smells",
        episode=command.episode,
    )


def note(command: Command, what: str = "command_ordered", at: datetime = NOON) -> Logged:
    return Logged(command.episode, at, what, "eve", "smells")


def keep(ledger: Ledger, *commands: Command, now: datetime = NOON, **more: object) -> None:
    batch = Commit(now=now, commands=list(commands), **more)  # type: ignore[arg-type]
    asyncio.run(ledger.commit(batch))


def to_send(ledger: Ledger, now: datetime = NOON) -> list[Command]:
    return asyncio.run(ledger.read(lambda c: commanding.to_send(c, now)))


def latches(ledger: Ledger, *, cleared: bool = False) -> list[Latch]:
    return asyncio.run(
        ledger.read(
            lambda c: commanding.find_latches(c, device=None, cleared=cleared, limit=10)
        )
    )


def test_a_command_and_its_latch_are_found_again_as_they_were(ledger: Ledger) -> None:
    command = replace(
        order(None),
        state=CommandState.FAILED,
        failure=Failure.REFUSED,
        attempts=2,
        next_at=None,
        sent_at=NOON + SECOND,
        ended_at=NOON + 2 * SECOND,
        detail="not now",
    )
    latch = replace(latch_of(command), dark_at=NOON + SECOND)
    keep(ledger, command, latches=[latch], log=[note(command)])
    found = asyncio.run(ledger.read(lambda c: commanding.get_command(c, command.id)))
    assert found == command
    assert latches(ledger) == [latch]
    assert asyncio.run(ledger.read(lambda c: commanding.get_latch(c, latch.id))) == latch
    assert asyncio.run(ledger.read(lambda c: commanding.get_command(c, "c-0"))) is None
    assert asyncio.run(ledger.read(lambda c: commanding.get_latch(c, "c-0"))) is None


def test_a_commit_that_fails_leaves_no_command_behind(ledger: Ledger) -> None:
    first, second = order(1), order(1, NOON + SECOND)
    keep(ledger, first, latches=[latch_of(first)])
    with pytest.raises(sa.exc.IntegrityError):  # two latches for one socket
        keep(ledger, second, latches=[latch_of(second)], log=[note(second)])
    assert [command.id for command in to_send(ledger)] == [first.id]
    assert asyncio.run(ledger.read(lambda c: queries.events_of(c, second.episode))) == []


def test_a_command_that_is_written_again_is_the_same_with_its_new_state(ledger: Ledger) -> None:
    command = order()
    keep(ledger, command)
    later = replace(command, state=CommandState.SENT, attempts=1, next_at=None)
    keep(ledger, later)
    assert to_send(ledger) == []
    wanted = CommandFilter(device=PILE)
    assert asyncio.run(ledger.read(lambda c: commanding.find_commands(c, wanted, 10))) == [
        later
    ]


def test_what_waits_to_be_sent_is_found_until_it_expires(ledger: Ledger) -> None:
    command, ended = order(1), replace(order(2), state=CommandState.VERIFIED, next_at=None)
    keep(ledger, command, ended)
    assert to_send(ledger) == [command]
    assert to_send(ledger, command.expires_at - SECOND) == [command]
    assert to_send(ledger, command.expires_at) == []


def test_a_latch_gives_way_to_the_next_one_of_its_socket_in_one_commit(ledger: Ledger) -> None:
    first, second = order(), order(now=NOON + SECOND)
    keep(ledger, first, latches=[latch_of(first)])
    cleared = replace(
        latch_of(first), cleared_at=NOON, cleared_by="eve", clear_reason="looked at"
    )
    keep(ledger, second, latches=[latch_of(second), cleared])
    assert latches(ledger) == [latch_of(second)]
    assert latches(ledger, cleared=True) == [cleared]


def test_commands_are_found_by_device_socket_and_state_newest_first(ledger: Ledger) -> None:
    early, late = order(1), order(2, NOON + SECOND)
    other = replace(order(1, NOON + 2 * SECOND), device=DeviceId("town/north/pile-2"))
    keep(ledger, early, late, other)

    def found(wanted: CommandFilter) -> list[Command]:
        return asyncio.run(ledger.read(lambda c: commanding.find_commands(c, wanted, 10)))

    assert found(CommandFilter()) == [other, late, early]
    assert found(CommandFilter(device=PILE)) == [late, early]
    assert found(CommandFilter(device=PILE, channel=2)) == [late]
    assert found(CommandFilter(state=CommandState.SENT)) == []
    assert found(CommandFilter(before=late.ordered_at)) == [early]


def test_the_log_of_a_command_is_in_the_chain_and_cannot_be_changed(
    ledger: Ledger, tmp_path: Path
) -> None:
    command = order()
    keep(ledger, command, log=[note(command), note(command, "command_sent", NOON + SECOND)])
    events = asyncio.run(ledger.read(lambda c: queries.events_of(c, command.episode)))
    assert [event.what for event in events] == ["command_ordered", "command_sent"]
    with (
        closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as other,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        other.execute("UPDATE alert_events SET who = 'nobody'")


def test_a_ledger_that_cannot_be_written_says_so(ledger: Ledger, tmp_path: Path) -> None:
    command = order()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        ledger._writer.exec_driver_sql("PRAGMA busy_timeout = 10")
        ledger._writer.rollback()
        with pytest.raises(LedgerUnavailable):
            keep(ledger, command)
    assert to_send(ledger) == []


def test_what_is_open_of_a_device_that_is_gone_ends_with_it(ledger: Ledger) -> None:
    places = [
        Area(id="town", name=Name("镇", "Town")),
        Site(id="town/north", area="town", name=Name("北", "North")),
        Device(
            id=PILE,
            site="town/north",
            dialect="native",
            name=PILE,
            kind=Kind.CHARGER,
            added_at=NOON,
        ),
    ]
    command = order()
    done = replace(order(2), state=CommandState.VERIFIED, next_at=None, ended_at=NOON)
    keep(ledger, command, done, latches=[latch_of(command)], registered=places)
    keep(ledger, now=NOON + SECOND, registered=[Gone(PILE)])
    assert to_send(ledger) == []
    assert latches(ledger) == []
    found = asyncio.run(ledger.read(lambda c: commanding.get_command(c, command.id)))
    assert found is not None
    assert (found.state, found.ended_at) == (CommandState.FAILED, NOON + SECOND)
    assert asyncio.run(ledger.read(lambda c: commanding.get_command(c, done.id))) == done
    [cleared] = latches(ledger, cleared=True)
    assert cleared.clear_reason == commanding.GONE
    events = asyncio.run(ledger.read(lambda c: queries.events_of(c, command.episode)))
    assert [event.what for event in events] == ["command_failed", "latch_cleared"]


def test_both_tables_are_those_of_the_structs() -> None:
    assert set(tables.commands.c.keys()) == set(Command.__struct_fields__)
    assert set(tables.latches.c.keys()) == set(Latch.__struct_fields__)
