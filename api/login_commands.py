"""What the command line does about logins, on the ledger's file, with or without the service.

A running one looks into the ledger at each login and each request, and for changes of people
every few seconds, so that what is done here is in force at once.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from api.passwords import Passwords, generated
from api.people.parts import ID_PATTERN, NAME_CHARS_MAX
from ingest.errors import ChargewatchError
from ingest.ledger.audit import Audited, append_audit
from ingest.ledger.logins import (
    Login,
    all_logins,
    end_all_logins,
    read_secret,
    write_secret,
)
from ingest.ledger.people import read_kept, write_person
from ingest.ledger.store import open_ledger
from ingest.people import EVERYWHERE, Person, Role

LEDGER = "ledger.sqlite"

T = TypeVar("T")


class LoginCommandRefused(ChargewatchError):
    """What was asked for is not done; the message says why."""


def make_admin(  # noqa: PLR0913  (what there is to say about somebody)
    data_dir: Path,
    who: str,
    now: datetime,
    *,
    name: str = "",
    reset: bool = False,
    must_change: bool = True,
) -> str:
    """Make an administrator, or with `reset` give one a new password; return the password."""
    if re.fullmatch(ID_PATTERN, who) is None:
        raise LoginCommandRefused(f"an id is small letters, digits, dots, dashes; not {who!r}")
    if len(name) > NAME_CHARS_MAX or not (name or who).isprintable():
        raise LoginCommandRefused(f"a name is at most {NAME_CHARS_MAX} printable characters")
    password = generated()
    hashed = Passwords().made(password)
    wanted = Person(
        id=who,
        name=name or who,
        role=Role.ADMIN,
        areas=frozenset((EVERYWHERE,)),
        added_at=now,
    )

    def write(c: sa.Connection) -> None:
        known = read_kept(c).people
        _check_may_be_made(known.values(), known.get(who), who, reset=reset)
        what = "password.reset" if who in known else "admin.made"
        if who not in known:
            write_person(c, wanted)
        write_secret(c, who, hashed, now, must_change=must_change)
        append_audit(c, _deed(what, who, now))

    _written(data_dir, write)
    return password


def reset_password(data_dir: Path, who: str, now: datetime) -> str:
    """Give somebody a new password and end their logins; return the password."""
    password = generated()
    hashed = Passwords().made(password)

    def write(c: sa.Connection) -> None:
        if not write_secret(c, who, hashed, now, must_change=True):
            raise LoginCommandRefused(f"there is nobody with the id {who!r}")
        append_audit(c, _deed("password.reset", who, now))

    _written(_existing(data_dir), write)
    return password


def logged_in(data_dir: Path, who: str, now: datetime) -> list[Login]:
    """Return who is logged in, by name and then the newest first."""
    return _written(_existing(data_dir), lambda c: all_logins(c, now, who or None))


def end_logins(data_dir: Path, who: str, now: datetime) -> int:
    """End all logins of somebody; return how many there were."""

    def write(c: sa.Connection) -> int:
        ended = end_all_logins(c, who)
        if ended:
            append_audit(c, _deed("login.ended", who, now))
        elif read_secret(c, who) is None:
            raise LoginCommandRefused(f"there is nobody with the id {who!r}")
        return ended

    return _written(_existing(data_dir), write)


def _check_may_be_made(
    people: Iterable[Person], known: Person | None, who: str, *, reset: bool
) -> None:
    admins = sorted(each.id for each in people if each.role is Role.ADMIN and each.active)
    if known is not None and not (known.role is Role.ADMIN and known.active):
        raise LoginCommandRefused(f"{who!r} is {known.role.value}: no active administrator")
    if admins and not reset:
        listed = ", ".join(admins)
        raise LoginCommandRefused(f"there is an administrator already ({listed}): --reset?")


def _deed(what: str, who: str, now: datetime) -> Audited:
    return Audited(at=now, who="chargewatch", via="command", what=what, about=who)


def _existing(data_dir: Path) -> Path:
    if not (data_dir / LEDGER).exists():
        raise LoginCommandRefused(f"{data_dir / LEDGER}: there is no ledger")
    return data_dir


def _written(data_dir: Path, change: Callable[[sa.Connection], T]) -> T:
    with closing(open_ledger(data_dir / LEDGER)) as ledger:
        return asyncio.run(ledger.write(change))
