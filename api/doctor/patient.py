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

    Raises sqlalchemy's DatabaseError.
    """

    def connect() -> sqlite3.Connection:
        uri = f"{ledger.absolute().as_uri()}?mode=ro"
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
