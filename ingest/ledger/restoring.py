"""Reading back what a new process takes up, and what the history asks for."""

from datetime import datetime, timedelta

import msgspec
import sqlalchemy as sa

from ingest.journal import Entry, unpacked
from ingest.ledger import tables
from ingest.ledger.commit import Stored, identity_in_all
from ingest.ledger.silences import not_over
from ingest.ledger.writing import REPLAY_MESSAGES
from ingest.moments import EPOCH, from_us
from ingest.registry import Area, Device, Location, Name, Registry, Site
from rules.readings import DeviceId, Kind
from rules.schedule import Schedule
from rules.silences import Silence

_unpack_stored = msgspec.msgpack.Decoder(Stored).decode


class Restored(msgspec.Struct, frozen=True):
    """What a new process takes up."""

    stored: tuple[Stored, ...]
    last_commit_at: datetime | None
    seen: tuple[str, ...]
    """Identities of the last messages, oldest first."""
    silences: tuple[Silence, ...] = ()
    """Not over when the service was last seen."""


def read_restored(connection: sa.Connection) -> Restored:
    """Read what a new process needs; called once, before anything is written."""
    stored = connection.scalars(sa.select(tables.rule_state.c.state))
    committed_at = connection.scalar(
        sa.select(tables.watermarks.c.value).where(tables.watermarks.c.name == "committed_at")
    )
    last_commit_at = None if committed_at is None else from_us(committed_at)
    return Restored(
        tuple(_unpack_stored(blob) for blob in stored),
        last_commit_at,
        _seen(connection),
        tuple(row.silence for row in not_over(connection, last_commit_at or EPOCH)),
    )


def entries_after(connection: sa.Connection, number: int, limit: int) -> list[Entry]:
    journal = tables.journal.c
    rows = connection.execute(
        sa.select(journal.id, journal.committed_at, journal.reports)
        .where(journal.id > number)
        .order_by(journal.id)
        .limit(limit)
    )
    return [Entry(row.id, row.committed_at, unpacked(row.reports)) for row in rows]


def _seen(connection: sa.Connection) -> tuple[str, ...]:
    """Return the identities of the newest REPLAY_MESSAGES messages, oldest first."""
    refused = connection.scalars(
        sa.select(tables.quarantine.c.identity).order_by(tables.quarantine.c.id)
    )
    identities = list(refused)
    blobs: list[bytes] = []
    messages = 0
    newest_first = sa.select(tables.journal.c.reports, tables.journal.c.messages)
    for blob, count in connection.execute(newest_first.order_by(tables.journal.c.id.desc())):
        blobs.append(blob)
        messages += count
        if messages >= REPLAY_MESSAGES:
            break
    for blob in reversed(blobs):
        identities += [
            identity_in_all(report.device, report.identity) for report in unpacked(blob)
        ]
    return tuple(identities)


def read_registry(connection: sa.Connection) -> Registry:
    areas = [
        Area(id=row.id, name=Name(row.name_zh, row.name_en), declared=row.declared)
        for row in connection.execute(sa.select(tables.areas))
    ]
    sites = [
        Site(
            id=row.id,
            area=row.area,
            name=Name(row.name_zh, row.name_en),
            declared=row.declared,
            schedule=msgspec.json.decode(row.schedule, type=Schedule),
            carrier=row.carrier,
            location=None if row.latitude is None else Location(row.latitude, row.longitude),
        )
        for row in connection.execute(sa.select(tables.sites))
    ]
    channels: dict[str, set[int]] = {}
    for row in connection.execute(sa.select(tables.sockets)):
        channels.setdefault(row.device, set()).add(row.channel)
    devices = [_device(row, channels) for row in connection.execute(sa.select(tables.devices))]
    return Registry(areas, sites, devices)


def _device(row: sa.Row[tuple[object, ...]], channels: dict[str, set[int]]) -> Device:
    silent_after_s = row.silent_after_s
    return Device(
        id=DeviceId(row.id),
        site=row.site,
        dialect=row.dialect,
        name=row.name,
        kind=Kind(row.kind),
        declared=row.declared,
        sockets=frozenset(channels.get(row.id, ())),
        silent_after=None if silent_after_s is None else timedelta(seconds=silent_after_s),
        added_at=row.added_at,
    )
