"""Adding to a log whose every line carries the digest of all before it."""

import hashlib

import msgspec
import sqlalchemy as sa


def append(
    connection: sa.Connection, log: sa.Table, line: list[object], row: dict[str, object]
) -> None:
    """Add a row; `line` is what its digest covers, in the order that chain.py checks."""
    newest = sa.select(log.c.chain).order_by(log.c.id.desc()).limit(1)
    before = connection.scalar(newest) or b""
    chain = hashlib.sha256(before + msgspec.json.encode(line)).digest()
    connection.execute(sa.insert(log).values(**row, chain=chain))
