"""Photos of alerts: made anew by us before they get here, few of each, and not without end."""

import hashlib
from datetime import datetime
from enum import StrEnum

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.ledger.log import append_event

EACH_MAX = 12
"""Of one alert."""
BYTES_MAX = 4 * 1024**3
"""Of all alerts: some ten thousand photos."""


class NoRoom(StrEnum):
    """Why a photo was not kept."""

    ALERT = "alert"
    DISK = "disk"


class Photo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a photo; `sha256` is in the log that is never changed, too."""

    id: int
    episode: str
    at: datetime
    who: str
    width: int
    height: int
    sha256: str


_COLUMNS = [tables.photos.c[name] for name in Photo.__struct_fields__]


def write_photo(  # noqa: PLR0913  (what a photo is)
    connection: sa.Connection,
    episode: str,
    at: datetime,
    *,
    who: str,
    jpeg: bytes,
    size: tuple[int, int],
) -> Photo | NoRoom:
    """Keep a photo of an alert, and say so in its log."""
    kept = tables.photos.c
    of_alert = sa.select(sa.func.count()).where(kept.episode == episode)
    if (connection.scalar(of_alert) or 0) >= EACH_MAX:
        return NoRoom.ALERT
    of_all = sa.select(sa.func.sum(sa.func.length(kept.jpeg)))
    if (connection.scalar(of_all) or 0) + len(jpeg) > BYTES_MAX:
        return NoRoom.DISK
    row: dict[str, object] = {
        "episode": episode,
        "at": at,
        "who": who,
        "width": size[0],
        "height": size[1],
        "sha256": hashlib.sha256(jpeg).hexdigest(),
    }
    made = connection.execute(sa.insert(tables.photos).values(**row, jpeg=jpeg))
    [number] = made.inserted_primary_key or (0,)
    append_event(connection, episode, at, "photo", who, f"{number} sha256:{row['sha256']}")
    return msgspec.convert({"id": number, **row}, Photo)


def photos_of(connection: sa.Connection, episode: str) -> list[Photo]:
    """Return an alert's photos, oldest first."""
    kept = tables.photos.c
    question = sa.select(*_COLUMNS).where(kept.episode == episode).order_by(kept.id)
    return [Photo(**row._mapping) for row in connection.execute(question)]  # noqa: SLF001


def jpeg_of(connection: sa.Connection, episode: str, number: int) -> bytes | None:
    """Return one of an alert's photos; None: it has none of that number."""
    kept = tables.photos.c
    question = sa.select(kept.jpeg).where(kept.id == number, kept.episode == episode)
    found = connection.scalar(question)
    return None if found is None else bytes(found)
