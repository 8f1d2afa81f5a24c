"""Writing the ledger: one transaction per batch, from one thread, in the order of events.

`commit` is the moment at which a message becomes ours: when it returns, the batch and all
it caused are on the disk (SQLite, WAL, synchronous FULL), and only then is the broker told.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from ingest.errors import ChargewatchError
from ingest.journal import Entry
from ingest.ledger import making, restoring, tables, writing
from ingest.ledger.commit import Commit
from ingest.ledger.restoring import Restored
from ingest.registry import Registry

BUSY_TIMEOUT_MS = 5_000
CHECKPOINT_PAGES = 20_000
"""80 MB of write-ahead log: a checkpoint delays a commit, and is rare this way."""

T = TypeVar("T")


class LedgerUnavailable(ChargewatchError):
    """The ledger cannot be written now (full disk, lost volume). Nothing is acknowledged."""


class LedgerDamaged(ChargewatchError):
    """The ledger's file is not one, or is from a newer chargewatch."""


class Ledger:
    """One file. All writing happens in one thread; readers have connections of their own."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._writer = engine.connect()
        self._needed_from = 0
        """The first journal entry that must stay, as far as was looked; never too high."""

    # --- the batch -------------------------------------------------------------------

    async def commit(self, batch: Commit) -> None:
        """Put the whole batch on disk, or raise LedgerUnavailable and leave no trace of it."""
        await self.write(lambda connection: writing.write_batch(connection, batch))

    async def write(self, change: Callable[[sa.Connection], T]) -> T:
        """Run `change` in a transaction of its own, in the writing thread."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._write_now, change
        )

    def _write_now(self, change: Callable[[sa.Connection], T]) -> T:
        try:
            with self._writer.begin():
                # before anything is read: a command may write to the same file
                self._writer.exec_driver_sql("BEGIN IMMEDIATE")
                return change(self._writer)
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
            raise LedgerUnavailable(str(error.orig)) from error

    async def read(self, question: Callable[[sa.Connection], T]) -> T:
        """Answer a question from a connection of its own, beside the writing."""

        def ask() -> T:
            with self.engine.connect() as connection:
                return question(connection)

        try:
            return await asyncio.to_thread(ask)
        except sa.exc.OperationalError as error:
            raise LedgerUnavailable(str(error.orig)) from error

    # --- the journal's readers ---------------------------------------------------------

    async def entries_after(self, number: int, limit: int) -> Sequence[Entry]:
        """Return up to `limit` journal entries that follow entry `number`."""
        return await self.read(
            lambda connection: restoring.entries_after(connection, number, limit)
        )

    async def last_entry(self) -> int:
        """Return the number of the newest journal entry, 0 for none."""
        newest = sa.select(sa.func.coalesce(sa.func.max(tables.journal.c.id), 0))
        return await self.read(lambda connection: int(connection.scalar(newest) or 0))

    async def prune(self, up_to: int) -> None:
        """Drop entries up to number `up_to`, except those that tell repeated messages."""
        if up_to >= self._needed_from:  # beside the writing: alarms do not wait for the look
            self._needed_from = await self.read(writing.needed_from)
        before = min(up_to + 1, self._needed_from)
        await self.write(lambda connection: writing.prune(connection, before))

    # --- start and end -----------------------------------------------------------------

    def restored(self) -> Restored:
        """Read what a new process needs; called once, before anything is written."""
        with self.engine.connect() as connection:
            return restoring.read_restored(connection)

    def registry(self) -> Registry:
        """Read who is who."""
        with self.engine.connect() as connection:
            return restoring.read_registry(connection)

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        self._writer.close()
        self.engine.dispose()


def open_ledger(path: Path) -> Ledger:
    """Open (or create) the ledger and bring its tables up to date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(f"sqlite:///{path}")
    sa.event.listen(engine, "connect", _prepare)
    try:
        with engine.begin() as connection:
            making.bring_up_to_date(connection)
    except sa.exc.DatabaseError as error:
        engine.dispose()
        raise LedgerDamaged(f"{path}: {error.orig}") from error
    except making.UnknownVersion as error:
        engine.dispose()
        raise LedgerDamaged(f"{path} is from a newer chargewatch: {error}") from error
    return Ledger(engine)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Ledger]:
    ledger = await asyncio.to_thread(open_ledger, path)
    try:
        yield ledger
    finally:
        await asyncio.to_thread(ledger.close)


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
