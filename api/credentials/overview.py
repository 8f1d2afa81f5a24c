"""Who has a login, who should have one, and whom nobody knows. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from api.credentials.book import Book
from api.credentials.logins import NATIVE, OURS, TASMOTA
from ingest.registry import Device

State = Literal["in force", "revoked", "no password"]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One login, for people."""

    username: str
    speaks_for: str
    dialect: str
    state: State
    since: datetime
    renewed_at: datetime | None
    revoked_at: datetime | None
    declared: bool | None
    """In the sites file; None where there is none, and for bridges and our own programs."""


class Overview(msgspec.Struct, frozen=True):
    logins: tuple[Shown, ...]
    without: tuple[str, ...]
    """Declared devices that have no login; those behind a bridge need none."""
    strangers: tuple[str, ...]
    """In the broker's password file, and not by us."""


def overview(book: Book, declared: Iterable[Device] | None) -> Overview:
    """Return every login, and what does not fit the sites file (None: there is none)."""
    devices = {str(each.id): each for each in declared or ()}
    logins = tuple(
        Shown(
            username=login.username,
            speaks_for=login.speaks_for,
            dialect=login.dialect,
            state="revoked"
            if login.revoked_at
            else "in force"
            if login.username in book.hashes
            else "no password",
            since=login.since,
            renewed_at=login.renewed_at,
            revoked_at=login.revoked_at,
            declared=None
            if declared is None or login.dialect not in {NATIVE, TASMOTA}
            else login.speaks_for in devices,
        )
        for _, login in sorted(
            book.logins.items(), key=lambda item: (item[0] not in OURS, item)
        )
    )
    speaking = {each.speaks_for for each in logins if each.state == "in force"}
    return Overview(
        logins,
        tuple(
            each
            for each, device in devices.items()
            if device.dialect in {NATIVE, TASMOTA} and each not in speaking
        ),
        tuple(sorted(set(book.hashes) - set(book.logins))),
    )
