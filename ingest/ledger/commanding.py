"""Commands and latches in the ledger: written with the decision, read by who sends them.

The state is the engine's, stored with each device; these rows are the same for people, and
the worklist of `api.commands`.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from ingest.ledger import tables
from ingest.ledger.areas import Areas, lies_in
from ingest.ledger.log import append_event
from rules.cut_log import ITSELF, Logged
from rules.cutting import OPEN, Command, CommandState
from rules.latch import Latch

GONE = "device gone"


class CommandFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Each part that is given narrows the list."""

    device: str | None = None
    channel: int | None = None
    state: CommandState | None = None
    before: datetime | None = None
    """For the next page: when the last command of this one was ordered."""
    areas: Areas = None


def write_commands(
    connection: sa.Connection,
    commands: Iterable[Command],
    latches: Iterable[Latch],
    log: Iterable[Logged],
) -> None:
    """Write commands and latches as they are now, and append what happened to them."""
    for latch in sorted(latches, key=lambda latch: latch.cleared_at is None):
        _put(connection, tables.latches, latch)  # the old one of a socket goes first
    for command in commands:
        _put(connection, tables.commands, command)
    for line in log:
        append_event(connection, line.episode, line.at, line.what, line.who, line.detail)


def _put(connection: sa.Connection, table: sa.Table, entry: Command | Latch) -> None:
    row = msgspec.structs.asdict(entry)
    statement = insert(table).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))


def to_send(connection: sa.Connection, now: datetime) -> list[Command]:
    """Return the commands that are waiting to be sent, now or later."""
    command = tables.commands.c
    question = sa.select(tables.commands).where(
        command.next_at.is_not(None), command.expires_at > now
    )
    return [_command(row) for row in connection.execute(question)]


def find_commands(
    connection: sa.Connection, wanted: CommandFilter, limit: int
) -> list[Command]:
    """Return commands, newest first."""
    command = tables.commands.c
    conditions: list[sa.ColumnElement[bool]] = [
        tables.commands.c[name] == value
        for name in ("device", "channel", "state")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.before is not None:
        conditions.append(command.ordered_at < wanted.before)
    conditions += lies_in(wanted.areas, command.device)
    question = sa.select(tables.commands).where(*conditions)
    newest = question.order_by(command.ordered_at.desc(), command.id).limit(limit)
    return [_command(row) for row in connection.execute(newest)]


def get_command(connection: sa.Connection, command_id: str) -> Command | None:
    question = sa.select(tables.commands).where(tables.commands.c.id == command_id)
    row = connection.execute(question).one_or_none()
    return None if row is None else _command(row)


def find_latches(
    connection: sa.Connection,
    *,
    device: str | None,
    cleared: bool,
    limit: int,
    areas: Areas = None,
) -> list[Latch]:
    """Return latches, newest first: those in force, or with `cleared` the others."""
    latch = tables.latches.c
    in_force = latch.cleared_at.is_(None)
    question = sa.select(tables.latches).where(
        ~in_force if cleared else in_force, *lies_in(areas, latch.device)
    )
    if device is not None:
        question = question.where(latch.device == device)
    newest = question.order_by(latch.since.desc(), latch.id).limit(limit)
    return [_latch(row) for row in connection.execute(newest)]


def get_latch(connection: sa.Connection, latch_id: str) -> Latch | None:
    question = sa.select(tables.latches).where(tables.latches.c.id == latch_id)
    row = connection.execute(question).one_or_none()
    return None if row is None else _latch(row)


def end_all_of(connection: sa.Connection, device: str, now: datetime) -> None:
    """End what is open of a device that is no longer known by this id."""
    command, latch = tables.commands.c, tables.latches.c
    open_ones = sa.select(command.id, command.episode).where(
        command.device == device, command.state.in_(OPEN)
    )
    for row in connection.execute(open_ones).all():
        connection.execute(
            sa.update(tables.commands)
            .where(command.id == row.id)
            .values(state=CommandState.FAILED, detail=GONE, ended_at=now, next_at=None)
        )
        append_event(
            connection, row.episode, now, "command_failed", ITSELF, f"{row.id}: {GONE}"
        )
    latched = sa.select(latch.id, latch.episode).where(
        latch.device == device, latch.cleared_at.is_(None)
    )
    for row in connection.execute(latched).all():
        connection.execute(
            sa.update(tables.latches)
            .where(latch.id == row.id)
            .values(cleared_at=now, cleared_by=ITSELF, clear_reason=GONE)
        )
        append_event(connection, row.episode, now, "latch_cleared", ITSELF, f"{device}: {GONE}")


def _command(row: sa.Row[tuple[object, ...]]) -> Command:
    return msgspec.convert(row, Command, from_attributes=True)


def _latch(row: sa.Row[tuple[object, ...]]) -> Latch:
    return msgspec.convert(row, Latch, from_attributes=True)
