"""Who is logged in, and the passwords that let them in.

Of a login only the digest of its secret is kept, of a password only a slow hash. A person goes
by their id, the holder of a token of the operator's by `token:` and its name.
"""

from datetime import datetime

import msgspec
import sqlalchemy as sa

from ingest.ledger import tables
from ingest.people import Person

EACH_MAX = 20
"""Logins of one person; the oldest give way."""

_person = msgspec.json.Decoder(Person).decode


class Login(msgspec.Struct, frozen=True, kw_only=True):
    digest: bytes
    """SHA-256 of what the browser holds."""
    who: str
    csrf: str
    began_at: datetime
    ends_at: datetime
    address: str
    standing: str
    """A digest of what they might do and where when it began; another now: it is over."""


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A person, and what is kept of their password; `hash` is empty if there is none."""

    person: Person
    hash: str
    password_at: datetime | None
    must_change: bool


def write_login(connection: sa.Connection, login: Login) -> None:
    """Keep a login; those that are over, and the oldest of too many, go."""
    kept = tables.logins.c
    connection.execute(sa.delete(tables.logins).where(kept.ends_at <= login.began_at))
    newest = sa.select(kept.digest).where(kept.who == login.who)
    newest = newest.order_by(kept.began_at.desc()).limit(EACH_MAX - 1)
    connection.execute(
        sa.delete(tables.logins).where(kept.who == login.who, kept.digest.not_in(newest))
    )
    connection.execute(sa.insert(tables.logins).values(msgspec.structs.asdict(login)))


def find_login(connection: sa.Connection, digest: bytes) -> tuple[Login, bool] | None:
    """Return a login, and whether its person must change the password."""
    people = tables.people
    question = sa.select(tables.logins, people.c.must_change).join_from(
        tables.logins, people, people.c.id == tables.logins.c.who, isouter=True
    )
    row = connection.execute(question.where(tables.logins.c.digest == digest)).one_or_none()
    return None if row is None else (_login(row), bool(row.must_change))


def logins_of(connection: sa.Connection, who: str, now: datetime) -> list[Login]:
    """Return where somebody is logged in, the newest first."""
    kept = tables.logins.c
    question = sa.select(tables.logins).where(kept.who == who, kept.ends_at > now)
    return [_login(row) for row in connection.execute(question.order_by(kept.began_at.desc()))]


def end_login(connection: sa.Connection, who: str, digest: bytes) -> bool:
    """End a login of theirs; False: there is none."""
    kept = tables.logins.c
    gone = connection.execute(
        sa.delete(tables.logins).where(kept.who == who, kept.digest == digest)
    )
    return gone.rowcount > 0


def end_all_logins(connection: sa.Connection, who: str) -> int:
    gone = connection.execute(sa.delete(tables.logins).where(tables.logins.c.who == who))
    return gone.rowcount


def all_logins(connection: sa.Connection, now: datetime, who: str | None) -> list[Login]:
    """Return who is logged in (or where one of them is), by name, the newest first."""
    kept = tables.logins.c
    question = sa.select(tables.logins).where(kept.ends_at > now)
    if who is not None:
        question = question.where(kept.who == who)
    ordered = question.order_by(kept.who, kept.began_at.desc())
    return [_login(row) for row in connection.execute(ordered)]


def read_secret(connection: sa.Connection, person: str) -> Secret | None:
    """Return somebody and what is kept of their password; None: there is no such person."""
    kept = tables.people.c
    columns = (kept.person, kept.password, kept.password_at, kept.must_change)
    row = connection.execute(sa.select(*columns).where(kept.id == person)).one_or_none()
    if row is None:
        return None
    return Secret(
        person=_person(row.person),
        hash=row.password,
        password_at=row.password_at,
        must_change=bool(row.must_change),
    )


def write_secret(
    connection: sa.Connection, person: str, hashed: str, at: datetime, *, must_change: bool
) -> bool:
    """Give a person another password, and end all their logins; False: no such person."""
    changed = connection.execute(
        sa.update(tables.people)
        .where(tables.people.c.id == person)
        .values(password=hashed, password_at=at, must_change=must_change)
    )
    end_all_logins(connection, person)
    return changed.rowcount > 0


def write_rehashed(connection: sa.Connection, person: str, old: str, hashed: str) -> None:
    """Keep the same password in a newer form, unless it is another by now."""
    kept = tables.people.c
    connection.execute(
        sa.update(tables.people)
        .where(kept.id == person, kept.password == old)
        .values(password=hashed)
    )


def _login(row: sa.Row[tuple[object, ...]]) -> Login:
    return msgspec.convert(row, Login, from_attributes=True)
