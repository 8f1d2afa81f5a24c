"""What every check is given: where everything is, and what time it is."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
import sqlalchemy as sa

from api.settings import Settings

BUSY_MS = 1_000


class Patient(msgspec.Struct, frozen=True, kw_only=True):
    """`space` tells what is free on the disk of a folder."""

    settings: Settings
    now: datetime
    space: Callable[[Path], os.statvfs_result] = os.statvfs

    @property
    def ledger(self) -> Path:
        return self.settings.data_dir / "ledger.sqlite"


@contextmanager
def read_only(ledger: Path) -> Iterator[sa.Connection]:
    """Yield a connection that cannot write, beside the running service or without it.

    Without a write-ahead log nobody writes: then SQLite need not make the files by which it
    and a writer know of each other, which would be left behind, and be ours. Raises
    sqlalchemy's DatabaseError.
    """
    in_use = ledger.with_name(f"{ledger.name}-wal").exists()

    def connect() -> sqlite3.Connection:
        uri = f"{ledger.absolute().as_uri()}?mode=ro{'' if in_use else '&immutable=1'}"
        opened = sqlite3.connect(uri, uri=True, check_same_thread=False)
        opened.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        opened.execute("PRAGMA query_only = ON")
        return opened

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
